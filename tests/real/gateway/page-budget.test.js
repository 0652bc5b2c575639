// What every page of the gateway costs and offers, in each language and both schemes: bytes, layout shift,
// one obvious action, and reach by keyboard.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "../lib/browser.js";
import { startGallery } from "../lib/gallery.js";

/** A page and all that it loads, as compressed on the wire. */
const MAX_BYTES = 30 * 1024;

/** The size of the window with each scheme; no layout depends on the scheme. */
const windows = { light: { width: 390, height: 844 }, dark: { width: 1280, height: 800 } };

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

/** Whether a page leaves at once, for the provider or an app. It is opened without its scripts. */
const leaves = (path) => /\/(continue|open-app(-desktop)?)$/.test(path);
const address = (path) => gallery.origin + path + (leaves(path) ? "?still" : "");
let tabs = 0;

/** A tab that measures the bytes of the gateway's responses, and layout shifts. */
async function measuredTab(options) {
  const context = await browser.newContext({ viewport: windows[options.colorScheme], ...options });
  const page = await context.newPage();
  // The script at the end of a page arrives after the first paint, so that all that it changes is seen.
  const key = `tab${tabs += 1}`;
  await context.exposeFunction("reportPaint", () => gallery.sendRest(key));
  await context.addInitScript(() => {
    new PerformanceObserver(() => window.reportPaint()).observe({ type: "paint", buffered: true });
    window.shifts = [];
    const observer = new PerformanceObserver((list) => {
      for (const { value, sources } of list.getEntries()) {
        window.shifts.push({ value, moved: sources.map(({ node }) => node?.className || node?.nodeName) });
      }
    });
    observer.observe({ type: "layout-shift", buffered: true });
    window.takeShifts = () => {
      for (const { value } of observer.takeRecords()) window.shifts.push({ value, moved: [] });
      return window.shifts;
    };
  });
  return {
    context,
    page,
    key,
    async open(path) {
      await page.goto(leaves(path) ? address(path) : `${gallery.origin}${path}?slow=${key}`);
      // Two frames: shifts of the first are reported with the second.
      const shifts = await page.evaluate(() => new Promise((resolve) => {
        requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => resolve(window.takeShifts()))));
      }));
      let bytes = await page.evaluate((origin) => {
        const all = performance.getEntries().filter(({ name, transferSize }) => transferSize && name.startsWith(origin));
        return all.reduce((sum, { transferSize }) => sum + transferSize, 0);
      }, gallery.origin);
      if (leaves(path)) {
        const whole = await fetch(gallery.origin + path);
        bytes = (await whole.arrayBuffer()).byteLength;
      }
      return { bytes, shifts };
    },
  };
}

/** The buttons of a page that are emphasized and visible, and whether a sentence is there to read. */
const offer = (page) => page.evaluate(() => {
  const seen = (element) => element.checkVisibility();
  const main = document.querySelector("main");
  const primary = [...main.querySelectorAll(".button:not(.quiet)")].filter(seen);
  const sentences = [...main.querySelectorAll("p, [role=status]")].filter((p) => seen(p) && p.textContent.trim());
  return { primary: primary.map((button) => button.textContent.trim()), sentences: sentences.length };
});

/** All languages, English first: the others are compared with it. */
const languages = () => {
  const all = new Set(["en", ...gallery.names.map((path) => path.split("/")[1])]);
  return [...all].filter((one) => one !== "hostile");
};

/**
 * What a language must not change: the elements in their order. By it, what English and Arabic show of the order of
 * the focus holds for each language of their direction.
 */
const elements = (page) => page.evaluate(() => [...document.body.querySelectorAll("*")].map((element) => {
  const { localName, id, classList, type = "", hidden } = element;
  return [localName, id, ...classList, type, hidden].join(" ");
}));

/** Where two lists differ at first. */
const difference = (one, other) => {
  const at = one.findIndex((element, index) => element !== other[index]);
  return at === -1 && one.length === other.length ? "" : `${one.at(at)} instead of ${other.at(at)}`;
};

