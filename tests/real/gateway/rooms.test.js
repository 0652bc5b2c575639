// The page, the token's claim and the MUC have the same room for every spelling of its
// address.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { waitForState } from "../lib/browser.js";
import { startSite } from "../lib/site.js";
import { read } from "../lib/tokens.js";
import { enter, featuresRoom } from "../lib/xmpp-lite.js";

let site;
let visitor;
let headers;
before(async () => {
  site = await startSite({ label: "rooms" });
  visitor = await site.attend("host", "/doorstep");
  headers = await site.headersOf("first");
});
after(() => site?.stop());

const spellings = {
  "/planning": { room: "planning" },
  "/PlanNing": { room: "planning" },
  "/Team%20Call": { room: "team%20call" },
  "/Team+Call": { room: "teamcall" },
  "/Caf%C3%A9": { room: "caf%c3%a9" },
  "/caf%c3%a9": { room: "caf%c3%a9" },
  "/CAF%C3%89": { room: "caf%c3%a9" },
  "/Cafe%CC%81": { room: "caf%c3%a9" },
  "/%EF%AC%81ne": { room: "fine" },
  "/%D0%9F%D0%BB%D0%B0%D0%BD": { room: "%d0%bf%d0%bb%d0%b0%d0%bd" },
  "/100%25": { room: "100%25" },
  "/It%20is%20(fine)!": { room: "it%20is%20fine" },
  "/a.b_c~d-e": { room: "a.b_c~d-e" },
  "/%E4%BC%9A%E8%AE%AE": { room: "%e4%bc%9a%e8%ae%ae" },
  "/%D0%92%D0%A1%D0%A2%D0%A0%D0%95%D0%A7%D0%90": { room: "%d0%b2%d1%81%d1%82%d1%80%d0%b5%d1%87%d0%b0" },
  "/R%C3%A4ksm%C3%B6rg%C3%A5s": { room: "r%c3%a4ksm%c3%b6rg%c3%a5s" },
  "/te&st": { room: "test" },
  "/a:b": { room: "ab" },
  "/o'hara": { room: "ohara" },
  "/o%27hara": { room: "ohara" },
  "/d%27%C3%A9t%C3%A9": { room: "d%c3%a9t%c3%a9" },
  "/TeamCall/": { room: "teamcall" },
  "//TeamCall": { room: "teamcall" },
  "/acme//TeamCall/": { tenant: "acme", room: "teamcall" },
  "/2026/11/28": { tenant: "11", room: "28" },
  // The longest that Prosody takes.
  [`/${"x".repeat(1023)}`]: { room: "x".repeat(1023) },
  [`/${encodeURIComponent("п".repeat(170))}`]: { room: "%d0%bf".repeat(170) },
  [`/${encodeURIComponent("会".repeat(113))}`]: { room: "%e4%bc%9a".repeat(113) },
  [`/acme/${"x".repeat(1017)}`]: { tenant: "acme", room: "x".repeat(1017) },
  "/acme/planning": { tenant: "acme", room: "planning" },
  "/Acme/Team%20Call": { tenant: "acme", room: "team%20call" },
  "/acme/Caf%C3%A9": { tenant: "acme", room: "caf%c3%a9" },
  "/DEPARTMENT/%E4%BC%9A%E8%AE%AE": { tenant: "department", room: "%e4%bc%9a%e8%ae%ae" },
};

describe("the page", () => {
  for (const [path, expected] of Object.entries(spellings)) {
    test(`at ${path.length > 60 ? `${path.slice(0, 20)}… of ${path.length} bytes` : path}`, async () => {
      await visitor.page.goto("about:blank");
      await site.prosody.reset();
      await visitor.page.goto(site.url + path, { waitUntil: "commit" });
      const meeting = await waitForState(visitor.page, "joined");

      if (expected.room) assert.equal(meeting.room, expected.room);
      assert.equal(meeting.tenant, expected.tenant);
      await agree(meeting);
    });
  }

  test("longer names and those of paths are refused with a page that says so", async () => {
    const refused = {
      [`/${"x".repeat(1024)}`]: /too long/, [`/${encodeURIComponent("会".repeat(114))}`]: /too long/,
      [`/acme/${"x".repeat(1018)}`]: /too long/, "/Config.js": /reserved/, "/a%00b": /check the address/,
    };
    for (const [path, words] of Object.entries(refused)) {
      const answer = await visitor.page.goto(site.url + path);
      assert.equal(answer.status(), 400, path);
      assert.match(await visitor.page.textContent("main"), words);
    }
  });

  // Current pages send for this address what older pages sent for another room: a refusal is right,
  // entry into the other room is not.
  test("a doubly encoded address enters no other room", async () => {
    await visitor.page.goto("about:blank");
    await site.prosody.reset();
    const answer = await visitor.page.goto(`${site.url}/caf%25c3%25a9`, { waitUntil: "commit" });
    if (answer.status() >= 400) return;
    const meeting = await waitForState(visitor.page, "joined").catch(() => undefined);
    if (meeting) await agree(meeting);
  });
});

