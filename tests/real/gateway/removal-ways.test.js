// Whoever is put out is out, whatever way it happens and whoever it is: gone from the room at Prosody within a second,
// over WebSocket and BOSH, with domain verification off and (a sample) on, and without a way back into the stream. Each
// of them plays the worst tricks of `removal.test.js`, which has all of them, first.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { joinHostile } from "../lib/hostile.js";
import { createHttpClient } from "../lib/http.js";
import { until } from "../lib/process.js";
import { signInByForms } from "../lib/sign-in.js";
import { rooms, startVisitorSite } from "../lib/visitors.js";
import { post } from "../lib/xmpp-lite.js";

const transports = ["websocket", "bosh"];
const worst = {
  websocket: ["half of a frame's payload", "a reset", "reads nothing", "an element left open"],
  bosh: ["an answer left unread", "a poll broken off", "a hexadecimal rid", "a repeated rid that terminates"],
};

const cookies = ["member", "guest", "holder of a link", "user of an integration"];
const everybody = [...cookies, "user of an integration without cookies", "recorder"];

const ways = {
  "signs out": { who: cookies, end: (site, { person }) => person.open(site.gateway, "/_gateway/logout") },
  "is signed out by the provider": { who: ["member"], end: (site, { endSession }) => endSession() },
  "is revoked by session": {
    sample: true, who: everybody, end: (site, here) => site.revoke({ session: site.audited("admitted", here).session }),
  },
  "is revoked by subject": {
    who: everybody, end: (site, here) => site.revoke({ subject: site.audited("admitted", here).subject }),
  },
  "loses the link": { who: ["holder of a link"], end: (site, { link }) => site.revoke({ link }) },
};

/** Guests may come again, as new ones, and recorders have a password; but nobody resumes the stream. */
const mayComeAgain = ["guest", "recorder"];

async function assertShutOut(here, kind) {
  await assert.rejects(here.goOn().then((answer) => assert.fail(`${here.trick}: ${answer}`)), (error) => {
    if (here.transport === "bosh") return error.name === "StreamEnded";
    return error.status === 403 || (mayComeAgain.includes(kind) && /^not resumed/.test(error.message)) || assert.fail(error);
  });
}

for (const verifyDomain of [false, true]) {
  describe(`domain verification is ${verifyDomain ? "on" : "off"}`, () => {
    let site;
    before(async () => {
      site = await startVisitorSite({ label: `removal-ways-${verifyDomain}`, verifyDomain });
    }, { timeout: 60_000 });
    after(() => site?.stop());

    /** One person for each of the tricks, who has played it. */
    const tricksters = async (kind, transport, tricks) => Promise.all(tricks.map(async (trick) => {
      const here = await joinHostile(site, await site.kinds[kind](), transport);
      await here.play(trick);
      return { ...here, trick };
    }));
    /** One person of each kind over each transport, with one of the tricks. */
    const crowd = async (kinds, trick) => {
      const one = (transport) => [worst[transport][trick]];
      const all = kinds.flatMap((kind) => transports.map((transport) => tricksters(kind, transport, one(transport))));
      return (await Promise.all(all)).flat();
    };

    describe("one by one", { concurrency: 4 }, () => {
      for (const [way, { who, end }] of Object.entries(ways).filter(([, { sample }]) => sample || !verifyDomain)) {
        for (const kind of who) {
          for (const transport of transports) {
            test(`${kind} who ${way}, over ${transport}`, async (context) => {
              const all = await tricksters(kind, transport, worst[transport]);
              for (const here of all) {
                await end(site, here);
                const took = await site.goneAfter(here, Date.now());
                context.diagnostic(`${here.trick}: gone after ${took} ms`);
                assert.ok(took < 1_000, `${here.trick}: ${took} ms`);
                await assertShutOut(here, kind);
                await here.close();
              }
            });
          }
        }
      }
    });

    test("a member whose BOSH stream is continued under another session of theirs", async (context) => {
      const here = await joinHostile(site, await site.kinds.member(), "bosh");
      await here.play("nothing unusual");
      const elsewhere = createHttpClient(site.url);
      await signInByForms(elsewhere, site, here.nick);
      const { base, tls, query } = here.target;
      const { text } = await post({
        url: `${base}/http-bind?${new URLSearchParams(query)}`, tls, headers: elsewhere.headers(),
        body: `<body rid="${here.stream.rid + 1}" sid="${here.stream.sid}" xmlns="http://jabber.org/protocol/httpbind"/>`,
      });
      assert.match(text, / type=.terminate./);
      assert.ok(site.isInside(here), "the stream is still its own session's");
      await here.person.open(site.gateway, "/_gateway/logout");
      const took = await site.goneAfter(here, Date.now());
      context.diagnostic(`gone after ${took} ms`);
      assert.ok(took < 1_000);
      await here.close();
    });

    test("everybody whom the rules no longer admit after a reload", async (context) => {
      const kinds = everybody.filter((kind) => kind !== "recorder");
      const all = await crowd(kinds, verifyDomain ? 1 : 0);
      const recorder = await joinHostile(site, await site.kinds.recorder(), "websocket");
      const began = Date.now();
      await site.gateway.reconfigure({ room: [{ match: "*", enter: "closed" }] });
      const took = await Promise.all(all.map((here) => site.goneAfter(here, began)));
      context.diagnostic(`${all.length} people gone after ${Math.min(...took)} to ${Math.max(...took)} ms`);
      assert.ok(Math.max(...took) < 1_000);
      assert.ok(site.isInside(recorder), "rules are not about recorders");
      for (const here of [...all, recorder]) await here.close();
      await site.gateway.reconfigure({ room: rooms });
      await until(() => site.kinds.guest(), { what: "the rules admit guests again" });
    });

    // The last: a stop that follows at once must not swallow the word to Prosody.
    test("everybody who is revoked just before the gateway stops", async (context) => {
      const all = await crowd(everybody, verifyDomain ? 3 : 2);
      const sessions = all.map((here) => site.audited("admitted", here).session);
      await Promise.all(sessions.map((session) => site.revoke({ session })));
      const began = Date.now();
      site.gateway.signal("SIGTERM");
      const took = await Promise.all(all.map((here) => site.goneAfter(here, began)));
      context.diagnostic(`${all.length} people gone after ${Math.min(...took)} to ${Math.max(...took)} ms`);
      assert.ok(Math.max(...took) < 1_000);
      for (const here of all) await here.close();
    });
  });
}
