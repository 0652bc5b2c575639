// The gateway's own pages in a browser: accessibility, and no execution of injected text.
// `PICTURES=1` writes a picture of every page to tests/output/pages/, to look at.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import { launchChromium } from "../lib/browser.js";
import { startGallery } from "../lib/gallery.js";
import { until } from "../lib/process.js";

const output = fileURLToPath(new URL("../../output/pages/", import.meta.url));
const phone = { width: 320, height: 640 };
const laptop = { width: 1280, height: 800 };
const wall = { width: 3840, height: 2160 };

let gallery;
let browser;
before(async () => {
  gallery = await startGallery();
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await gallery?.stop();
});

/**
 * A visitor whose browser records errors in `problems`, and requests to other hosts in `strayed`.
 */
async function visitor(options = {}) {
  const context = await browser.newContext({ viewport: laptop, ...options });
  const page = await context.newPage();
  const [problems, strayed] = [[], []];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (/^csp |Content.Security.Policy/i.test(message.text())) problems.push(message.text());
  });
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`csp ${event.effectiveDirective} ${event.blockedURI}`);
    });
  });
  await context.route((url) => url.origin !== gallery.origin && url.protocol !== "data:", (route) => {
    const url = route.request().url();
    if (url.startsWith(gallery.calls)) return route.continue();
    strayed.push(url);
    return route.fulfill({ contentType: "text/html", body: "<h1>elsewhere</h1>" });
  });
  const open = async (path) => {
    await page.goto(gallery.origin + path, { waitUntil: "commit" });
    await page.locator("h1").waitFor({ state: "attached" });
    await page.waitForFunction(() => document.readyState !== "loading");
  };
  return { context, page, problems, strayed, open };
}

/** The names of all pages in a language. */
const pages = (language) => gallery.names
  .filter((path) => path.startsWith(`/${language}/`))
  .map((path) => path.split("/").at(-1));

const allRules = { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };

/** The rules whose outcome depends on the colours. */
const rulesOfColours = { type: "rule", values: ["color-contrast", "link-in-text-block"] };

/**
 * The languages whose colours are examined, which takes half of the time: the style sheet is the same in each, and
 * gateway/page-budget compares the elements.
 */
const coloured = ["en", "ar", "hostile"];

