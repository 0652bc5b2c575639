import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { withPlugins } from "./jitsi-plugins.js";
import { modules, names } from "./prosody-names.js";
import { accepts, freePort, run, temporaryDirectory, untilServes } from "./process.js";

export { modules, names };

/** The modules of the component of rooms. */
export const roomModules = ["muc_resource_validate", "token_verification", "token_affiliation", "test_departures"];

function lua(value) {
  if (Array.isArray(value)) return `{ ${value.map(lua).join("; ")} }`;
  if (typeof value === "string") return JSON.stringify(value);
  return String(value);
}

function options(entries) {
  return Object.entries(entries)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `  ${key} = ${lua(value)};`)
    .join("\n");
}

// Stream resumption is enabled for the clients' host only: the focus's library miscounts its
// acknowledgements.
function configuration({
  directory, httpPort, c2sPort, domain, muc, token, mucLines, allowlist, guests, recorders, logLevel,
}) {
  return `${options({
    run_as_root: true,
    data_path: join(directory, "data"),
    pidfile: join(directory, "prosody.pid"),
    plugin_paths: [modules],
    interfaces: ["127.0.0.1"],
    http_interfaces: ["127.0.0.1"],
    http_ports: [httpPort],
    https_ports: [],
    c2s_ports: [c2sPort],
    c2s_direct_tls_ports: [],
    s2s_ports: [],
    modules_enabled: [
      "disco", "saslauth", "ping", "posix", "bosh", "websocket", "tenant_mapper", "test_probe",
    ],
    modules_disabled: ["s2s", "offline", "tls"],
    allow_registration: false,
    c2s_require_encryption: false,
    consider_bosh_secure: true,
    consider_websocket_secure: true,
    http_default_host: domain,
    trusted_proxies: ["127.0.0.1"],
    admins: [names.focusUser],
    muc_mapper_domain_base: domain,
    muc_mapper_domain_prefix: muc.split(".")[0],
    smacks_hibernation_time: 60,
    storage: "internal",
  })}
  log = { { levels = { min = ${lua(logLevel)} }, to = "console" } };

VirtualHost "${domain}"
${options({ authentication: "token", modules_enabled: ["smacks"], ...token })}

VirtualHost "${names.auth}"
${options({ authentication: "internal_plain" })}

${guests ? `VirtualHost "${names.guest}"
${options({ authentication: "guest", modules_enabled: ["smacks"] })}
` : ""}
${recorders ? `VirtualHost "${names.hidden}"
${options({ authentication: "internal_plain", modules_enabled: ["smacks"] })}
` : ""}
Component "${muc}" "muc"
${options({
  modules_enabled: roomModules,
  // As Jitsi's: files of rooms with long names could not be opened.
  storage: "memory",
  token_verification_allowlist: allowlist,
  restrict_room_creation: true,
  muc_room_locking: false,
  muc_room_default_public_jids: true,
  muc_room_default_change_subject: true,
})}
${mucLines.map((line) => `  ${line}`).join("\n")}

Component "${names.features}" "room_features"

Component "${names.focus}" "focus_relay"
${options({ focus_user: names.focusUser })}
`;
}

