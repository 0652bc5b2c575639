import { connect, createServer } from "node:net";
import { listen } from "./process.js";
import { closeServer, tieSockets } from "./sockets.js";

/**
 * A TCP relay to a server on loopback whose connections a test can break.
 * @param {number} port of the server
 */
export async function startRelay(port) {
  const sockets = new Set();
  const server = createServer((client) => {
    const backend = connect(port, "127.0.0.1");
    tieSockets(sockets, client, backend);
    client.pipe(backend).pipe(client);
  });
  const own = await listen(server);
  const cut = () => sockets.forEach((socket) => socket.destroy());
  return {
    url: `http://127.0.0.1:${own}`,
    /** Breaks every connection; new ones are accepted. */
    cut,
    stop: () => closeServer(server, sockets),
  };
}
