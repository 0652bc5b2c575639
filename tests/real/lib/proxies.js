import assert from "node:assert/strict";
import { createServer } from "node:https";
import { readFile, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sendRequest } from "./http.js";
import { accepts, freePort, run, temporaryDirectory, until, untilServes } from "./process.js";
import { closeServer, tieSockets } from "./sockets.js";

const page = new URL("../../../docs/proxies.md", import.meta.url);
const caddy = fileURLToPath(new URL("../python/bin/caddy", import.meta.url));

/** The block in this language of a section of docs/proxies.md, by default of the one that has the proxy's whole block. */
export async function documented(language, section = sections[language]) {
  const [, ...texts] = (await readFile(page, "utf8")).split(/^## /m);
  const text = texts.find((found) => found.startsWith(`${section}\n`)) ?? "";
  const found = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(([, name]) => name === language);
  if (found.length !== 1) throw new Error(`${found.length} blocks of ${language} in section ${section} of docs/proxies.md`);
  return found[0][2];
}

const sections = { nginx: "nginx", haproxy: "HAProxy", apache: "Apache", caddyfile: "Caddy" };

/** The line of docs/proxies.md by which nginx connects to a Unix socket, in the place of its line for a port. */
export async function bySocket(path) {
  const line = (await documented("nginx", "A Unix socket")).replace("/run/jitsi-auth-gateway/http.sock", path);
  return (block) => {
    const port = /^ *proxy_pass http:\/\/127\.0\.0\.1:\d+;\n/m;
    if (!port.test(block) || !line.includes(path)) throw new Error("the lines of docs/proxies.md do not fit");
    return block.replace(port, () => line);
  };
}

/**
 * A block of the documents with the host, the addresses and the files of a test.
 * @param {{public: number, gateway: number, certificate: string, key: string, both: string}} site
 */
function localised(block, site) {
  return block
    .replaceAll("/etc/ssl/meet.example.org/fullchain.pem", site.certificate)
    .replaceAll("/etc/ssl/meet.example.org/privkey.pem", site.key)
    .replaceAll("/etc/ssl/meet.example.org/both.pem", site.both)
    .replaceAll("meet.example.org", "localhost")
    .replaceAll("127.0.0.1:8080", `127.0.0.1:${site.gateway}`)
    .replace("listen 443 ", `listen 127.0.0.1:${site.public} `)
    .replace("bind :443 ", `bind 127.0.0.1:${site.public} `)
    .replace("<VirtualHost *:443>", `<VirtualHost 127.0.0.1:${site.public}>`);
}

/** What surrounds a block of the documents: what a distribution's main configuration has. */
const programs = {
  nginx: (block, { path }) => ({
    command: ["nginx", "-p", path, "-c", join(path, "config")],
    config: `daemon off;
pid ${path}/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
http {
  access_log off;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${path}/${kind};`).join("\n  ")}
${block}
}
`,
  }),
  haproxy: (block, { path }) => ({
    command: ["haproxy", "-db", "-f", join(path, "config")],
    config: `global\n    maxconn 200\n    nbthread 1\n\n${block}`,
  }),
  apache: (block, { path, site }) => ({
    command: ["apache2", "-D", "FOREGROUND", "-f", join(path, "config")],
    config: `ServerRoot ${path}
ServerName localhost
PidFile ${path}/pid
DefaultRuntimeDir ${path}
ErrorLog ${path}/error.log
Listen 127.0.0.1:${site.public}
${["mpm_event", "authz_core", "headers", "proxy", "proxy_http", "socache_shmcb", "ssl"].map((name) =>
    `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n")}
${block}`,
  }),
  caddyfile: (block, { path, site }) => ({
    command: [caddy, "run", "--adapter", "caddyfile", "--config", join(path, "config")],
    // The certificate is the test's, and the ports 80 and 2019 are not for a test.
    config: `{
	admin off
	auto_https disable_redirects
	skip_install_trust
}
${block.replace("localhost {", `https://localhost:${site.public} {\n\ttls ${site.certificate} ${site.key}`)}`,
  }),
};

/**
 * Starts a proxy with the block of docs/proxies.md.
 * @param {"nginx" | "haproxy" | "apache" | "caddyfile"} language of the block
 * @param {{public: number, gateway: number, certificate: string, key: string}} site the port of the public URL, which
 *   the proxy takes, and the gateway's; the certificate's files
 * @param {(block: string) => string} [change] what an administrator has changed of the block
 */
export async function startProxy(language, site, change = (block) => block) {
  const directory = await temporaryDirectory("proxy");
  const { path } = directory;
  const both = join(path, "both.pem");
  await writeFile(both, (await readFile(site.certificate, "utf8")) + (await readFile(site.key, "utf8")));
  const block = change(localised(await documented(language), { ...site, both }));
  return runProxy(directory, programs[language](block, { path, site }), { port: site.public, what: language });
}

