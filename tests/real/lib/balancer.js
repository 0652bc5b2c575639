import { connect, createServer } from "node:net";
import { listen } from "./process.js";

/**
 * A plain TCP load balancer like a Service of Kubernetes: no stickiness, round robin over the
 * replicas that report ready; open connections are kept.
 * @param {{every?: number, failures?: number}} [options] how often to ask /readyz, in ms, and how many
 *   refusals in a row take a replica out
 */
export async function startBalancer({ every = 500, failures = 2 } = {}) {
  const replicas = new Map();
  const sockets = new Set();
  let turn = 0;

  const server = createServer((client) => {
    const ready = [...replicas.values()].filter(({ refused }) => refused < failures);
    const replica = ready[turn++ % ready.length];
    if (!replica) return void client.destroy();
    const backend = connect(replica.port, "127.0.0.1");
    for (const [one, other] of [[client, backend], [backend, client]]) {
      sockets.add(one);
      one.setNoDelay(true);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  const port = await listen(server);

  const probe = async (replica) => {
    const answer = await fetch(`${replica.admin}/readyz`).catch(() => undefined);
    await answer?.arrayBuffer();
    replica.refused = answer?.ok ? 0 : replica.refused + 1;
  };
  const probing = setInterval(() => replicas.forEach((replica) => void probe(replica)), every);

  return {
    url: `https://localhost:${port}`,
    /** Adds a gateway to the balancer. */
    add: ({ admin, ports }) => replicas.set(admin, { admin, port: ports.https, refused: 0 }),
    /** Removes a gateway, like the endpoint of a deleted pod. */
    remove: ({ admin }) => replicas.delete(admin),
    stop: () => new Promise((done) => {
      clearInterval(probing);
      server.close(done);
      sockets.forEach((socket) => socket.destroy());
    }),
  };
}