async function register(directory, user, password) {
  const [name, host] = user.split("@");
  const encode = (text) => text.replace(/[^A-Za-z0-9]/g, (c) => `%${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
  const accounts = join(directory, "data", encode(host), "accounts");
  await mkdir(accounts, { recursive: true });
  await writeFile(join(accounts, `${encode(name)}.dat`), `return { ["password"] = ${lua(password)} };\n`);
}

/**
 * Starts a Prosody that checks tokens as Jitsi's plugins do.
 * @param {object} [settings]
 * @param {string} [settings.domain] the XMPP domain of clients
 * @param {string} [settings.muc] the component of rooms
 * @param {string} [settings.algorithm] the one signature algorithm it accepts
 * @param {string} [settings.secret] for the HS family
 * @param {string} [settings.asapKeyServer] base URL of the public keys, for the RS family
 * @param {string} [settings.appId] the only issuer it accepts
 * @param {string[]} [settings.audiences]
 * @param {boolean} [settings.allowEmptyToken]
 * @param {boolean} [settings.verifyDomain] as docker-jitsi-meet's `JWT_ENABLE_DOMAIN_VERIFICATION`
 * @param {string[]} [settings.mucLines] further lines of the component of rooms
 * @param {string[]} [settings.allowlist] domains whose people may join without a token
 * @param {boolean} [settings.guests] whether there is a domain for people without a token
 * @param {boolean} [settings.recorders] whether there is a domain for recorders, which have passwords
 * @param {string} [settings.logLevel]
 * @param {string} [settings.logFile]
 * @param {(configuration: string) => string} [settings.edit] changes the configuration's text
 * @param {object} [settings.env] more environment
 */
export async function startProsody({
  domain = names.domain,
  muc = names.muc,
  algorithm,
  secret,
  asapKeyServer,
  appId = "gateway",
  audiences = ["jitsi"],
  allowEmptyToken = false,
  verifyDomain = false,
  mucLines = [],
  allowlist,
  guests = false,
  recorders = false,
  logLevel = "info",
  logFile,
  edit = (configuration) => configuration,
  env,
} = {}) {
  const directory = await temporaryDirectory("prosody");
  const [httpPort, c2sPort] = [await freePort(), await freePort()];
  await register(directory.path, names.focusUser, names.focusPassword);
  if (recorders) await register(directory.path, names.recorderUser, names.recorderPassword);
  const file = join(directory.path, "prosody.cfg.lua");
  await writeFile(file, withPlugins(edit(configuration({
    directory: directory.path,
    httpPort,
    c2sPort,
    domain,
    muc,
    mucLines,
    allowlist,
    guests,
    recorders,
    logLevel,
    token: {
      app_id: appId,
      app_secret: secret,
      asap_key_server: asapKeyServer,
      signature_algorithm: algorithm,
      allow_empty_token: allowEmptyToken,
      enable_domain_verification: verifyDomain,
      asap_accepted_issuers: [appId],
      asap_accepted_audiences: audiences,
    },
  }))));
  const url = `http://127.0.0.1:${httpPort}`;
  let program;
  const launch = async (append) => {
    program = await run("prosody", ["-F", "--config", file], { logFile, env, append });
    await untilServes(program, async () => {
      const answer = await fetch(`${url}/test-probe`);
      await answer.arrayBuffer();
      return answer.ok && (await accepts(c2sPort));
    }, { what: "Prosody", within: 15_000 });
  };
  const stop = async () => {
    await program?.stop();
    await directory.remove();
  };
  try {
    await launch(false);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url, httpPort, c2sPort, stop, ...probe(url),
    /** The output since the last start. */
    log: () => program.output(),
    /** Stops Prosody, and starts it again with the same configuration at the same ports. */
    async restart() {
      await program.stop();
      await launch(true);
    },
  };
}

function probe(url) {
  const unpack = (field) => Buffer.from(field, "base64").toString("latin1");
  return {
    /** The requests, sessions and bytes that Prosody received since the last reset. */
    async recorded() {
      const record = await (await fetch(`${url}/test-probe`)).json();
      return {
        requests: record.requests.map(({ body64, ...rest }) => ({ ...rest, body: unpack(body64) })),
        sessions: record.sessions,
        errors: record.errors,
        streams: record.streams.map(({ bytes64, ...rest }) => ({ ...rest, bytes: unpack(bytes64) })),
      };
    },
    /** Whether a BOSH request of an id has arrived since the last reset. */
    receivedBosh: async (rid) => (await fetch(`${url}/test-probe/bosh?${rid}`)).json(),
    /** When an occupant of a nick left its room, in ms since 1970; `null` if none did. */
    async leftAt(nick) {
      const seconds = await (await fetch(`${url}/test-probe/left?${nick}`)).json();
      return seconds && seconds * 1_000;
    },
    async reset() {
      await (await fetch(`${url}/test-probe/reset`, { method: "POST" })).arrayBuffer();
    },
  };
}
