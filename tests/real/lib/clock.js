import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDirectory } from "./process.js";

/** Debian's libfaketime, for programs with threads. */
const library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/** The environment of a program whose clock differs from the machine's. */
export const clockOffset = (seconds) => ({
  LD_PRELOAD: library,
  FAKETIME: `${seconds > 0 ? "+" : ""}${seconds}s`,
});

/** A clock for the gateway and Prosody that can be set forward. Timers go on as before. */
export async function startClock() {
  const directory = await temporaryDirectory("clock");
  const file = join(directory.path, "offset");
  let offset = 0;
  const write = () => writeFile(file, `+${offset}s\n`);
  await write();
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    },
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
