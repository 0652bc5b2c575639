import { connect, createServer } from "node:net";
import { listen } from "./process.js";

/**
 * A cable to a server on loopback that can be pulled out: TCP, byte for byte.
 * @param {number} port of the server
 */
export async function startRelay(port) {
  const sockets = new Set();
  const server = createServer((client) => {
    const backend = connect(port, "127.0.0.1");
    for (const [one, other] of [[client, backend], [backend, client]]) {
      sockets.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  const own = await listen(server);
  const cut = () => sockets.forEach((socket) => socket.destroy());
  return {
    url: `http://127.0.0.1:${own}`,
    /** Breaks every connection; new ones are made as before. */
    cut,
    stop: () => new Promise((done) => {
      server.close(done);
      cut();
    }),
  };
}
