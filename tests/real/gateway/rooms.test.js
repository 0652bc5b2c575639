// The page, the token's claim and the MUC have the same room for every spelling of its
// address.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { waitForState } from "../lib/browser.js";
import { startSite } from "../lib/site.js";
import { read } from "../lib/tokens.js";
import { enter } from "../lib/xmpp-lite.js";

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
  "/acme/planning": { tenant: "acme", room: "planning" },
  "/Acme/Team%20Call": { tenant: "acme", room: "team%20call" },
  "/acme/Caf%C3%A9": { tenant: "acme", room: "caf%c3%a9" },
};

describe("the page", () => {
  for (const [path, expected] of Object.entries(spellings)) {
    test(`at ${path}`, async () => {
      await visitor.page.goto("about:blank");
      await site.prosody.reset();
      await visitor.page.goto(site.url + path, { waitUntil: "commit" });
      const meeting = await waitForState(visitor.page, "joined");

      if (expected.room) assert.equal(meeting.room, expected.room);
      assert.equal(meeting.tenant, expected.tenant);
      await agree(meeting);
    });
  }

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
