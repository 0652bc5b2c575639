import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "./process.js";

const source = fileURLToPath(new URL("clock.c", import.meta.url));

/**
 * A clock for the gateway and Prosody that can be set forward. Timers go on as before.
 *
 * The C compiler that builds its library is that which Rust needs to link.
 * @param {number} [offset] seconds before the machine's clock, or behind it if negative
 */
export async function startClock(offset = 0) {
  const directory = await temporaryDirectory("clock");
  const library = join(directory.path, "clock.so");
  execFileSync("cc", ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", library, source]);
  const file = join(directory.path, "offset");
  const write = () => writeFile(file, String(offset));
  await write();
  return {
    env: { LD_PRELOAD: library, CLOCK_OFFSET_FILE: file },
    now: () => Date.now() + offset * 1000,
    async advance(seconds) {
      offset += seconds;
      await write();
    },
    async reset() {
      offset = 0;
      await write();
    },
    stop: () => directory.remove(),
  };
}
