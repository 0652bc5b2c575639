import { createServer } from "node:http";
import { connect } from "node:net";
import { listen } from "./process.js";
import { closeServer, tieSockets } from "./sockets.js";

/**
 * A proxy for browsers that connects from another loopback address, as if the browser ran on
 * another machine.
 * @param {string} address of 127.0.0.0/8
 */
export async function startSourceAddressProxy(address) {
  const sockets = new Set();
  const server = createServer((_, response) => response.writeHead(405).end());
  server.on("connect", ({ url }, client, head) => {
    const target = connect({ port: new URL(`https://${url}`).port, host: "127.0.0.1", localAddress: address }, () => {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      target.write(head);
      client.pipe(target).pipe(client);
    });
    tieSockets(sockets, client, target);
  });
  const port = await listen(server);
  return {
    /** The proxy option of a browser's context. */
    proxy: { server: `http://127.0.0.1:${port}`, bypass: "<-loopback>" },
    stop: () => closeServer(server, sockets),
  };
}