async function violations(page, runOnly, without = []) {
  await page.evaluate(`window.axe ?? (() => {${axe.source}})()`);
  const options = {
    runOnly, iframes: false, resultTypes: ["violations"], rules: Object.fromEntries(without.map((rule) => [rule, { enabled: false }])),
  };
  return page.evaluate(async (given) => {
    const { violations: all } = await window.axe.run(document, given);
    return all.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(", ")}`);
  }, options);
}

/** The elements that overflow the window. */
const sticksOut = (page) => page.evaluate(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const wide = [...document.querySelectorAll("body *")].filter((element) => {
    const { left, right } = element.getBoundingClientRect();
    return left < 0 || right > width;
  });
  return wide.map(({ tagName, className }) => `${tagName}.${className}`);
});

for (const language of ["en", "ar", "de", "fr", "es", "pt", "it", "nl", "pl", "tr", "uk", "ja", "zh-Hans", "hostile"]) {
  test(`every page is accessible: ${language}`, async () => {
    // Without transitions, a change of the scheme is complete at once.
    const { context, page, problems, strayed, open } = await visitor({ colorScheme: "light", reducedMotion: "reduce" });
    const wrong = [];
    const names = pages(language);
    assert.ok(names.length > 40, "the gallery has every page");
    for (const name of names) {
      // The page that redirects at once is loaded without its script.
      await open(`/${language}/${name}${name === "continue" ? "?still" : ""}`);
      await page.evaluate(() => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
      if (coloured.includes(language)) {
        wrong.push(...(await violations(page, allRules)).map((what) => `${name}: ${what}`));
        await page.emulateMedia({ colorScheme: "dark" });
        wrong.push(...(await violations(page, rulesOfColours)).map((what) => `${name}, dark: ${what}`));
        await page.emulateMedia({ colorScheme: "light" });
      } else {
        wrong.push(...(await violations(page, allRules, rulesOfColours.values)).map((what) => `${name}: ${what}`));
      }
      for (const size of [phone, wall]) {
        await page.setViewportSize(size);
        wrong.push(...(await sticksOut(page)).map((what) => `${name}: ${what} at ${size.width}`));
      }
      await page.setViewportSize(laptop);
      const canary = await page.evaluate(() => window.canary);
      if (canary !== undefined) wrong.push(`${name}: ran`);
      if (language !== "hostile") assert.equal(await page.getAttribute("html", "lang"), language);
    }
    assert.deepEqual(wrong, []);
    assert.deepEqual(problems, []);
    assert.deepEqual(strayed, []);
    await context.close();
  });
}

async function takePictures() {
  for (const [language, colorScheme, sizes] of [
    ["en", "light", [phone, laptop, wall]],
    ["en", "dark", [laptop]],
    ["ar", "light", [phone, laptop]],
  ]) {
    const { context, page, open } = await visitor({ colorScheme });
    const to = `${output}${language}-${colorScheme}/`;
    mkdirSync(to, { recursive: true });
    for (const name of pages(language)) {
      await open(`/${language}/${name}${name === "continue" ? "?still" : ""}`);
      for (const size of sizes) {
        await page.setViewportSize(size);
        await page.screenshot({ path: `${to}${name}-${size.width}.png`, fullPage: size === phone });
      }
    }
    await context.close();
  }
}
if (process.env.PICTURES) test("pictures", takePictures);

/**
 * Presses Tab until the element has the focus; every focused element on the way has to be visible.
 */
async function tabTo(page, selector) {
  for (let stops = 0; stops < 40; stops += 1) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate((wanted) => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const { width, height } = element.getBoundingClientRect();
      return {
        here: element.matches(wanted),
        name: element.outerHTML.slice(0, 80),
        seen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2,
        large: width >= 24 && height >= 24,
      };
    }, selector);
    assert.ok(stop.seen, `the focus is not seen: ${stop.name}`);
    assert.ok(stop.large, `the target is too small: ${stop.name}`);
    if (stop.here) return;
  }
  assert.fail(`${selector} cannot be reached`);
}

/** Runs an action and returns the first request that it causes to the path. */
async function sends(page, path, act) {
  const before = gallery.requests.length;
  await act();
  await until(() => gallery.requests.slice(before).some(({ url }) => url.startsWith(path)), { what: path });
  await page.waitForURL((url) => url.pathname.startsWith(path), { waitUntil: "commit" });
  const request = gallery.requests.slice(before).find(({ url }) => url.startsWith(path));
  const text = request.method === "POST" ? request.body : request.url.split("?")[1];
  return { ...request, fields: Object.fromEntries(new URLSearchParams(text)) };
}

test("the start page keeps no token that Jitsi's page left in its address", async () => {
  const { context, page, open } = await visitor();
  for (const [hash, left] of [
    ["#jwt=%22a.b.c%22", ""], ["#config.x=1&jwt=%22a.b.c%22", ""], ["#name", "#name"],
  ]) {
    // A change of the fragment alone would load nothing.
    await open("/en/join");
    await open(`/en/start${hash}`);
    assert.equal(new URL(page.url()).hash, left);
  }
  await context.close();
});

test("meetings are created and joined by keyboard alone", async () => {
  const { context, page, problems, open } = await visitor();
  const enter = () => page.keyboard.press("Enter");

  await open("/en/start");
  await tabTo(page, "button.button");
  const anew = await sends(page, "/_gateway/meetings", enter);
  assert.equal(anew.method, "POST");
  assert.deepEqual(anew.fields, { name: "" });
  assert.equal(anew.headers.origin, gallery.origin, "the server can tell that the form is ours");

  await open("/en/start");
  await tabTo(page, "#name");
  await page.keyboard.type("Board Meeting");
  const named = await sends(page, "/_gateway/meetings", enter);
  assert.deepEqual(named.fields, { name: "Board Meeting" });

  await open("/en/start-signed-out");
  await tabTo(page, "#room");
  await page.keyboard.type("https://meet.example.org/x?y");
  const go = await sends(page, "/_gateway/go", enter);
  assert.deepEqual(go.fields, { room: "https://meet.example.org/x?y" });

  await open("/en/join");
  await tabTo(page, "#name");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("Ada");
  const joined = await sends(page, "/_gateway/join", enter);
  assert.equal(joined.headers.origin, gallery.origin);
  assert.deepEqual(
    { ...joined.fields, invite: "…" },
    { room: "acme/calm-otter-4821-k7qd3m2a", page: "/acme/calm-otter-4821-k7qd3m2a", name: "Ada", invite: "…", remember: "1" },
  );

  // Where the field is all that the page is about, it has the focus from the start.
  for (const [name, field] of [
    ["join-problem", "name"], ["join-guests", "name"], ["start-guest", "room"], ["join", ""], ["start-signed-out", ""],
  ]) {
    await open(`/en/${name}`);
    assert.equal(await page.evaluate(() => document.activeElement.id), field, name);
  }
  assert.deepEqual(problems, []);
  await context.close();
});

test("a meeting's page copies links and shows local times", async () => {
  const { context, page, problems, open } = await visitor({
    timezoneId: "Asia/Kolkata",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  await open("/en/meeting");
  assert.equal(await page.locator("[data-copies]:visible").count(), 1, "one link to invite with");
  await tabTo(page, "[data-copies=invite]");
  await page.keyboard.press("Enter");
  await page.getByText("Copied").waitFor();
  assert.equal(
    await page.evaluate(() => navigator.clipboard.readText()),
    await page.inputValue("#invite"),
  );
  assert.match(await page.locator("time").first().textContent(), /Saturday, November 21, 2026.*3:30/);

  await tabTo(page, "details:nth-of-type(1) > summary");
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("[data-copies]:visible").count(), 3, "the other links are behind it");
  await page.getByText("Add to your calendar").click();
  assert.equal(await page.inputValue("#begin"), "2026-11-21T15:30");
  await page.fill("#subject", "Board & more");
  await page.fill("#begin", "2026-12-01T00:15");
  await page.fill("#minutes", "90");
  const link = async (id) => new URL(await page.getAttribute(id, "href")).searchParams;
  const [google, outlook] = [await link("#google"), await link("#outlook")];
  assert.equal(google.get("dates"), "20261130T184500Z/20261130T201500Z");
  assert.equal(google.get("text"), "Board & more");
  assert.equal(outlook.get("startdt"), "2026-11-30T18:45:00Z");
  assert.equal(outlook.get("enddt"), "2026-11-30T20:15:00Z");
  const file = await sends(page, "/_gateway/meeting.ics", () => page.press("#subject", "Enter"));
  assert.deepEqual(file.fields, {
    room: "acme/calm-otter-4821-k7qd3m2a", title: "Board & more", start: "2026-11-30T18:45", minutes: "90",
  });
  assert.deepEqual(problems, []);
  await context.close();
});

test("recent meetings are of this site, have no tokens, and can be removed", async () => {
  const { context, page, problems, open } = await visitor();
  await open("/en/start");
  assert.equal(await page.isVisible("#recent"), false);
  await page.evaluate((origin) => {
    const at = (conference, date) => ({ conference, date });
    localStorage.setItem("features/recent-list", JSON.stringify([
      at(`${origin}/acme/Caf%C3%A9?jwt=secret#x`, 1_700_000_000_000),
      at("https://elsewhere.example/x", 5), at("javascript:canary=1", 4), at(`${origin}/_gateway/logout`, 3),
      at(`${origin}/%3Cimg%20src%3Dx%20onerror%3Dcanary%3D1%3E`, 2), null, "x", { conference: 1 },
    ]));
    localStorage.setItem("gateway.rooms", JSON.stringify([
      { ...at(`${origin}/acme/caf%c3%a9`, 1), room: "acme/caf%c3%a9" }, { ...at(`${origin}/a/b/c`, 9), room: 1 },
    ]));
  }, gallery.origin);
  await open("/en/meeting");
  const kept = await page.evaluate(() => JSON.parse(localStorage.getItem("gateway.rooms")));
  assert.deepEqual(kept.map(({ conference, room }) => [conference, room]).slice(2), [
    ["https://meet.example.org/acme/calm-otter-4821-k7qd3m2a", "acme/calm-otter-4821-k7qd3m2a"],
  ]);
  await open("/en/start");
  const links = await page.locator("#recent a").evaluateAll((all) => all.map((a) => [a.getAttribute("href"), a.textContent]));
  assert.deepEqual(links, [
    ["/acme/Caf%C3%A9", "acme/Café"],
    // The way back of a host, also where the latest visit was to the room itself.
    ["/_gateway/meeting?room=acme%2Fcaf%25c3%25a9", "Links and calendar"],
    ["/b/c", "b/c"],
    ["/%3Cimg%20src%3Dx%20onerror%3Dcanary%3D1%3E", "<img src=x onerror=canary=1>"],
  ]);
  assert.deepEqual(await violations(page), []);
  await tabTo(page, "#recent button");
  await page.keyboard.press("Enter");
  assert.equal(await page.isVisible("#recent"), false);
  assert.equal(await page.evaluate(() => document.activeElement.id), "room");
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  await page.evaluate(() => localStorage.setItem("gateway.rooms", "{"));
  await page.reload();
  assert.equal(await page.evaluate(() => window.canary), undefined);
  assert.deepEqual(problems, []);
  await context.close();
});

