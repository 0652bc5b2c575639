import { createServer } from "node:http";
import { connect } from "node:net";
import { listen } from "./process.js";

/**
 * A proxy for browsers whose connections come from another address of this machine, as if they
 * ran on another one.
 * @param {string} address of 127.0.0.0/8
 */
export async function startElsewhere(address) {
  const sockets = new Set();
  const server = createServer((_, response) => response.writeHead(405).end());
  server.on("connect", ({ url }, client, head) => {
    const target = connect({ port: new URL(`https://${url}`).port, host: "127.0.0.1", localAddress: address }, () => {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      target.write(head);
      client.pipe(target).pipe(client);
    });
    for (const [one, other] of [[client, target], [target, client]]) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  const port = await listen(server);
  return {
    /** For a browser's context. */
    proxy: { server: `http://127.0.0.1:${port}`, bypass: "<-loopback>" },
    stop: () => new Promise((done) => {
      server.close(done);
      server.closeAllConnections();
      sockets.forEach((socket) => socket.destroy());
    }),
  };
}
