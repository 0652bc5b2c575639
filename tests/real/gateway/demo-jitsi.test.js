// `demo --jitsi`: the demonstration's provider and rules in front of a real Prosody with a secret of its own.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startBrowser, waitForState } from "../lib/browser.js";
import { startFocus } from "../lib/focus.js";
import { collectParts } from "../lib/parts.js";
import { temporaryDirectory, until } from "../lib/process.js";
import { startProsody } from "../lib/prosody.js";
import { startWeb } from "../lib/web.js";

const program = fileURLToPath(new URL("../../../target/debug/jitsi-auth-gateway", import.meta.url));
const secret = "the secret of a Prosody that was there before the gateway";
const { keep, stop } = collectParts();
const webSettings = { publicUrl: "https://localhost" };

let directory;
let prosody;
let web;
let browser;
before(async () => {
  directory = await temporaryDirectory("demo");
  prosody = keep(await startProsody({ secret, appId: "their-app" }));
  keep(await startFocus(prosody));
  web = keep(await startWeb(webSettings));
  browser = keep(await startBrowser());
});
after(async () => {
  await stop();
  await directory?.remove();
});

/** Starts the demonstration with a secret; returns its origin. */
async function startDemo(text) {
  const file = join(directory.path, "app.secret");
  await writeFile(file, `${text}\n`, { mode: 0o600 });
  const words = ["--jitsi", web.url, "--xmpp", prosody.url, "--app-id", "their-app", "--app-secret-file", file];
  const demo = spawn(program, ["demo", ...words], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => { demo.on("exit", resolve); });
  let printed = "";
  demo.stdout.on("data", (chunk) => { printed += chunk; });
  await until(() => printed.includes("Stop   Ctrl-C"), { what: "the demonstration starts" });
  assert.doesNotMatch(printed, /Watch/, "the overview needs the stand-in");
  const origin = /Open {3}(https:\S+)\/\n/.exec(printed)[1];
  webSettings.publicUrl = origin;
  return { origin, stop: () => { demo.kill("SIGTERM"); return ended; } };
}

/** Opens a room, and signs in at the demonstration's provider. */
async function open(origin, room, account) {
  const { page, context } = await browser.visitor({ ignoreHTTPSErrors: true });
  await page.goto(`${origin}/${room}`, { waitUntil: "commit" });
  await page.locator(`button[value=${account}]`).click();
  return { page, context };
}

test("people of the demonstration enter rooms of a Prosody that knows the secret", async () => {
  const demo = await startDemo(secret);
  const { page, context } = await open(demo.origin, "team", "hanna");
  const { me } = await waitForState(page, "joined");
  assert.equal(me.role, "moderator", JSON.stringify(me));
  await context.close();
  await demo.stop();
});

test("they do not, with another secret", async () => {
  const demo = await startDemo("a secret that this Prosody does not know");
  const { page, context } = await open(demo.origin, "team", "hanna");
  await assert.rejects(waitForState(page, "joined"), /not joined|passwordRequired|not-allowed|failed/i);
  await context.close();
  await demo.stop();
});
