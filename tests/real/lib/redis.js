import { registerSecret } from "./gateway.js";
import { accepts, freePort, run, temporaryDirectory, untilServes } from "./process.js";

/**
 * Starts a Redis server for one test, without persistence.
 * @param {object} options
 * @param {string} options.password
 * @param {string[]} [options.options] more of the server's command line
 * @param {object} [options.env] more environment
 * @param {string[]} [options.labels] of the gateways in whose logs the password must not be
 */
export async function startRedis({ password, labels = [], options = [], env }) {
  const directory = await temporaryDirectory("redis");
  const port = await freePort();
  for (const label of labels) await registerSecret(label, password);
  let program;
  const launch = async () => {
    program = await run("redis-server", [
      "--port", `${port}`, "--bind", "127.0.0.1", "--requirepass", password, "--save", "", "--appendonly", "no",
      ...options,
    ], { cwd: directory.path, env });
    await untilServes(program, () => accepts(port), { what: "Redis" });
  };
  await launch();
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    /** The server's URL with another password. */
    urlWith: (other) => `redis://:${other}@127.0.0.1:${port}`,
    /** Kills the server; its content is lost. */
    kill: () => program.stop({ grace: 0 }),
    launch,
    async stop() {
      await program.stop();
      await directory.remove();
    },
  };
}
