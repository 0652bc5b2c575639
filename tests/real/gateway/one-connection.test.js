// A browser's WebSocket is a stream of the page's HTTP/2 connection (RFC 8441). It ends with the session, and a meeting
// survives a restart of the gateway on it.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startBrowser } from "../lib/browser.js";
import { temporaryDirectory } from "../lib/process.js";
import { startSite } from "../lib/site.js";

let site;
before(async () => {
  site = await startSite({ label: "one-connection" });
});
after(() => site?.stop());

/** The header blocks of requests that the browser's network log has, each with the number of its HTTP/2 connection. */
async function sentOverHttp2(netLog) {
  const { constants, events } = JSON.parse(await readFile(netLog, "utf8"));
  const type = constants.logEventTypes.HTTP2_SESSION_SEND_HEADERS;
  return events
    .filter((event) => event.type === type)
    .map(({ source, params }) => ({ connection: source.id, headers: params.headers }));
}

test("Chromium's network log has the handshake and the page on one connection", async (t) => {
  const directory = await temporaryDirectory("net-log");
  const netLog = join(directory.path, "net-log.json");
  const browser = await startBrowser({ netLog });
  try {
    await site.attend("first", "/Logged", { by: browser });
  } finally {
    await browser.stop();
  }
  const sent = await sentOverHttp2(netLog);
  await directory.remove();
  const having = (...fields) => sent.filter(({ headers }) => fields.every((field) => headers.some((header) => field.test(header))));
  const [page] = having(/^:method: GET$/, /^:path: \/Logged$/).slice(-1);
  const handshakes = having(/^:method: CONNECT$/, /^:protocol: websocket$/, /^:path: \/xmpp-websocket\?/);
  t.diagnostic(`page on connection ${page.connection}, WebSocket on ${handshakes.map(({ connection }) => connection)}`);
  assert.deepEqual(handshakes.map(({ connection }) => connection), [page.connection]);
});

/** A person in a room, with the statuses of the handshakes of their WebSockets so far, and the time of the first close. */
async function attend(login, path) {
  const handshakes = [];
  let closed;
  const closedAt = new Promise((resolve) => { closed = () => resolve(Date.now()); });
  const watch = async ({ context, page }) => {
    const network = await context.newCDPSession(page);
    await network.send("Network.enable");
    network.on("Network.webSocketHandshakeResponseReceived", ({ response }) => handshakes.push(response.status));
    network.on("Network.webSocketClosed", closed);
  };
  return { ...(await site.attend(login, path, { watch })), handshakes, closedAt };
}

// HTTP/1.1 switches protocols with 101; an extended CONNECT is answered with 200 (RFC 8441 § 5).
const overHttp2 = 200;

test("a sign-out ends the stream", async (t) => {
  const { context, page, handshakes, closedAt } = await attend("first", "/Left");
  assert.deepEqual(handshakes, [overHttp2]);
  const left = page.waitForFunction(() => window.meeting?.state !== "joined");
  const began = Date.now();
  await context.request.get(`${site.url}/_gateway/logout`, { headers: { "sec-fetch-site": "same-origin" } });
  const took = (await closedAt) - began;
  await left;
  t.diagnostic(`cut ${took} ms after the request to sign out`);
  if (process.env.GATEWAY_TEST_TIMES) assert.ok(took <= 1_000, `${took} ms`);
  await context.close();
});

test("a meeting goes on when the gateway was replaced", async (t) => {
  const visitors = [await attend("first", "/Kept"), await attend("second", "/Kept")];
  const [first, second] = visitors;
  await site.gateway.restart();
  // The client throws until its stream is resumed.
  const say = () => {
    try {
      window.meeting.say("still here");
      return true;
    } catch {
      return false;
    }
  };
  await second.page.waitForFunction(say, null, { timeout: 60_000 });
  await first.page.waitForFunction(() => window.meeting.messages.some(({ text }) => text === "still here"), null, { timeout: 60_000 });
  for (const { page, handshakes } of visitors) {
    const { state, since, participants } = await page.evaluate(() => window.meeting);
    t.diagnostic(`handshakes ${handshakes}; states ${Object.keys(since)}`);
    assert.equal(state, "joined");
    // Chromium opens a WebSocket over HTTP/2 only on a connection that it has, and the page's was closed.
    assert.ok(handshakes[0] === overHttp2 && handshakes.length > 1, String(handshakes));
    assert.equal(Object.keys(participants).length, 1, "nobody entered twice");
  }
  for (const { context } of visitors) await context.close();
});
