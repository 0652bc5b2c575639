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
//  `terminate`; 32 a rid left out; 33 a rid far ahead with `terminate`; 34 stream management; 35 a poll broken off;
//  36 five polls broken off; 37 two polls at once.
//
// Followed where it matters: Prosody 0.12.3 `plugins/mod_websocket.lua` (validate_frame), `plugins/mod_bosh.lua`
// (streamopened), `plugins/mod_smacks.lua` (pre-resource-unbind, pre-session-close). Prosody is Debian's.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createHttpClient } from "../lib/http.js";
import { until } from "../lib/process.js";
import { names } from "../lib/prosody.js";
import { masked, openRawWebSocket } from "../lib/raw-websocket.js";
import { startSite } from "../lib/site.js";
import { appSecret } from "../lib/tokens.js";
import { authenticate, connect, enableResumption, join, post, requestConference } from "../lib/xmpp-lite.js";

const label = "removal";
const openRooms = [{ match: "*", enter: "guest", start: "anyone" }];
const closedRooms = [{ match: "*", enter: "member" }];

let site;
before(async () => {
  site = await startSite({
    label,
    prosody: async () => ({ secret: appSecret, guests: true }),
    settings: () => ({ room: openRooms }),
  });
}, { timeout: 60_000 });
after(() => site?.stop());

const isInside = (room, nick) => site.focus.occupants(`${room}@${names.muc}`).some((occupant) => occupant.nick === nick);

/** How long somebody is still in a room, in ms; fails after ten seconds. */
async function untilGone(room, nick) {
  const began = performance.now();
  await until(() => !isInside(room, nick), { what: `${nick} has left`, every: 5, within: 10_000 });
  return Math.round(performance.now() - began);
}

let count = 0;

const enterAs = (person, room, name) => person.submit(site.gateway, "/_gateway/join", { room, name });

/** A guest with a pass to a room of their own. */
async function guest() {
  count += 1;
  const [room, nick] = [`room-${count}`, `guest${count}`];
  const person = createHttpClient(site.url);
  assert.equal((await enterAs(person, room, nick)).status, 303);
  return { person, room, nick };
}

const target = ({ person, room }) => ({ base: site.url, tls: site.tls, query: { room }, headers: person.headers() });

async function joined(stream, { room, nick }, resumption) {
  await authenticate(stream);
  if (resumption) await enableResumption(stream);
  await requestConference(stream, `${room}@${names.muc}`);
  await join(stream, `${room}@${names.muc}`, nick);
  await until(() => isInside(room, nick), { what: `${nick} is in the room`, every: 5 });
}

/** The gateway's audit lines of one kind about a room. */
const audited = (event, room) => site.gateway.log().split("\n")
  .filter((line) => line.includes(` event="${event}"`) && line.includes(` room=${room} `));

const ways = {
  "signs out": ({ person }) => person.open(site.gateway, "/_gateway/logout"),
  "is revoked": async ({ session }) => {
    const answer = await fetch(`${site.gateway.admin}/revoke`, { method: "POST", body: JSON.stringify({ session }) });
    assert.equal(answer.status, 200);
  },
};

/** The trick, then the way out: gone within a second. */
async function assertGone(context, somebodyHere, way = ways["signs out"]) {
  await way(somebodyHere);
  const took = await untilGone(somebodyHere.room, somebodyHere.nick);
  context.diagnostic(`gone after ${took} ms`);
  assert.ok(took < 1_000, `${took} ms`);
}

describe("over WebSocket", () => {
  const text = (xml) => masked(0x81, Buffer.from(xml));
  const part = (first, payload, length) => masked(first, Buffer.from(payload), length);
  const tricks = {
    "nothing unusual": () => {},
    "one byte of a frame": (stream) => stream.bytes([0x81]),
    "half of a frame's length": (stream) => stream.bytes([0x81, 0xfe, 1]),
    "half of a frame's payload": (stream) => stream.bytes(part(0x81, "<message", 100)),
    "half of a ping": (stream) => stream.bytes(part(0x89, "x", 9)),
    "half of a close frame": (stream) => stream.bytes(part(0x88, [3], 2)),
    "a close frame": (stream) => stream.bytes(masked(0x88, Buffer.from([3, 232]))),
    "a close frame and the end of TCP": (stream) => {
      stream.bytes(masked(0x88, Buffer.from([3, 232])));
      stream.end();
    },
    "the end of TCP": (stream) => stream.end(),
    "a reset": (stream) => stream.reset(),
    "a binary frame": (stream) => stream.bytes(masked(0x82, Buffer.from("<a/>"))),
    "a fragment": (stream) => stream.bytes(masked(0x01, Buffer.from("<a/>"))),
    "a continuation": (stream) => stream.bytes(masked(0x80, Buffer.from("<a/>"))),
    "a reserved bit": (stream) => stream.bytes(masked(0xc1, Buffer.from("<a/>"))),
    "a reserved opcode": (stream) => stream.bytes(masked(0x83, Buffer.from("<a/>"))),
    "no mask": (stream) => stream.bytes([0x81, 4, ...Buffer.from("<a/>")]),
    "text before the element": (stream) => stream.bytes(text(" <a/>")),
    "an empty message": (stream) => stream.bytes(text("")),
    "a message that does not come": (stream) => stream.bytes(part(0x81, "<message", 2 ** 30)),
    "reads nothing": (stream) => stream.pause(),
    "an element left open": (stream) => stream.bytes(text("<message xmlns='jabber:client' to='x@y'><body>")),
    "an attribute left open": (stream) => stream.bytes(text("<message xmlns='jabber:client' to='")),
    "a CDATA section left open": (stream) => stream.bytes(text("<message xmlns='jabber:client'><body><![CDATA[")),
    "a comment left open": (stream) => stream.bytes(text("<!-- ")),
    "a processing instruction left open": (stream) => stream.bytes(text("<?a ")),
  };
  for (const [name, trick] of Object.entries(tricks)) {
    for (const resumption of [true, false]) {
      test(`${name}, ${resumption ? "with" : "without"} resumption`, async (context) => {
        const here = await guest();
        const stream = await openRawWebSocket({ url: `${site.url}/xmpp-websocket?room=${here.room}`, ...target(here) });
        await joined(stream, here, resumption);
        trick(stream);
        await assertGone(context, here);
        await stream.close();
      });
    }
  }
});

