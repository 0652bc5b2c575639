// Three people sign in and meet in browsers. Prosody accepts none of the tokens in their
// browsers.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { waitForOthers } from "../lib/browser.js";
import { collectTokens } from "../lib/leaks.js";
import { people } from "../lib/provider.js";
import { startSite } from "../lib/site.js";
import { read } from "../lib/tokens.js";
import { login } from "../lib/xmpp-lite.js";

let site;
before(async () => {
  site = await startSite({ label: "meeting" });
});
after(() => site?.stop());

const logins = ["host", "first", "second"];
const nameOf = (who) => people[who].name;

for (const transport of ["websocket", "bosh"]) {
  describe(`three people over ${transport}`, () => {
    const room = transport === "websocket" ? "Team%20Call" : "Team%20Call%202";
    const address = `${room.toLowerCase()}@muc.meet.jitsi`;
    const leaks = collectTokens();
    const visitors = {};

    before(async () => {
      await site.prosody.reset();
      for (const who of logins) {
        const hash = `#config.preferBosh=${transport === "bosh"}`;
        visitors[who] = await site.attend(who, `/${room}${hash}`, { watch: leaks.watch });
      }
    });
    after(async () => {
      for (const { context } of Object.values(visitors)) await context.close();
    });

    test("each sees the other two by the provider's names", async () => {
      for (const who of logins) {
        const { page, meeting } = visitors[who];
        assert.equal(meeting.transport, transport);
        assert.equal(meeting.room, room.toLowerCase());
        assert.equal(meeting.me.name, nameOf(who));
        await waitForOthers(page, logins.filter((other) => other !== who).map(nameOf));
      }
    });

    test("a message reaches the others", async () => {
      await visitors.first.page.evaluate(() => window.meeting.say("hello"));
      for (const who of ["host", "second"]) {
        await visitors[who].page.waitForFunction(() => window.meeting.messages.some(({ text }) => text === "hello"));
      }
    });

    test("only staff is owner", () => {
      const affiliations = site.focus.occupants(address).map(({ name, affiliation }) => [name, affiliation]);
      assert.deepEqual(Object.fromEntries(affiliations), {
        [nameOf("host")]: "owner",
        [nameOf("first")]: "member",
        [nameOf("second")]: "member",
      });
    });

    test("Prosody received the gateway's token for this room, in the header only", async () => {
      const { sessions, requests } = await site.prosody.recorded();
      const kind = transport === "websocket" ? "websocket" : "bosh";
      const own = sessions.filter((session) => session.kind === kind);
      assert.equal(own.length, 3);
      for (const { token, query } of own) {
        const claims = read(token);
        assert.equal(claims.iss, "gateway");
        assert.equal(claims.room, room.toLowerCase());
        assert.doesNotMatch(query, /token/i);
      }
      for (const { headers } of requests) {
        assert.doesNotMatch(headers.cookie ?? "", /gateway/, "the gateway's cookies stay with the gateway");
      }
      assert.deepEqual(own.map(({ token }) => read(token).context.user.name).sort(), logins.map(nameOf).sort());
    });

    test("the web container receives neither cookie nor token", () => {
      for (const { headers, url } of site.web.requests) {
        assert.doesNotMatch(headers.cookie ?? "", /gateway/);
        assert.equal(headers.authorization, undefined);
        assert.doesNotMatch(url, /eyJ/);
      }
    });

    test("Prosody accepts no token of the browsers", async () => {
      for (const visitor of Object.values(visitors)) await leaks.inspect(visitor);
      const tokens = await leaks.tokens();
      assert.ok(tokens.length >= 3, "each page has at least its display token");
      for (const { token, places } of tokens) {
        const where = `found in ${places.join(", ")}`;
        for (const target of [{ query: { token } }, { headers: { authorization: `Bearer ${token}` } }]) {
          await assert.rejects(
            login({ transport: "websocket", base: site.prosody.url, ...target }),
            { name: "LoginRefused" },
            where,
          );
        }
      }
    });

    test("the gateway accepts no token of the browsers", async () => {
      const base = { transport: "websocket", base: site.url, tls: site.tls };
      for (const { token } of await leaks.tokens()) {
        for (const target of [
          { query: { room: room.toLowerCase(), token } },
          { query: { room: room.toLowerCase() }, headers: { authorization: `Bearer ${token}` } },
        ]) {
          await assert.rejects(login({ ...base, ...target }), { name: "HttpRefused" });
        }
      }
    });

    test("the pages ran without errors", () => {
      assert.deepEqual(Object.values(visitors).flatMap(({ problems }) => problems), []);
    });
  });
}

test("the gateway's log has no token", () => {
  assert.doesNotMatch(site.gateway.log(), /eyJ[\w-]+\.[\w-]+\./);
});
