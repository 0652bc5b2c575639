// Whose session or visit ends is out of the room at Prosody within a second, whatever their client did before: the end
// of a sign-in, of a visit by its rule, and of the pass of guests, of holders of links, and of people of another
// system, whose links and tokens may end earlier. Recorders have no end.
//
// The shortest times that the configuration takes are a minute long, so all these people are in their rooms at the same
// time. Their clients turn hostile some seconds before the end: Prosody itself forgets a silent one after a minute.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { joinHostile } from "../lib/hostile.js";
import { rooms, startVisitorSite } from "../lib/visitors.js";

const minute = 60_000;
const session = 66_000;
const tricks = {
  websocket: ["half of a frame's payload", "a reset"],
  bosh: ["an answer left unread", "a poll broken off"],
};
/** Those after which the log has no client. */
const away = ["a reset", "a poll broken off"];
/** How long each kind of people may stay. */
const limits = {
  member: session,
  "member in a room with a limit": minute,
  guest: minute,
  "holder of a link": minute,
  "user of an integration": minute,
  "user of an integration without cookies": minute,
};

let site;
before(async () => {
  site = await startVisitorSite({
    label: "removal-expiry",
    settings: {
      room: [{ match: "short-*", enter: "member", lifetime: "60s" }, ...rooms],
      guests: { lifetime: "60s" },
      session: { idle: "66s", absolute: "66s" },
    },
  });
}, { timeout: 60_000 });
after(() => site?.stop());

describe("ends", { concurrency: true }, () => {
  for (const [kind, limit] of Object.entries(limits)) {
    for (const [transport, names] of Object.entries(tricks)) {
      for (const trick of names) {
        test(`${kind}, over ${transport}, after ${trick}`, { timeout: 2 * minute }, async (context) => {
          const began = Date.now();
          const here = await joinHostile(site, await site.kinds[kind](), transport);
          const entered = Date.now();
          await pause(began + minute - 8_000 - Date.now());
          assert.ok(site.isInside(here), "nothing has ended yet");
          await here.play(trick);
          const took = await site.goneAfter(here, began, { within: 20_000 });
          context.diagnostic(`gone ${took} ms after the first request, ${took + began - entered} after entering`);
          // The gateway counts in whole seconds.
          assert.ok(took >= limit - 1_000, "not before the end");
          assert.ok(took + began < entered + limit + 1_000, "within a second");
          await assert.rejects(here.goOn());
          // A client that is away has left by the log; its stream has not.
          if (away.includes(trick)) assert.ok(site.audited("left", here));
          else assert.equal(site.audited("cut", here).reason, "expired");
          await here.close();
        });
      }
    }
  }

  for (const transport of Object.keys(tricks)) {
    test(`none for a recorder over ${transport}`, { timeout: 2 * minute }, async () => {
      const here = await joinHostile(site, await site.kinds.recorder(), transport);
      await pause(minute + 4_000);
      assert.ok(site.isInside(here));
      assert.equal(site.audited("cut", here), undefined);
      await here.close();
    });
  }
});
