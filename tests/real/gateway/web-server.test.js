// The web server is no way to Prosody. docker-jitsi-meet's nginx rewrites any path that ends with Prosody's to
// Prosody (`lib/nginx.js`), so whatever the gateway forwards to it must not look like one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createHttpClient, sendRequest } from "../lib/http.js";
import { startNginx } from "../lib/nginx.js";
import { names } from "../lib/prosody.js";
import { startSite } from "../lib/site.js";
import { appSecret } from "../lib/tokens.js";
import { post } from "../lib/xmpp-lite.js";

let nginx;
let site;
before(async () => {
  site = await startSite({
    label: "web-server",
    prosody: async () => ({ secret: appSecret, guests: true }),
    settings: () => ({
      room: [{ match: "*", enter: ["group:staff"] }],
      location: [{ path: "/notes/", who: "anybody", methods: ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"], websocket: true }],
    }),
  });
  nginx = await startNginx({ xmpp: site.prosody.url });
  await site.gateway.restart({ upstream: { web: nginx.url } });
}, { timeout: 60_000 });
after(async () => {
  await site?.stop();
  await nginx?.stop();
});

/** The creation of a session at the guests' domain, where no token is needed. */
const body = `<body xmlns="http://jabber.org/protocol/httpbind" to="${names.guest}" rid="1" wait="5" hold="1" ver="1.6"/>`;

/** The same numbers in every run (Numerical Recipes' linear congruential generator). */
function* numbers(seed) {
  for (let value = seed; ; ) {
    value = (Math.imul(value, 1_664_525) + 1_013_904_223) >>> 0;
    yield value / 2 ** 32;
  }
}

const directories = [
  "acme", "a.b", "socket.io", "etherpad", "rtcstats-ws", "transcripts", "rtc-visualizer", "libs", "static", "x%20y", "Etherpad",
  "conference-request", "_api", ".well-known", "notes", "Notes",
];
const ends = ["http-bind", "xmpp-websocket"];
const tails = ["", "", "/", "/x", "X", ";", ";/", "%3Fx", "?room=board", "%20", "/.."];
const methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND"];

/** 500 paths with a segment of Prosody's, at any depth, in any spelling. */
function paths() {
  const random = numbers(4_711);
  const next = () => random.next().value;
  const one = (list) => list[Math.floor(next() * list.length)];
  const spell = (name) => [...name].map((letter) => {
    const how = next();
    if (how < 0.04) return `%${letter.charCodeAt(0).toString(16)}`;
    return how < 0.08 ? letter.toUpperCase() : letter;
  }).join("");
  return Array.from({ length: 500 }, () => {
    const before = Array.from({ length: Math.floor(next() * 4) }, () => spell(one(directories)));
    return { path: `/${[...before, spell(one(ends))].join("/")}${one(tails)}`, method: one(methods) };
  });
}

test("the web server alone would forward such a path to Prosody", async () => {
  await site.prosody.reset();
  const answer = await post({ url: `${nginx.url}/socket.io/http-bind?room=board`, body });
  assert.match(answer.text, /sid=/);
  assert.equal((await site.prosody.recorded()).requests.length, 1);
});

for (const who of ["a member", "nobody"]) {
  test(`no spelling leads to Prosody: ${who}`, { timeout: 120_000 }, async (context) => {
    const headers = who === "nobody" ? createHttpClient(site.url).headers() : await site.headersOf("second");
    await site.prosody.reset();
    const statuses = {};
    for (const { path, method } of paths()) {
      const content = ["GET", "HEAD", "OPTIONS"].includes(method) ? undefined : body;
      const answer = await sendRequest(site.gateway, path, {
        method, headers: { ...headers, "content-type": "text/xml", "content-length": Buffer.byteLength(content ?? "") }, body: content,
      });
      statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    }
    context.diagnostic(JSON.stringify(statuses));
    const { requests } = await site.prosody.recorded();
    assert.deepEqual(requests.map(({ method, path }) => `${method} ${path}`), []);
  });
}
