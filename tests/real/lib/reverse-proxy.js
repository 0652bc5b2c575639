import { createServer, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { listen } from "./process.js";
import { closeServer, tieSockets } from "./sockets.js";

const toProsody = /^(\/[^/]+)?\/(http-bind|xmpp-websocket)(\?|$)/;

/**
 * A reverse proxy without authentication: one origin before the web container and Prosody, as the
 * control for tests of the gateway. The upstreams are set later, because they need its address.
 */
export async function startReverseProxy() {
  const upstream = {};
  const target = (url) => {
    if (!toProsody.test(url)) return { port: upstream.web, path: url };
    const { pathname, search } = new URL(url, "http://front");
    return { port: upstream.xmpp, path: `/${pathname.split("/").at(-1)}${search}` };
  };
  const sockets = new Set();
  const server = createServer((request, response) => {
    const forward = httpRequest({
      host: "127.0.0.1", ...target(request.url), method: request.method, headers: request.headers,
    }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forward.on("error", () => response.destroy());
    response.on("close", () => forward.destroy());
    request.pipe(forward);
  });
  server.on("upgrade", (request, client, head) => {
    const { port, path } = target(request.url);
    const backend = connect(port, "127.0.0.1", () => {
      const lines = [`GET ${path} HTTP/1.1`];
      for (let i = 0; i < request.rawHeaders.length; i += 2) {
        lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      }
      backend.write(`${lines.join("\r\n")}\r\n\r\n`);
      backend.write(head);
      client.pipe(backend).pipe(client);
    });
    tieSockets(sockets, client, backend);
  });
  const port = await listen(server);
  return {
    url: `http://localhost:${port}`,
    /** @param {{web: number, xmpp: number}} ports */
    use: (ports) => Object.assign(upstream, ports),
    /** Breaks every WebSocket, as a network failure would. */
    cut: () => sockets.forEach((socket) => socket.destroy()),
    stop: () => closeServer(server, sockets),
  };
}
