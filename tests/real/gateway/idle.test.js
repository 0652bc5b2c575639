// Idle connections stay open: a WebSocket with pings only, and a BOSH poll that is held
// for a minute.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startSite } from "../lib/site.js";
import { authenticate, connect, enter, ping } from "../lib/xmpp-lite.js";

const minutes = Number(process.env.IDLE_MINUTES ?? 3);

let site;
let headers;
before(async () => {
  site = await startSite({ label: "idle" });
  headers = await site.headersOf("first");
});
after(() => site?.stop());

const target = (transport) => ({ transport, base: site.url, tls: site.tls, headers, query: { room: "planning" } });

describe("idle connections", { concurrency: true }, () => {
  test(`a WebSocket stays open for ${minutes} minutes with a ping every ten seconds`, { timeout: (minutes + 1) * 60_000 }, async () => {
    const { stream } = await enter({ ...target("websocket"), room: "planning", nick: "quiet" });
    const end = Date.now() + minutes * 60_000;
    while (Date.now() < end) {
      await Promise.race([pause(10_000), stream.closed]);
      assert.equal(stream.inbox.ended, undefined, "still open");
      await ping(stream, { within: 5_000 });
    }
    await stream.close();
  });

  test("a BOSH poll is held for a minute and then answered", { timeout: 120_000 }, async () => {
    const stream = await connect({ ...target("bosh"), wait: 60, poll: false });
    // Without automatic polls, the test sends each request itself.
    const created = await stream.open();
    assert.ok(created);
    const since = Date.now();
    const answer = await stream.exchange("");
    const held = (Date.now() - since) / 1000;
    assert.equal(answer.name, "body");
    assert.notEqual(answer.attrs.type, "terminate");
    assert.ok(held > 55 && held < 70, `held for ${held} s`);
    await stream.close();
  });

  test("a BOSH stream outlives two of its polls", { timeout: 240_000 }, async () => {
    const stream = await connect({ ...target("bosh"), wait: 60 });
    await authenticate(stream);
    const end = Date.now() + Math.min(minutes, 2.2) * 60_000;
    while (Date.now() < end) {
      await pause(Math.min(65_000, end - Date.now()));
      await ping(stream, { within: 5_000 });
    }
    assert.equal(stream.inbox.ended, undefined);
    await stream.close();
  });
});