/** Asserts that page, claim, tenant and MUC have the same room. */
async function agree(meeting) {
  const [session] = (await site.prosody.recorded()).sessions;
  const claim = read(session.token).room;
  const inner = meeting.tenant ? `[${meeting.tenant}]${meeting.room}` : meeting.room;
  assert.ok([meeting.room, inner].includes(claim), `claim ${claim} for ${inner}`);
  assert.equal(session.prefix, meeting.tenant ?? "");
  // By these two Jitsi's modules find the room.
  assert.equal(session.room, meeting.room);
  assert.ok(site.focus.rooms().includes(`${inner}@muc.meet.jitsi`), site.focus.rooms().join(" "));
}

describe("the room parameter", () => {
  const values = {
    "as newer pages send it": ["room=caf%C3%A9", "caf%c3%a9"],
    "as older pages send it": ["room=caf%25c3%25a9", "caf%c3%a9"],
    "a space as plus": ["room=team+call", "team%20call"],
    "a space as newer pages send it": ["room=team%20call", "team%20call"],
    "in capitals": ["room=PLANNING", "planning"],
  };
  for (const transport of ["websocket", "bosh"]) {
    for (const [name, [query, room]] of Object.entries(values)) {
      test(`${name}, over ${transport}`, async () => {
        await site.prosody.reset();
        const visit = await enter({
          transport, base: site.url, tls: site.tls, headers, query, room, nick: `raw_${transport}`,
        });
        await visit.stream.close();
        const { sessions } = await site.prosody.recorded();
        assert.equal(read(sessions[0].token).room, room);
      });
    }
  }
});

// Polls, moderation, breakout rooms, lobbies and file sharing look the room up by the address of the connection.
describe("Jitsi's features find the room", () => {
  const rooms = {
    planning: "planning", "Team Call": "team%20call", "Caf\u00e9": "caf%c3%a9", "\u4f1a\u8bae": "%e4%bc%9a%e8%ae%ae",
    "\u0412\u0441\u0442\u0440\u0435\u0447\u0430": "%d0%b2%d1%81%d1%82%d1%80%d0%b5%d1%87%d0%b0", "a&b": "a%26b", "100%": "100%25", "a+b": "a%2bb",
  };
  const spellings = {
    "as newer pages send it": (node) => encodeURIComponent(decodeURIComponent(node)),
    "as older pages send it": (node) => encodeURIComponent(node),
  };
  for (const transport of ["websocket", "bosh"]) {
    for (const tenant of [undefined, "acme"]) {
      for (const [name, node] of Object.entries(rooms)) {
        // Both transports write one query.
        if (transport === "bosh" && !["Team Call", "\u4f1a\u8bae"].includes(name)) continue;
        for (const [kind, spell] of Object.entries(spellings)) {
          // A name that is encoded once more when it is decoded once is another room's.
          if (node === "100%25" && kind === "as newer pages send it") continue;
          test(`of "${name}", ${kind}, over ${transport}${tenant ? ", with a tenant" : ""}`, async () => {
            const { stream } = await enter({
              transport, base: site.url, tls: site.tls, headers, tenant, query: `room=${spell(node)}`, room: node,
              muc: tenant ? `muc.${tenant}.meet.jitsi` : "muc.meet.jitsi", nick: `f_${transport}`,
            });
            try {
              const found = await featuresRoom(stream);
              const inner = tenant ? `[${tenant}]${node}` : node;
              assert.equal(found.jid, `${inner}@muc.meet.jitsi`);
              assert.equal(found.occupant, "true");
            } finally {
              await stream.close();
            }
          });
        }
      }
    }
  }
});
