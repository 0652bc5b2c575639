import { once } from "node:events";
import { readdir, symlink } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import { createServer as createTlsServer, request as httpsRequest } from "node:https";
import { readFile } from "node:fs/promises";
import { connect, createServer as createTcpServer } from "node:net";
import { connect as connectTls, createServer as createRawTlsServer } from "node:tls";
import { join } from "node:path";
import { startFocus } from "../lib/focus.js";
import { binary, defaults, planGateway, startGateway } from "../lib/gateway.js";
import { collectParts } from "../lib/parts.js";
import { freePort, listen, run, temporaryDirectory } from "../lib/process.js";
import { modules, startProsody } from "../lib/prosody.js";
import { startProvider } from "../lib/provider.js";
import { closeServer, tieSockets } from "../lib/sockets.js";
import { appSecret } from "../lib/tokens.js";
import { merge, toml } from "../lib/toml.js";
import { startWeb } from "../lib/web.js";

const closing = (server) => () => closeServer(server);

/** A directory for `plugin_paths` with all test modules except one. */
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

/** A TCP balancer that distributes connections round-robin. */
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
    const send = to.protocol === "https:" ? httpsRequest : httpRequest;
    // The upstream has a certificate for another name, as within a cluster.
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
export async function startModifyingProxy(url, change) {
  const server = createServer(forwardTo(() => url, change));
  return { url: `http://127.0.0.1:${await listen(server)}`, stop: closing(server) };
}

/** A plain proxy that routes requests by path. */
export async function startPathProxy(target) {
  const server = createServer(forwardTo(target, (request) => request));
  return { url: `http://127.0.0.1:${await listen(server)}`, stop: closing(server) };
}

/** A server that sends the same response to every request. */
export async function startFixedResponse(status, type, body) {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(status, { "content-type": type }).end(body);
  });
  return { url: `http://127.0.0.1:${await listen(server)}`, stop: closing(server) };
}

/**
 * A gateway behind a proxy that terminates TLS.
 * @param {(door: {port: number, certificate: object, gateway: string}) => Promise<object>} open
 *   starts the door at its port; `gateway` is the address of the gateway's own listener
 * @returns {Promise<object>} what `examine` needs to look at it
 */
export async function behindProxy(keep, { neighbours }, open, { args = [], settings = {}, only = "P,S,R3", plain = false } = {}) {
  const port = await freePort();
  const plan = await planGateway({ label: "doctor-proxy", publicUrl: `https://localhost:${port}` });
  const web = keep(await startWeb({ publicUrl: plan.publicUrl }));
  keep(await startGateway(plan, { neighbours: { ...neighbours, web: web.url }, settings }));
  const gateway = plain ? `http://127.0.0.1:${plan.ports.http}` : `https://127.0.0.1:${plan.ports.https}`;
  keep(await open({ port, certificate: plan.certificate, gateway }));
  return { plan, settings, changed: { web: web.url }, args: ["--only", only, ...args] };
}

/** A TLS proxy that changes requests, routes them elsewhere, or adds response headers. */
export const modifyingProxy = ({ change = (request) => request, route = () => undefined, adds = {} }) => (
  async ({ port, certificate, gateway }) => {
    const files = { cert: await readFile(certificate.certificate), key: await readFile(certificate.key) };
    const target = (url, headers) => route(url, headers) ?? gateway;
    const server = createTlsServer(files, forwardTo(target, change, adds));
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return { stop: closing(server) };
  }
);

/** A TLS proxy that closes connections after this idle time. */
export const idleTimeoutProxy = (milliseconds) => async ({ port, certificate, gateway }) => {
  const sockets = new Set();
  const files = { cert: await readFile(certificate.certificate), key: await readFile(certificate.key) };
  const server = createRawTlsServer(files, (client) => {
    const backend = connectTls({ port: new URL(gateway).port, host: "127.0.0.1", rejectUnauthorized: false });
    tieSockets(sockets, client, backend);
    client.pipe(backend).pipe(client);
    for (const socket of [client, backend]) socket.setTimeout(milliseconds, () => socket.destroy());
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    stop: () => closeServer(server, sockets),
  };
};

/** A TLS proxy that routes requests by path. */
export async function startRoutingProxy({ certificate, key }, target) {
  const server = createTlsServer(
    { cert: await readFile(certificate), key: await readFile(key) },
    forwardTo(target, (request) => request),
  );
  return { url: `https://localhost:${await listen(server)}`, stop: closing(server) };
}

/** A healthy deployment, and runs of the doctor on it with single parts replaced. */
export async function startDeployment() {
  const { keep, stop } = collectParts();
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
      /**
       * Runs the doctor with changed upstreams and settings; returns its report and exit code.
       */
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