test("a waiting visitor enters with the fragment, and the page announces it", async () => {
  const { context, page, problems, open } = await visitor({ reducedMotion: "reduce" });
  await open("/en/wait#config.startWithAudioMuted=true");
  await until(() => gallery.streams.size === 1, { what: "the page listens" });
  const animation = await page.locator(".pulse").evaluate((pulse) => getComputedStyle(pulse).animationName);
  assert.equal(animation, "none", "nothing moves");
  assert.equal(await page.isChecked("#sound"), false);
  await tabTo(page, "#sound");
  await page.keyboard.press("Space");
  assert.equal(await page.isChecked("#sound"), true);
  await tabTo(page, "a:focus");
  const loaded = gallery.requests.filter(({ url }) => url === "/en/wait").length;
  gallery.sendEvent("open");
  await page.waitForFunction(() => document.title === "The meeting is starting!");
  assert.equal(await page.locator("[role=status]").textContent(), "The meeting is starting. Opening it…");
  await until(() => gallery.requests.filter(({ url }) => url === "/en/wait").length > loaded, { what: "it loads again" });
  await until(() => gallery.streams.size === 1, { what: "and listens again" });
  assert.equal(new URL(page.url()).hash, "#config.startWithAudioMuted=true");

  for (const stream of gallery.streams) stream.destroy();
  await page.getByText("Connection lost").waitFor();
  await page.getByText("Waiting for the host").waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("a page before the opening tries again when the room opens, and not before", async () => {
  const { context, page, problems, open } = await visitor();
  const opens = Date.parse("2026-11-21T10:00:00Z");
  const again = () => gallery.requests.filter(({ url }) => url.startsWith("/_gateway/login")).length;
  for (const [before, tries] of [[60_000, 1], [40 * 86_400_000, 0], [-60_000, 0]]) {
    await page.clock.install({ time: opens - before });
    const earlier = again();
    await open("/en/refused-not-yet");
    assert.equal(await page.locator("main .button:not(.quiet)").count(), 0, "nothing is to be done");
    await page.clock.runFor(59_000);
    assert.equal(again(), earlier);
    await page.clock.runFor(10_000);
    if (tries > 0) await page.waitForURL(/\/_gateway\/login/);
    assert.equal(again(), earlier + tries, `${before} ms before`);
  }
  assert.deepEqual(problems, []);
  await context.close();
});

test("every page but a call works without scripts", async () => {
  const { context, page, open } = await visitor({ javaScriptEnabled: false });
  await open("/en/wait");
  assert.equal(await page.locator("noscript meta[http-equiv=refresh]").count(), 1);
  assert.equal(await page.isVisible("#sound"), false);
  await open("/en/meeting");
  assert.match(await page.locator("time").first().textContent(), /^2026-11-21 10:00 UTC$/);
  assert.equal(await page.isVisible("[data-copies]"), false);
  assert.match(await page.inputValue("#invite"), /\?invite=/);
  await page.getByText("Add to your calendar").click();
  const file = await sends(page, "/_gateway/meeting.ics", () => page.press("#subject", "Enter"));
  assert.equal(file.fields.start, "2026-11-21T10:00");
  await open("/en/start");
  assert.equal(await page.isVisible("#recent"), false);
  await open("/en/call");
  assert.equal(await page.locator("noscript p").count(), 1);
  assert.equal(await page.isVisible("[role=status]"), false);
  await context.close();
});

test("the page before the provider redirects only there", async () => {
  for (const language of ["en", "hostile"]) {
    const { context, page, problems, strayed } = await visitor();
    await page.goto(`${gallery.origin}/${language}/continue#x`);
    await page.waitForURL("https://sso.example.org/**");
    assert.deepEqual(strayed, ["https://sso.example.org/auth?client_id=jitsi"]);
    assert.deepEqual(problems, []);
    await context.close();
  }
});

test("an app is opened at once", async () => {
  const { context, page, open } = await visitor();
  const session = await context.newCDPSession(page);
  await session.send("Page.enable");
  const requested = [];
  session.on("Page.frameRequestedNavigation", ({ url }) => requested.push(url));
  await open("/en/open-app");
  await until(() => requested.length > 0, { what: "the app is requested for" });
  assert.deepEqual(requested, ["org.jitsi.meet://meet.example.org/x?jwt=a.b.c"]);
  await open("/hostile/open-app");
  assert.equal(await page.locator("[href^=javascript]").count(), 0);
  await context.close();
});

test("a call is shown in a frame, and its end on the gateway's page", async () => {
  const { context, page, problems, open } = await visitor();
  await open("/en/call");
  await page.waitForFunction(() => window.call);
  const { host, options } = await page.evaluate(() => ({ host: call.host, options: call.options }));
  assert.equal(`http://${host}`, gallery.calls);
  assert.deepEqual(options, {
    roomName: "Grace Example", userInfo: { displayName: "Zoë Example" },
    parentNode: "frame", width: "100%", height: "100%",
  });
  await page.frameLocator("iframe").locator("h1").waitFor();
  await page.evaluate(() => call.api.listeners.readyToClose());
  await page.getByText("You have left the meeting").waitFor();
  assert.equal(await page.locator("iframe").count(), 0);
  assert.deepEqual(await violations(page), []);

  await page.reload();
  await page.frameLocator("iframe").locator("h1").waitFor();
  await until(() => gallery.streams.size === 1, { what: "the page listens" });
  gallery.sendEvent("close");
  await page.getByText("Your session has ended").waitFor();
  assert.equal(await page.locator("iframe").count(), 0);

  await page.route(`${gallery.calls}/**`, (route) => route.abort());
  await page.reload();
  await page.getByText("The meeting cannot be shown").waitFor();
  assert.equal(await page.locator("#failed .button:not(.quiet)").textContent(), "Try again");
  assert.equal(await page.locator("#failed .site").textContent(), "Meet at Example");
  assert.deepEqual(await violations(page), []);
  assert.deepEqual(problems, []);
  await context.close();
});

test("Jitsi's page receives the outcome of a sign-in in a popup, and no other site does", async () => {
  const { context, page, problems } = await visitor();
  const hears = async (act) => {
    await page.goto(`${gallery.origin}/opener`);
    await page.evaluate(() => {
      window.heard = new Promise((resolve) => addEventListener("message", ({ data, origin }) => resolve({ data, origin })));
    });
    await page.evaluate(act);
    return page.evaluate(() => window.heard);
  };
  const { origin } = gallery;
  assert.deepEqual(
    await hears(() => void window.open("/en/popup")),
    { origin, data: { type: "oauth-success", accessToken: "Zoë Example" } },
  );
  await until(() => context.pages().length === 1, { what: "the window closes" });
  assert.deepEqual(
    await hears(() => void window.open("/en/popup-failed")),
    { origin, data: { type: "oauth-error", error: "room_pattern (room)" } },
  );
  assert.deepEqual(
    await hears(() => { document.querySelector("iframe").src = "/en/logout-frame"; }),
    { origin, data: { type: "logout-success" } },
  );
  // A page of another origin can open the window, but receives no message.
  await page.goto(`${gallery.calls}/x`);
  const popup = context.waitForEvent("page");
  await page.evaluate((address) => {
    window.heard = [];
    addEventListener("message", ({ data }) => window.heard.push(data));
    window.open(address);
  }, `${origin}/en/popup`);
  await (await popup).waitForEvent("close");
  assert.deepEqual(await page.evaluate(() => window.heard), []);
  assert.deepEqual(problems, []);
  await context.close();
});