/** What surrounds a block of the section on TURN; Debian's package loads the module of nginx. */
const passthroughs = {
  nginx: (block, { path }) => ({
    command: ["nginx", "-p", path, "-c", join(path, "config")],
    config: `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
pid ${path}/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
${block}`,
  }),
  haproxy: programs.haproxy,
};

/**
 * Starts a TCP proxy with the block of docs/proxies.md that tells the gateway and coturn apart by the names in TLS.
 * @param {"nginx" | "haproxy"} language of the block
 * @param {{public: number, gateway: number, coturn: number}} ports of the proxy, and of both behind it
 */
export async function startPassthrough(language, ports) {
  const directory = await temporaryDirectory("passthrough");
  const block = (await documented(language, "TURN on the same port"))
    .replace("listen 443;", `listen 127.0.0.1:${ports.public};`)
    .replace("bind :443", `bind 127.0.0.1:${ports.public}`)
    .replaceAll("127.0.0.1:8443", `127.0.0.1:${ports.gateway}`)
    .replaceAll("127.0.0.1:5349", `127.0.0.1:${ports.coturn}`)
    .replaceAll("127.0.0.1:5350", `127.0.0.1:${await freePort()}`);
  return runProxy(directory, passthroughs[language](block, { path: directory.path }), { port: ports.public, what: language });
}

/** Runs a program with a configuration in a directory, which is removed with it. */
async function runProxy(directory, { command: [program, ...options], config }, { port, what }) {
  const { path } = directory;
  await writeFile(join(path, "config"), config);
  const proxy = await run(program, options, { env: { XDG_DATA_HOME: path, XDG_CONFIG_HOME: path, HOME: path } });
  await untilServes(proxy, () => accepts(port), { what });
  return {
    async stop() {
      await proxy.stop();
      await directory.remove();
    },
  };
}

/**
 * The gateway logs the address of the client behind the proxy, and not those that the client claims.
 * @param {object} site
 * @param {string} path that no other request has
 */
export async function knowsTheAddress(site, path) {
  const forged = { "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "http" };
  const client = { url: site.url, tls: { ...site.tls, host: "127.0.0.1", localAddress: "127.0.0.77" } };
  const answer = await sendRequest(client, path, { headers: { ...forged, host: new URL(site.url).host } });
  assert.notEqual(answer.status, 308);
  const line = await until(
    () => site.gateway.log().split("\n").find((text) => text.includes(path) && text.includes("client.addr")),
    { what: "the access line" },
  );
  assert.match(line, /client\.addr="?127\.0\.0\.77"?/);
}

/**
 * A stand-in that forwards as Traefik does (traefik/traefik v3, pkg/middlewares/forwardedheaders/forwarded_header.go:
 * `ServeHTTP` deletes the client's fields, `rewrite` sets them; `X-Forwarded-For` is appended by
 * httputil.ReverseProxy). The `Host` is the client's.
 * @param {{public: number, gateway: number, certificate: string, key: string}} site
 */
export async function startTraefik(site) {
  const fields = (request) => {
    const headers = { ...request.headers };
    const websocket = headers.upgrade?.toLowerCase() === "websocket";
    for (const name of Object.keys(headers)) if (/^x[-_]forwarded/.test(name) || name === "x-real-ip") delete headers[name];
    const client = request.socket.remoteAddress.replace(/^::ffff:/, "");
    return {
      ...headers,
      "x-real-ip": client,
      "x-forwarded-proto": websocket ? "wss" : "https",
      "x-forwarded-port": new URL(`https://${headers.host}`).port || "443",
      "x-forwarded-host": headers.host,
      "x-forwarded-server": hostname(),
      "x-forwarded-for": client,
    };
  };
  const sockets = new Set();
  const tls = { cert: await readFile(site.certificate), key: await readFile(site.key) };
  const server = createServer(tls, (request, response) => {
    const forward = httpRequest({
      host: "127.0.0.1", port: site.gateway, path: request.url, method: request.method, headers: fields(request),
    }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forward.on("error", () => response.destroy());
    response.on("close", () => forward.destroy());
    request.pipe(forward);
  });
  server.on("upgrade", (request, client, head) => {
    const backend = connect(site.gateway, "127.0.0.1", () => {
      const lines = Object.entries(fields(request)).map(([name, value]) => `${name}: ${value}`);
      backend.write(`GET ${request.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
      backend.write(head);
      client.pipe(backend).pipe(client);
    });
    tieSockets(sockets, client, backend);
  });
  server.listen(site.public, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  return { stop: () => closeServer(server, sockets) };
}
