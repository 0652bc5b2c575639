// Settings of Prosody as people are told to write them, as settings of `startProsody`.

/**
 * What docker-jitsi-meet's images make of variables in `.env`, as settings of `startProsody`
 * (docker-jitsi-meet of August 2026, `prosody/rootfs/defaults/conf.d/jitsi-meet.cfg.lua`).
 * @param {string} text the lines of the file
 */
export function settingsOfVariables(text) {
  const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
  return settingsOf(lines.map((line) => {
    const [, name, value] = line.match(/^([A-Z_]+)=(?:'([^']*)'|.*)$/) ?? [];
    if (!name) throw new Error(`not a variable: ${line}`);
    return [name, value ?? line.slice(name.length + 1)];
  }));
}

/**
 * The same of the variables of Prosody's container in values of jitsi-helm, and of its Secret.
 * @param {string} values a YAML file
 * @param {string} secret
 */
export function settingsOfHelmValues(values, secret) {
  const [, variables] = values.match(/^prosody:\n(?: .*\n)*? {2}extraEnvs:\n((?: {4}.*\n)+)/m) ?? [];
  if (!variables) throw new Error("the values have no prosody.extraEnvs");
  const pairs = [...variables.matchAll(/^ {4}([A-Z_]+): "?([^"\n]*)"?$/gm)];
  return settingsOf([...pairs.map(([, name, value]) => [name, value]), ["JWT_APP_SECRET", secret]]);
}

/** Settings of `startProsody` for variables of docker-jitsi-meet's images. */
function settingsOf(variables) {
  const used = {
    ENABLE_GUESTS: (value) => ({ guests: value === "1" }),
    ENABLE_RECORDING: (value) => ({ recorders: value === "1" }),
    JWT_ENABLE_DOMAIN_VERIFICATION: (value) => ({ verifyDomain: value === "true" }),
    JWT_APP_ID: (value) => ({ appId: value }),
    JWT_APP_SECRET: (value) => ({ secret: value }),
    JWT_ACCEPTED_AUDIENCES: (value) => ({ audiences: value.split(",") }),
    JWT_ALLOW_EMPTY: (value) => ({ allowEmptyToken: value === "1" }),
    ...Object.fromEntries(ofOthers.map((name) => [name, () => ({})])),
    // Commas separate lines there.
    XMPP_MUC_CONFIGURATION: (value) => ({ mucLines: value.split(",") }),
  };
  return Object.assign({}, ...variables.map(([name, value]) => {
    if (!used[name]) throw new Error(`no setting for ${name}`);
    return used[name](value);
  }));
}

/** Variables of the web server and Jicofo, and those whose values every Prosody of the tests has. */
const ofOthers = [
  "HTTP_PORT", "HTTPS_PORT", "DISABLE_HTTPS", "ENABLE_HTTP_REDIRECT", "ENABLE_LETSENCRYPT", "ENABLE_XMPP_WEBSOCKET",
  "JVB_PREFER_SCTP",
  "PUBLIC_URL", "ENABLE_AUTH",
  "AUTH_TYPE", "JICOFO_ENABLE_AUTH", "ENABLE_AUTO_OWNER", "JWT_ACCEPTED_ISSUERS", "XMPP_MUC_MODULES",
  "PROSODY_TRUSTED_PROXIES",
];

/**
 * What Prosody on Debian makes of the lines for its configuration. Domain verification is on where no line says
 * otherwise (jitsi-meet of August 2026, `resources/prosody-plugins/token/util.lib.lua`, lines 55 to 112).
 * @param {string} text the lines of a file `/etc/prosody/conf.avail/HOST.cfg.lua`
 */
export function settingsOfLua(text) {
  const settings = { verifyDomain: true };
  for (const line of text.split("\n").filter((one) => one.trim() && !one.startsWith("--"))) {
    const [, name, value] = line.match(/^\s*(VirtualHost|Component|[a-z_]+)(?: =)? (.*)$/) ?? [];
    if (!luaSettings[name]) throw new Error(`no setting for ${line}`);
    const strings = [...value.matchAll(/"([^"]*)"/g)].map(([, string]) => string);
    Object.assign(settings, luaSettings[name](strings, value));
  }
  return settings;
}

const luaSettings = {
  VirtualHost: ([domain]) => ({ domain }),
  Component: ([muc]) => ({ muc }),
  app_id: ([appId]) => ({ appId }),
  app_secret: ([secret]) => ({ secret }),
  asap_accepted_audiences: (audiences) => ({ audiences }),
  allow_empty_token: (_, value) => ({ allowEmptyToken: value === "true" }),
  // Every Prosody of the tests has these.
  authentication: () => ({}),
  asap_accepted_issuers: () => ({}),
  modules_enabled: () => ({}),
};
