import { once } from "node:events";
import { readdir, symlink } from "node:fs/promises";
import { createServer, request as ask } from "node:http";
import { createServer as createTlsServer, request as askTls } from "node:https";
import { readFile } from "node:fs/promises";
import { connect, createServer as createTcpServer } from "node:net";
import { connect as connectTls, createServer as createRawTlsServer } from "node:tls";
import { join } from "node:path";
import { startFocus } from "../lib/focus.js";
import { binary, defaults, planGateway, startGateway } from "../lib/gateway.js";
import { freePort, listen, run, temporaryDirectory } from "../lib/process.js";
import { modules, startProsody } from "../lib/prosody.js";
import { startProvider } from "../lib/provider.js";
import { appSecret } from "../lib/tokens.js";
import { merge, toml } from "../lib/toml.js";
import { startWeb } from "../lib/web.js";

const closing = (server) => () => new Promise((resolve) => {
  server.close(resolve);
  server.closeAllConnections?.();
});

/** Our modules without one of them, as a directory for `plugin_paths`. */
export async function modulesWithout(name) {
  const directory = await temporaryDirectory("modules");
  for (const file of await readdir(modules)) {
    if (file !== `mod_${name}.lua`) await symlink(join(modules, file), join(directory.path, file));
  }
  return {
    path: directory.path,
    stop: directory.remove,
    edit: (configuration) => configuration.replace(JSON.stringify(modules), JSON.stringify(directory.path)),
  };
}

/** One address for several servers, which take turns, a connection each. */
export async function startBalancer(ports) {
  let turn = 0;
  const server = createTcpServer((client) => {
    const backend = connect(ports[turn++ % ports.length], "127.0.0.1");
    client.pipe(backend).pipe(client);
    client.on("error", () => backend.destroy());
    backend.on("error", () => client.destroy());
  });
  const port = await listen(server);
  return { url: `http://127.0.0.1:${port}`, stop: closing(server) };
}

function forwardTo(target, change, adds = {}) {
  return (request, response) => {
    const { url, headers, method } = request;
    const changed = change({ url, headers: { ...headers } });
    const to = new URL(changed.url, target(url, headers));
    const send = to.protocol === "https:" ? askTls : ask;
    // What is behind shows a certificate for another name, as within a cluster.
    const options = { method, headers: changed.headers, rejectUnauthorized: false };
    const forward = send(to, options, (answer) => {
      response.writeHead(answer.statusCode, { ...answer.headers, ...adds });
      answer.pipe(response);
    });
    forward.on("error", () => response.writeHead(502).end());
    request.pipe(forward);
  };
}

/** A proxy before Prosody that changes requests. */
export async function startMeddler(url, change) {
  const server = createServer(forwardTo(() => url, change));
  return { url: `http://127.0.0.1:${await listen(server)}`, stop: closing(server) };
}

/** A server that has one answer to everything. */
export async function startAnswer(status, type, body) {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(status, { "content-type": type }).end(body);
  });
  return { url: `http://127.0.0.1:${await listen(server)}`, stop: closing(server) };
}

/**
 * A gateway of its own behind a door: somewhere else ends TLS, and passes on what it likes.
 * @param {(door: {port: number, certificate: object, gateway: string}) => Promise<object>} open
 *   starts the door at its port; `gateway` is the address of the gateway's own listener
 * @returns {Promise<object>} what `examine` needs to look at it
 */
export async function behind(keep, { neighbours }, open, { args = [], settings = {}, only = "P,S,R3", plain = false } = {}) {
  const port = await freePort();
  const plan = await planGateway({ label: "doctor-door", publicUrl: `https://localhost:${port}` });
  const web = keep(await startWeb({ publicUrl: plan.publicUrl }));
  keep(await startGateway(plan, { neighbours: { ...neighbours, web: web.url }, settings }));
  const gateway = plain ? `http://127.0.0.1:${plan.ports.http}` : `https://127.0.0.1:${plan.ports.https}`;
  keep(await open({ port, certificate: plan.certificate, gateway }));
  return { plan, settings, changed: { web: web.url }, args: ["--only", only, ...args] };
}

/** A door that changes requests on the way, sends them elsewhere, or adds to answers. */
export const meddlingDoor = ({ change = (request) => request, elsewhere = () => undefined, adds = {} }) => (
  async ({ port, certificate, gateway }) => {
    const files = { cert: await readFile(certificate.certificate), key: await readFile(certificate.key) };
    const target = (url, headers) => elsewhere(url, headers) ?? gateway;
    const server = createTlsServer(files, forwardTo(target, change, adds));
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return { stop: closing(server) };
  }
);

/** A door that cuts connections on which nothing is said for so long. */
export const impatientDoor = (milliseconds) => async ({ port, certificate, gateway }) => {
  const sockets = new Set();
  const files = { cert: await readFile(certificate.certificate), key: await readFile(certificate.key) };
  const server = createRawTlsServer(files, (client) => {
    const backend = connectTls({ port: new URL(gateway).port, host: "127.0.0.1", rejectUnauthorized: false });
    for (const [one, other] of [[client, backend], [backend, client]]) {
      sockets.add(one);
      one.pipe(other);
      one.setTimeout(milliseconds, () => one.destroy());
      one.on("error", () => other.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    stop: () => new Promise((done) => {
      server.close(done);
      sockets.forEach((socket) => socket.destroy());
    }),
  };
};

/** A front door with a certificate that sends paths where it is told. */
export async function startFrontDoor({ certificate, key }, target) {
  const server = createTlsServer(
    { cert: await readFile(certificate), key: await readFile(key) },
    forwardTo(target, (request) => request),
  );
  return { url: `https://localhost:${await listen(server)}`, stop: closing(server) };
}

/**
 * A healthy deployment that stays, and doctors that look at it or at broken parts in its stead.
 */
export async function startDeployment() {
  const started = [];
  const keep = (part) => {
    started.unshift(part);
    return part;
  };
  const stop = async () => {
    for (const part of started.splice(0)) await part.stop();
  };
  try {
    const plan = await planGateway({ label: "doctor" });
    const { publicUrl } = plan;
    const prosody = keep(await startProsody({ secret: appSecret }));
    const focus = keep(await startFocus(prosody));
    const web = keep(await startWeb({ publicUrl }));
    const provider = keep(await startProvider({ publicUrl, backchannelLogout: true, ca: plan.certificate.pem }));
    const neighbours = { web: web.url, xmpp: prosody.url, issuer: provider.issuer };
    const gateway = keep(await startGateway(plan, { neighbours }));
    return {
      plan, prosody, focus, web, provider, gateway, neighbours, stop,
      /** Runs the doctor with the neighbours and settings changed; answers its report and exit code. */
      async examine({ changed = {}, settings = {}, args = ["--deep"], trusted = true, plan: at = plan } = {}) {
        const own = merge(await defaults(at, { ...neighbours, ...changed }), settings);
        const file = await at.file("doctor.toml", `${toml(own)}\n`);
        const program = await run(binary, ["doctor", "--config", file, "--json", ...args], {
          env: { SSL_CERT_FILE: trusted ? at.certificate.certificate : "/dev/null", SSL_CERT_DIR: "/nonexistent" },
        });
        const { code } = await program.exited;
        let report;
        try {
          report = JSON.parse(program.output());
        } catch {
          throw new Error(`no report, exit code ${code}: ${program.output()}`);
        }
        return { code, ...report, ids: report.findings.map(({ id }) => id) };
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
