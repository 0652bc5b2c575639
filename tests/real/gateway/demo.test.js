// The demonstration in a browser: the stand-ins' pages, the address without a token, and the overview.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import { launchChromium } from "../lib/browser.js";
import { until } from "../lib/process.js";

const program = fileURLToPath(new URL("../../../target/debug/jitsi-auth-gateway", import.meta.url));
const sizes = [{ width: 360, height: 740 }, { width: 1280, height: 800 }];

let demo;
let origin;
let overview;
let browser;
let log = "";
before(async () => {
  demo = spawn(program, ["demo"], { stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  demo.stdout.on("data", (text) => { printed += text; });
  demo.stderr.on("data", (text) => { log += text; });
  await until(() => printed.includes("Stop   Ctrl-C"), { what: "the demonstration starts" });
  assert.equal(log, "", "nothing is logged before the announcement");
  origin = /Open {3}(https:\S+)\/\n/.exec(printed)[1];
  overview = /Watch {2}(http:\S+)\n/.exec(printed)[1];
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  demo?.kill("SIGTERM");
});

async function visitor(options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  return { context, page: await context.newPage() };
}

/** Opens a room, and signs in at the stand-in for the provider if it asks. */
async function enter(page, room, account) {
  await page.goto(`${origin}/${room}`);
  const [signIn, choice] = [page.getByRole("link", { name: "Sign in" }), page.locator(`button[value=${account}]`)];
  await signIn.or(choice).first().waitFor();
  if (await signIn.isVisible()) await signIn.click();
  await choice.click();
  await page.getByText("You are in the room.").waitFor();
}

/** What axe finds, and elements that are wider than the window. */
async function faults(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await window.axe.run(document, { runOnly: { type: "tag", values: tags } });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(", ")}`);
  });
  for (const size of sizes) {
    await page.setViewportSize(size);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
    if (wide) found.push(`wider than ${size.width}`);
  }
  return found;
}

for (const colorScheme of ["light", "dark"]) {
  test(`the stand-ins' pages are accessible and fit every window: ${colorScheme}`, async () => {
    const { context, page } = await visitor({ colorScheme });
    await page.goto(`${origin}/team`);
    await page.locator("button[value=hanna]").waitFor();
    assert.deepEqual(await faults(page), [], "the provider");
    await page.locator("button[value=hanna]").click();
    await page.getByText("You are in the room.").waitFor();
    await page.locator("summary").click();
    assert.deepEqual(await faults(page), [], "the room");
    const bar = await page.locator(".bar").textContent();
    assert.match(bar, /^Stand-in for Jitsi Meet/);

    const presenter = await visitor({ colorScheme });
    await presenter.page.goto(overview);
    await presenter.page.locator("#people .badge").first().waitFor();
    assert.match(await presenter.page.locator("#people .note").first().textContent(), /^since \d+:\d\d/);
    await presenter.page.locator("#tokens summary").first().click();
    assert.deepEqual(await faults(presenter.page), [], "the overview");
    await presenter.context.close();
    await context.close();
  });
}

test("the address of a room has no token once the page has read it", async () => {
  const { context, page } = await visitor();
  await enter(page, "team", "max");
  await page.waitForURL(`${origin}/team`);
  assert.equal(await page.evaluate(() => location.hash), "");
  assert.match(await page.locator("#given").textContent(), /Max Member/);
  await context.close();
});

test("tiles say who is a host, a member and a guest", async () => {
  const [hanna, max, guest] = await Promise.all([visitor(), visitor(), visitor()]);
  await enter(hanna.page, "open-house", "hanna");
  await enter(max.page, "open-house", "max");
  await guest.page.goto(`${origin}/open-house`);
  await guest.page.locator("#name").fill("Gerda Guest");
  await guest.page.locator("#name").press("Enter");
  await guest.page.getByText("You are in the room.").waitFor();
  await hanna.page.getByText("Gerda Guest").waitFor();
  const tiles = await hanna.page.locator("#people li").evaluateAll((all) => all.map((tile) => [
    tile.querySelector("strong").textContent, tile.querySelector(".badge").textContent,
  ]));
  assert.deepEqual(tiles.sort(), [
    ["Gerda Guest", "guest"], ["Hanna Host (you)", "host"], ["Max Member", "member"],
  ]);
  await until(() => log.includes("Gerda Guest entered open-house as participant, rule 5"), { what: "the story" });
  assert.match(log, /Max Member entered open-house as participant, rule 5/);
  assert.doesNotMatch(log, /access|WARN/);
  for (const { context } of [hanna, max, guest]) await context.close();
});

test("a sign-out on the overview ends a visit, which the page measures", async () => {
  const [max, presenter] = await Promise.all([visitor(), visitor()]);
  await enter(max.page, "retro", "max");
  await presenter.page.goto(overview);
  await presenter.page.getByRole("button", { name: "Sign out Max Member in retro" }).click();
  await presenter.page.getByText(/Max Member was gone from retro after \d+ ms\./).waitFor();
  await max.page.waitForURL(/\/_gateway\/signed-out/);
  await presenter.page.getByRole("button", { name: /Log in again as Max Member/ }).first().click();
  await presenter.page.getByText("Max Member, with the token for retro: Prosody accepts it.").waitFor();
  for (const { context } of [max, presenter]) await context.close();
});