test("every page is small, does not move while it loads, has one obvious action, and the elements of the English page", async (context) => {
  const largest = new Map();
  const wrong = [];
  await Promise.all(["light", "dark"].map(async (colorScheme) => {
    const tab = await measuredTab({ colorScheme });
    const english = new Map();
    for (const language of languages()) {
      for (const path of gallery.names.filter((name) => name.startsWith(`/${language}/`))) {
        const { bytes, shifts } = await tab.open(path);
        const shift = shifts.reduce((sum, { value }) => sum + value, 0);
        const name = path.split("/").at(-1);
        const known = largest.get(name) ?? { bytes: 0, shift: 0 };
        const isLarger = bytes > known.bytes;
        largest.set(name, {
          bytes: Math.max(bytes, known.bytes), shift: Math.max(shift, known.shift), language: isLarger ? language : known.language,
        });
        const where = `${path} ${colorScheme}`;
        if (bytes > MAX_BYTES) wrong.push(`${where}: ${bytes} bytes`);
        if (bytes < 1000) wrong.push(`${where}: only ${bytes} bytes were seen`);
        if (shift > 0) wrong.push(`${where}: moved by ${shift}: ${JSON.stringify(shifts)}`);
        const all = await elements(tab.page);
        if (language === "en") english.set(name, all);
        const other = difference(all, english.get(name));
        if (other) wrong.push(`${where}: ${other}`);
        const { primary, sentences } = await offer(tab.page);
        if (primary.length > 1) wrong.push(`${where}: several obvious actions: ${primary.join(", ")}`);
        // The page of a call shows the meeting itself.
        if (name !== "call" && primary.length + sentences === 0) wrong.push(`${where}: does not say what comes next`);
      }
    }
    await tab.context.close();
  }));
  assert.ok(languages().length >= 13, "the gallery has every language");
  const rows = [...largest].sort(([, one], [, other]) => other.bytes - one.bytes);
  for (const [name, { bytes, shift, language }] of rows) {
    context.diagnostic(`${name.padEnd(26)} ${String(bytes).padStart(6)} bytes (${language})  shift ${shift}`);
  }
  assert.ok(largest.size > 50, "the gallery has every page");
  assert.deepEqual(wrong, []);
});

test("a page that arrives in parts is painted when it is complete, and does not move", async () => {
  const { context, page, key } = await measuredTab({ colorScheme: "light" });
  // The label takes two lines: a box in the middle of them moved when the label arrived.
  const rest = encodeURIComponent('<label for="remember">');
  await page.goto(`${gallery.origin}/fr/join-host?slow=${key}&rest=${rest}`, { waitUntil: "commit" });
  await page.locator("#remember").waitFor({ state: "attached" });
  const isPainted = await page.evaluate(() => new Promise((resolve) => {
    new PerformanceObserver(() => resolve(true)).observe({ type: "paint", buffered: true });
    // Without the link to the end of the page, Chromium paints within a few frames.
    setTimeout(() => resolve(false), 1_000);
  }));
  if (!isPainted) assert.equal(await page.locator("[for=remember]").count(), 0, "the rest is held back");
  gallery.sendRest(key);
  await page.waitForFunction(() => performance.getEntriesByType("paint").length > 0);
  assert.equal(await page.locator("[for=remember]").count(), 1);
  assert.deepEqual(await page.evaluate(() => window.takeShifts()), []);
  assert.equal(isPainted, false);
  await context.close();
});

/** What Tab would focus, in the order of the document. */
const reachable = (page) => page.evaluate(() => {
  const all = document.querySelectorAll("a[href], button, input, iframe, [tabindex='0'], summary");
  const stops = [...all].filter((one) => one.checkVisibility() && !one.disabled && one.type !== "hidden");
  stops.forEach((one, index) => { one.dataset.stop = index; });
  return stops.length;
});

test("everything can be reached by keyboard, in order, and left again", async () => {
  await Promise.all(["light", "dark"].map(async (colorScheme) => {
    const { context, page } = await measuredTab({ colorScheme });
    const wrong = [];
    // One language of each direction: the others have the same elements.
    for (const path of gallery.names.filter((name) => /^\/(en|ar)\//.test(name))) {
      // A frame has stops of its own, which are another site's.
      if (path.endsWith("/call")) continue;
      await page.goto(address(path));
      const count = await reachable(page);
      // The way through the page begins before it, also where a field has the focus at first.
      await page.evaluate(() => {
        const start = Object.assign(document.createElement("a"), { href: "#" });
        document.body.prepend(start);
        start.focus();
      });
      const order = [];
      let isLeft = false;
      for (let press = 0; press <= count; press += 1) {
        await page.keyboard.press("Tab");
        const stop = await page.evaluate(() => {
          const element = document.activeElement;
          const { outlineStyle, outlineWidth } = getComputedStyle(element);
          return {
            // A field for a time has a stop for each of its parts.
            stop: element.dataset.stop,
            seen: element === document.body || outlineStyle !== "none" && parseFloat(outlineWidth) >= 2,
            name: element.outerHTML.slice(0, 80),
          };
        });
        if (!stop.seen) wrong.push(`${path}: the focus cannot be seen on ${stop.name}`);
        if (stop.stop !== undefined && order.at(-1) !== Number(stop.stop)) order.push(Number(stop.stop));
        isLeft = stop.stop === undefined;
        if (isLeft) break;
        if (stop.name.includes("datetime-local")) press -= 1;
      }
      if (!isLeft) wrong.push(`${path}: the focus stays in the page`);
      const expected = Array.from({ length: count }, (_, index) => index);
      if (order.join() !== expected.join()) wrong.push(`${path}: ${order} instead of ${expected}`);
    }
    assert.deepEqual(wrong, []);
    await context.close();
  }));
});
