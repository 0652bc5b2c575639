import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const running = new Set();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/**
 * A free TCP port of the loopback interface, for a program that is to listen there later. It is below the ports that
 * the kernel gives to outgoing connections (`ip_local_port_range`, 32768 and up), one of which would otherwise take it
 * in the meantime.
 */
export async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer().listen(port, "127.0.0.1");
    const isFree = await once(server, "listening").then(() => true, () => false);
    if (isFree) {
      server.close();
      await once(server, "close");
    }
    if (isFree && !given.has(port)) {
      given.add(port);
      return port;
    }
  }
}

/** The ports that this process was given. */
const given = new Set();

/** Listens on a free loopback port and returns it. */
export async function listen(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server.address().port;
}

/**
 * Calls `check` repeatedly until it returns a truthy value, and returns that value.
 * @param {() => unknown} check may be async; what it throws counts as "not yet"
 * @param {{what?: string, within?: number, every?: number}} [options] times in ms
 */
export async function until(check, { what = "condition", within = 10_000, every = 50 } = {}) {
  const deadline = Date.now() + within;
  for (;;) {
    let problem;
    try {
      const answer = await check();
      if (answer) return answer;
    } catch (error) {
      problem = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`${what}: not within ${within} ms`, { cause: problem });
    }
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

/** Whether a server accepts TCP connections on the port. */
export async function accepts(port, host = "127.0.0.1") {
  const socket = connect(port, host);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A new directory in the system's temporary one, and a function that removes it. */
export async function temporaryDirectory(label) {
  const path = await mkdtemp(join(tmpdir(), `gateway-${label}-`));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/**
 * Runs a child process.
 *
 * Its output is kept in memory (`output()`) and optionally written to a file.
 * @param {string} command
 * @param {string[]} args
 * @param {{env?: object, cwd?: string, logFile?: string, append?: boolean}} [options] `append` adds
 *   to the file what others have begun
 */
export async function run(command, args, { env = {}, cwd, logFile, append = false } = {}) {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let text = "";
  let file;
  if (logFile) {
    await mkdir(dirname(logFile), { recursive: true });
    file = createWriteStream(logFile, { flags: append ? "a" : "w" });
  }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      file?.write(chunk);
    });
  }
  let ended;
  const exited = new Promise((resolve) => {
    const settle = (outcome) => {
      ended ??= outcome;
      running.delete(child);
      file?.end();
      resolve(ended);
    };
    child.once("error", (error) => settle({ error }));
    child.once("close", (code, signal) => settle({ code, signal }));
  });

  return {
    pid: child.pid,
    exited,
    output: () => text,
    signal: (name) => child.kill(name),
    /** Throws if the program has ended, so that a wait for it fails at once. */
    mustRun() {
      if (ended) throw new Error(`${command} ended: ${JSON.stringify(ended)}\n${text.slice(-4000)}`);
    },
    async stop({ grace = 5_000 } = {}) {
      if (ended) return ended;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), grace);
      const outcome = await exited;
      clearTimeout(timer);
      return outcome;
    },
  };
}

/** Like `until`, but fails at once when the program has ended. */
export async function untilServes(program, check, options) {
  let dead;
  const answer = await until(async () => {
    try {
      program.mustRun();
    } catch (error) {
      dead = error;
      return true;
    }
    return check();
  }, options);
  if (dead) throw dead;
  return answer;
}
