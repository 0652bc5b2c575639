/**
 * Ties two sockets of one proxied connection together: an error or the close of one destroys the
 * other. The set has both while they are open.
 * @param {Set<import("node:net").Socket>} sockets
 */
export function tieSockets(sockets, client, backend) {
  for (const [one, other] of [[client, backend], [backend, client]]) {
    sockets.add(one);
    one.on("error", () => other.destroy());
    one.on("close", () => {
      sockets.delete(one);
      other.destroy();
    });
  }
}

/** Closes an HTTP or TCP server and its connections. */
export function closeServer(server, sockets = new Set()) {
  return new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections?.();
    sockets.forEach((socket) => socket.destroy());
  });
}
