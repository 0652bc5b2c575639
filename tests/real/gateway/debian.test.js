// Debian's web server with the site of deploy/debian, behind the gateway.

import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { request } from "node:https";
import { after, before, describe, test } from "node:test";
import { startDebianWeb } from "../lib/debian-web.js";
import { navigation } from "../lib/http.js";
import { startSite } from "../lib/site.js";

let web;
let site;
before(async () => {
  web = await startDebianWeb();
  site = await startSite({
    label: "debian",
    settings: () => ({ upstream: { web: web.url }, room: [{ match: "*", enter: "open" }] }),
  });
}, { timeout: 60_000 });
after(async () => {
  await site?.stop();
  await web?.stop();
});

/** Status, headers and decoded body of a file. */
function get(path, headers = {}) {
  return new Promise((resolve, reject) => {
    request(site.url + path, { headers, ...site.tls }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => {
        const raw = Buffer.concat(chunks);
        const body = answer.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw;
        resolve({ status: answer.statusCode, headers: answer.headers, text: body.toString(), bytes: raw.length });
      });
    }).on("error", reject).end();
  });
}

describe("the tenant of an address", () => {
  for (const [path, subdomain, subdir] of [
    ["/planning", "", ""],
    ["/acme/planning", "acme.", "acme/"],
    ["/umbrella/planning", "umbrella.", "umbrella/"],
  ]) {
    test(`${path} is in its page`, async () => {
      const { status, text } = await get(path, navigation);
      assert.equal(status, 200, text);
      assert.ok(text.includes(`var subdomain = '${subdomain}';`), text);
      assert.ok(text.includes(`var subdir = '${subdir}';`), text);
    });
  }
  for (const [path, subdir] of [["/config.js", ""], ["/acme/config.js", "acme/"]]) {
    test(`${path} has it`, async () => {
      const { status, headers, text } = await get(path);
      assert.equal(status, 200);
      assert.match(headers["content-type"], /javascript/);
      assert.ok(text.includes(`var subdir = '${subdir}';`), text);
    });
  }
});

describe("a file", () => {
  for (const [path, type, compressed] of [
    ["/libs/lib-jitsi-meet.min.js", /javascript/, true],
    ["/acme/libs/lib-jitsi-meet.min.js", /javascript/, true],
    ["/libs/excalidraw.wasm", /^application\/wasm$/, true],
    ["/images/watermark.svg", /^image\/svg\+xml$/, true],
    ["/lang/main-de.json", /^application\/json$/, true],
    ["/sounds/knock.wav", /^audio\/wav$/, false],
  ]) {
    test(`${path} has its type, ${compressed ? "compressed if the browser takes it" : "as it is"}`, async () => {
      const plain = await get(path);
      assert.equal(plain.status, 200);
      assert.match(plain.headers["content-type"], type);
      assert.equal(plain.headers["content-encoding"], undefined);
      const packed = await get(path, { "accept-encoding": "gzip" });
      assert.equal(packed.headers["content-encoding"], compressed ? "gzip" : undefined);
      assert.equal(packed.text, plain.text);
      if (compressed) assert.ok(packed.bytes < plain.bytes, `${packed.bytes} of ${plain.bytes}`);
    });
  }
});

test("nginx has nothing to warn of", () => {
  assert.equal(web.output(), "");
});
