// Whoever is put out has left the room at Prosody within a second, whatever their client did before.
// The client is our own, over WebSocket and BOSH, and does what lib-jitsi-meet never does:
//
//  WebSocket frames: 1 nothing unusual; 2 one byte of a frame; 3 half of its length; 4 half of its payload;
//  5 half of a ping; 6 half of a close frame; 7 a close frame, and stays; 8 a close frame, and the end of TCP;
//  9 the end of TCP; 10 a reset; 11 a binary frame; 12 a fragment; 13 a continuation; 14 a reserved bit;
//  15 a reserved opcode; 16 no mask; 17 text before the element; 18 an empty message; 19 a message of a gigabyte
//  that does not come; 20 reads nothing any more.
//  XML: 21 an element left open; 22 an attribute; 23 a CDATA section; 24 a comment; 25 a processing instruction.
//  BOSH: 26 nothing unusual; 27 rids `N.0`; 28 hexadecimal; 29 with spaces; 30 with an exponent; 31 a repeated rid with
//  `terminate`; 32 a rid left out; 33 a rid far ahead with `terminate`; 34 a poll broken off; 35 five polls broken off;
//  36 stream management; 37 two polls at once; 38 half of a poll; 39 an answer left unread.
//
// Followed where it matters: Prosody 0.12.3 `plugins/mod_websocket.lua` (validate_frame), `plugins/mod_bosh.lua`
// (streamopened), `plugins/mod_smacks.lua` (pre-resource-unbind, pre-session-close). Prosody is Debian's.
// `removal-ways.test.js` has the other ways out and the other kinds of people, `removal-expiry.test.js` the ends of
// sessions and visits.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { boshTricks, joinHostile, webSocketTricks } from "../lib/hostile.js";
import { startVisitorSite } from "../lib/visitors.js";

let site;
before(async () => {
  site = await startVisitorSite({ label: "removal" });
}, { timeout: 60_000 });
after(() => site?.stop());

/** Signs a member out who plays a trick, and checks that they are gone within a second. */
async function assertGone(context, transport, trick, options) {
  const here = await joinHostile(site, await site.kinds.member(), transport, options);
  try {
    await here.play(trick);
    await here.person.open(site.gateway, "/_gateway/logout");
    const took = await site.goneAfter(here, Date.now());
    context.diagnostic(`gone after ${took} ms`);
    assert.ok(took < 1_000, `${took} ms`);
  } finally {
    await here.close();
  }
}

test("the head lists each trick", () => {
  assert.equal(Object.keys(webSocketTricks).length + Object.keys(boshTricks).length, 39);
});

describe("over WebSocket", { concurrency: 4 }, () => {
  for (const trick of Object.keys(webSocketTricks)) {
    for (const resumption of [true, false]) {
      test(`${trick}, ${resumption ? "with" : "without"} resumption`, (context) =>
        assertGone(context, "websocket", trick, { resumption }));
    }
  }
});

describe("over BOSH", { concurrency: 4 }, () => {
  for (const trick of Object.keys(boshTricks)) {
    test(trick, (context) => assertGone(context, "bosh", trick));
  }
});

test("a repeated terminate changes nothing that the gateway believes", async () => {
  const here = await joinHostile(site, await site.kinds.guest(), "bosh");
  await here.play("a repeated rid that terminates");
  assert.ok(site.isInside(here));
  assert.equal(site.audited("left", here), undefined);
  await here.close();
});
