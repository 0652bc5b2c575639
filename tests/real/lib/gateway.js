import { randomBytes } from "node:crypto";
import { access, appendFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeCertificate } from "./certificate.js";
import { freePort, run, temporaryDirectory, untilServes } from "./process.js";
import { gatewayClient } from "./provider.js";
import { names } from "./prosody.js";
import { appSecret } from "./tokens.js";
import { merge, toml } from "./toml.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
/** The program under test. */
export const binary = process.env.GATEWAY_BIN ?? here("../../../target/debug/jitsi-auth-gateway");

/** The log files of the gateways in the tests, one each. */
export const logDirectory = here("../../output/real");

/**
 * Registers a secret of a gateway, so that `after/logs.test.js` searches its log for it.
 * @param {string} label names the log file
 * @param {string} secret
 */
export async function registerSecret(label, secret) {
  await mkdir(logDirectory, { recursive: true });
  await appendFile(join(logDirectory, `${label}.secrets`), `${secret}\n`);
}

/**
 * Chooses ports and creates the files of a gateway that is started later: the other servers need
 * its address before it runs.
 * @param {{label: string, publicUrl?: string}} options the label names the log file; replicas of
 *   one deployment have the public address of the first
 */
export async function planGateway({ label, publicUrl }) {
  await access(binary).catch(() => {
    throw new Error(`no gateway at ${binary}: build it, or name it in GATEWAY_BIN`);
  });
  const directory = await temporaryDirectory(label);
  const [https, http, admin] = [await freePort(), await freePort(), await freePort()];
  const file = async (name, content) => {
    const path = join(directory.path, name);
    await writeFile(path, content, { mode: 0o600 });
    if (name.endsWith(".secret")) await registerSecret(label, content);
    return path;
  };
  return {
    label,
    file,
    ports: { https, http, admin },
    url: `https://localhost:${https}`,
    publicUrl: publicUrl ?? `https://localhost:${https}`,
    certificate: await makeCertificate(directory.path),
    directory: directory.path,
    sessionKey: randomBytes(32).toString("base64"),
    remove: directory.remove,
  };
}

/** The default settings of every test, by section and key. */
export async function defaults(plan, { web, xmpp, issuer }) {
  return {
    public_url: plan.publicUrl,
    listen: {
      http: `127.0.0.1:${plan.ports.http}`,
      https: `127.0.0.1:${plan.ports.https}`,
      admin: `127.0.0.1:${plan.ports.admin}`,
      // There is no other replica for clients to reconnect to, so a gradual drain would only delay
      // the tests.
      drain_window: "0s",
    },
    tls: { certificate: plan.certificate.certificate, key: plan.certificate.key },
    upstream: { web, xmpp, xmpp_domain: names.domain },
    oidc: {
      issuer,
      client_id: gatewayClient.id,
      client_secret_file: await plan.file("client.secret", gatewayClient.secret),
      insecure_http_issuer: true,
      scopes: ["openid", "profile", "email"],
      claims: { groups: "groups" },
    },
    session: { key_file: await plan.file("session.secret", plan.sessionKey) },
    token: {
      app_id: "gateway",
      secret_file: await plan.file("token.secret", appSecret),
      audience: "jitsi",
      subject: names.domain,
    },
    // Tests count the sessions at Prosody, so the login probe must create none.
    probe: { enabled: false },
    // The most detailed level, because the logs are searched for secrets afterwards.
    log: { level: "trace" },
    room: [{ match: "*", enter: "member", moderators: ["group:staff"] }],
  };
}

/**
 * Starts the gateway and waits until it is ready.
 * @param {object} plan from `planGateway`
 * @param {object} options
 * @param {{web: string, xmpp: string, issuer: string}} options.neighbours their URLs
 * @param {object} [options.settings] laid over the default settings
 * @param {object} [options.env]
 */
export async function startGateway(plan, { neighbours, settings = {}, env = {} }) {
  let current = merge(await defaults(plan, neighbours), settings);
  const writeSettings = () => plan.file("gateway.toml", `${toml(current)}\n`);
  const logFile = join(logDirectory, `${plan.label}.log`);
  const admin = `http://127.0.0.1:${plan.ports.admin}`;
  const ready = async () => {
    // The gateway is ready without its provider; tests with sign-ins need both.
    const answer = await fetch(`${admin}/readyz`);
    return answer.ok && (await answer.json()).provider === "ready";
  };
  let program;
  const launch = async (append) => {
    program = await run(binary, ["run", "--config", await writeSettings()], { env: { ...env }, logFile, append });
    await untilServes(program, ready, { what: "the gateway", within: 20_000 });
  };
  const stop = async () => {
    const outcome = await program?.stop({ grace: 15_000 });
    await plan.remove();
    return outcome;
  };
  try {
    await launch(false);
  } catch (error) {
    await stop();
    throw new Error(`${error.message}\n${program.output().slice(-4_000)}`, { cause: error });
  }
  return {
    url: plan.url,
    admin,
    ports: plan.ports,
    /** TLS options of a client that trusts the gateway's certificate. */
    tls: { ca: plan.certificate.pem, servername: "localhost" },
    logFile,
    /** The configuration file, for other commands of the program. */
    settingsFile: join(plan.directory, "gateway.toml"),
    certificateFile: plan.certificate.certificate,
    /** The output since the last start. */
    log: () => program.output(),
    mustRun: () => program.mustRun(),
    stop,
    /** Sends a signal to the process. */
    signal: (name) => program.signal(name),
    /** Resolves with exit code and signal of the process. */
    exited: () => program.exited,
    /** Writes changed settings to the configuration file and sends SIGHUP. */
    async reconfigure(changes) {
      current = merge(current, changes);
      await writeSettings();
      program.signal("SIGHUP");
    },
    /** Stops the gateway, and starts it again at the same addresses with changed settings. */
    async restart(changes = {}) {
      await program.stop({ grace: 15_000 });
      current = merge(current, changes);
      await launch(true);
    },
  };
}