describe("over BOSH", () => {
  const xmlns = "http://jabber.org/protocol/httpbind";
  const url = ({ room }) => `${site.url}/http-bind?room=${room}`;

  /** A stream that polls no further, so that a test writes its requests. */
  async function session(here) {
    const stream = await connect({ transport: "bosh", ...target(here), poll: false, wait: 5 });
    const polls = setInterval(() => {
      if (stream.sid && stream.idle && !stream.inbox.ended) stream.send("");
    }, 30);
    try {
      await joined(stream, here, false);
    } finally {
      clearInterval(polls);
    }
    await until(() => stream.idle, { what: "all requests are answered", every: 5 });
    const send = (rid, attributes = "", content = "") => post({
      url: url(here), headers: target(here).headers, tls: site.tls,
      body: `<body rid="${rid}" sid="${stream.sid}" xmlns="${xmlns}" ${attributes}>${content}</body>`,
    });
    const abort = async (rid) => {
      const controller = new AbortController();
      const body = `<body rid="${rid}" sid="${stream.sid}" xmlns="${xmlns}"/>`;
      await site.prosody.reset();
      const sent = post({ url: url(here), headers: target(here).headers, tls: { ...site.tls, signal: controller.signal }, body });
      const arrived = async () => (await site.prosody.recorded()).requests.some((request) => request.body.includes(`rid="${rid}"`));
      await until(arrived, { what: "Prosody has the poll", every: 10 });
      controller.abort();
      await assert.rejects(sent);
    };
    return { stream, send, abort, rid: stream.rid };
  }

  const quiet = (answer) => void answer.catch(() => {});
  const tricks = {
    "nothing unusual": () => {},
    "a rid with a fraction": async ({ send, rid }) => quiet(send(`${rid + 1}.0`)),
    "a hexadecimal rid": async ({ send, rid }) => quiet(send(`0x${(rid + 1).toString(16)}`)),
    "a rid with spaces": async ({ send, rid }) => quiet(send(` ${rid + 1} `)),
    "a rid with an exponent": async ({ send, rid }) => quiet(send(`${rid + 1}e0`)),
    "a repeated rid that terminates": async ({ send, rid }) => {
      const answer = await send(rid, 'type="terminate"');
      assert.equal(answer.status, 200);
      await send(rid + 1, "", "<presence xmlns='jabber:client'/>");
    },
    "a rid left out": async ({ send, rid }) => quiet(send(rid + 2)),
    "a rid far ahead that terminates": async ({ send, rid }) => {
      await send(rid + 500, 'type="terminate"');
    },
    "a poll broken off": ({ abort, rid }) => abort(rid + 1),
    "five polls broken off": async ({ abort, rid }) => {
      for (let turn = 1; turn <= 5; turn += 1) await abort(rid + turn);
    },
    "stream management": async ({ send, rid }) => {
      const answer = await send(rid + 1, "", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
      assert.match(answer.text, /policy-violation/);
    },
    "two polls at once": async ({ send, rid }) => {
      quiet(send(rid + 1));
      quiet(send(rid + 2));
    },
  };
  for (const [name, trick] of Object.entries(tricks)) {
    test(name, async (context) => {
      const here = await guest();
      const bosh = await session(here);
      await trick(bosh);
      await assertGone(context, here);
      await bosh.stream.close();
    });
  }
});

test("a repeated terminate changes nothing that the gateway believes", async () => {
  const here = await guest();
  const stream = await connect({ transport: "bosh", ...target(here), wait: 2 });
  await joined(stream, here, false);
  const answer = await post({
    url: `${site.url}/http-bind?room=${here.room}`, headers: target(here).headers, tls: site.tls,
    body: `<body rid="${stream.rid - 1}" sid="${stream.sid}" type="terminate" xmlns="http://jabber.org/protocol/httpbind"/>`,
  });
  assert.equal(answer.status, 200);
  assert.ok(isInside(here.room, here.nick));
  assert.deepEqual(audited("left", here.room), []);
  await stream.close();
});

describe("each way out", () => {
  for (const transport of ["websocket", "bosh"]) {
    for (const [way, leave] of Object.entries(ways)) {
      test(`who ${way}, over ${transport}`, async (context) => {
        const here = await guest();
        const stream = await connect({ transport, ...target(here) });
        await joined(stream, here, transport === "websocket");
        const [, session] = audited("admitted", here.room).at(-1).match(/ session="([^"]+)"/);
        await assertGone(context, { ...here, session }, leave);
        await stream.close();
      });
    }

    test(`who no longer may after a reload, over ${transport}`, async (context) => {
      const here = await guest();
      const stream = await connect({ transport, ...target(here) });
      await joined(stream, here, transport === "websocket");
      try {
        await assertGone(context, here, () => site.gateway.reconfigure({ room: closedRooms }));
      } finally {
        await site.gateway.reconfigure({ room: openRooms });
        const admits = async () => (await enterAs(createHttpClient(site.url), "reloaded", "Ann")).status === 303;
        await until(admits, { what: "the rules admit guests again" });
      }
      await stream.close();
    });
  }
});
