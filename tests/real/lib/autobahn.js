import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run, temporaryDirectory } from "./process.js";

const kosoku = process.env.KOSOKU ?? fileURLToPath(new URL("../python/bin/kosoku", import.meta.url));

/**
 * Runs cases of the Autobahn test suite against a WebSocket server that echoes messages, or is expected not to.
 * @param {string} url
 * @param {string[]} cases ids, with `*`
 * @returns {Promise<Map<string, string>>} by the id of each case: the suite's verdicts on messages and on the close, the
 *   server's close code, and the messages, pings and pongs that arrived
 */
export async function runAutobahn(url, cases) {
  const directory = await temporaryDirectory("autobahn");
  try {
    const chosen = cases.flatMap((id) => ["--include", id]);
    const program = await run(kosoku, ["--parallelism", "4", "--outdir", directory.path, ...chosen, url]);
    // 1: some case has failed, which may be right.
    const { code } = await program.exited;
    if (code !== 0 && code !== 1) throw new Error(program.output());
    const [agent] = Object.values(JSON.parse(await readFile(join(directory.path, "index.json"), "utf8")));
    const verdicts = new Map();
    for (const [id, { behavior, behaviorClose, remoteCloseCode, reportfile }] of Object.entries(agent)) {
      const { received } = JSON.parse(await readFile(join(directory.path, reportfile), "utf8"));
      const texts = received.map((event) => JSON.stringify(event).slice(0, 80));
      verdicts.set(id, `${behavior}, close ${behaviorClose} ${remoteCloseCode}, ${texts.length} received: ${texts}`.slice(0, 400));
    }
    return verdicts;
  } finally {
    await directory.remove();
  }
}
