// The pictures of pages in the documents: made of the gallery with `UPDATE_SCREENSHOTS=1`, and checked by the
// texts of the pages that they show, which are stored as hashes beside them.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launchChromium } from "../lib/browser.js";
import { startGallery } from "../lib/gallery.js";

const root = new URL("../../../", import.meta.url);
const images = new URL("docs/images/", root);
const hashes = new URL("texts.json", images);
const documents = ["README.md", "docs/pages.md"];

/** The pictures by their files' names, and the page of the gallery that each shows. */
const pictures = { start: "start", waiting: "wait", join: "join", refusal: "refused-not-allowed" };

/** What a picture may weigh, so that a clone stays small. */
const MAX_BYTES = 40 * 1024;

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

/** Opens a page and returns the hash of its texts. */
async function open(page, name) {
  await page.goto(`${gallery.origin}/en/${name}`);
  const text = await page.evaluate(() => {
    const fields = [...document.querySelectorAll("input")].map(({ value, type }) => (type === "text" ? value : ""));
    return [document.title, document.body.innerText, ...fields].join("\n").replace(/\s+/g, " ");
  });
  return createHash("sha256").update(text).digest("hex");
}

async function picture(context, page) {
  const session = await context.newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 80 });
  await session.detach();
  return Buffer.from(data, "base64");
}

test("the pictures in the documents are of the pages as they are", async () => {
  const context = await browser.newContext({ viewport: { width: 1120, height: 720 }, colorScheme: "light" });
  const page = await context.newPage();
  const now = {};
  for (const [file, name] of Object.entries(pictures)) {
    now[file] = await open(page, name);
    if (process.env.UPDATE_SCREENSHOTS) writeFileSync(new URL(`${file}.webp`, images), await picture(context, page));
  }
  await context.close();
  if (process.env.UPDATE_SCREENSHOTS) writeFileSync(hashes, `${JSON.stringify(now, null, 2)}\n`);
  assert.deepEqual(JSON.parse(readFileSync(hashes, "utf8")), now, "renew them as tests/real/README.md says");
});

test("the pictures are small, and the documents show all of them with a text for those who do not see them", () => {
  const files = readdirSync(images).filter((name) => name.endsWith(".webp"));
  assert.deepEqual(files.sort(), Object.keys(pictures).map((name) => `${name}.webp`).sort());
  for (const file of files) {
    const { size } = statSync(fileURLToPath(new URL(file, images)));
    assert.ok(size <= MAX_BYTES, `${file} has ${size} bytes`);
  }
  for (const document of documents) {
    const shown = [...readFileSync(new URL(document, root), "utf8").matchAll(/!\[([^\]]*)\]\([^)]*images\/(\w+\.webp)\)/g)];
    assert.deepEqual(shown.map(([, , file]) => file).sort(), files, document);
    for (const [, text, file] of shown) assert.ok(text.length > 20, `${file} in ${document}: ${text}`);
  }
});
