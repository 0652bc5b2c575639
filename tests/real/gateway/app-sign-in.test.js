// Jitsi's native app, from the room's address to the end of the meeting: it comes with nothing, is
// sent to the sign-in, joins, loses its network for twenty minutes, changes its address, and goes on.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openInApp } from "../lib/app-meeting.js";
import { startApp } from "../lib/app.js";
import { startClock } from "../lib/clock.js";
import { until } from "../lib/process.js";
import { people } from "../lib/provider.js";
import { startSite } from "../lib/site.js";
import { appSecret, read } from "../lib/tokens.js";
import { login } from "../lib/xmpp-lite.js";

let clock;
let site;
before(async () => {
  clock = await startClock();
  site = await startSite({
    label: "app-sign-in",
    prosody: () => ({ secret: appSecret, env: clock.env }),
    env: clock.env,
    settings: () => ({
      room: [
        { match: "open-*", enter: "guest", start: "member" },
        { match: "*", enter: "member", moderators: ["group:staff"] },
      ],
    }),
  });
});
after(async () => {
  await site?.stop();
  await clock?.stop();
});

const occupants = (room) => site.focus.occupants(`${room}@muc.meet.jitsi`).map(({ jid }) => jid);

/** Opens a room in the app, and signs in when the app asks for it. */
async function signInFromRoom(transport, room) {
  const app = startApp("android", site);
  const meeting = await openInApp(app, { room, transport, now: clock.now });
  await site.prosody.reset();
  assert.equal(await meeting.connect(), "sign in");
  const { requests, sessions } = await site.prosody.recorded();
  assert.deepEqual({ requests, sessions }, { requests: [], sessions: [] }, "nothing of it reaches Prosody");
  const visitor = await site.browser.visitor();
  meeting.follow(await app.signIn(visitor, meeting.loginAddress(), "host"));
  assert.equal(await meeting.connect(), "joined");
  assert.equal(meeting.affiliation, "owner");
  return { meeting, visitor };
}

for (const transport of ["websocket", "bosh"]) {
  describe(`an app over ${transport}`, () => {
    const room = `Team-${transport}`;
    const node = room.toLowerCase();
    let meeting;
    let visitor;
    before(async () => {
      ({ meeting, visitor } = await signInFromRoom(transport, room));
    });
    after(async () => {
      await meeting?.close();
      await visitor?.context.close();
      // The provider's clock is the machine's.
      await clock.reset();
    });

    test("comes with nothing, signs in and joins as the account", async () => {
      const [session] = (await site.prosody.recorded()).sessions;
      assert.equal(read(session.token).context.user.name, people.host.name);
      assert.ok(occupants(node).includes(meeting.jid));
    });

    test("goes on after a break, at another address", async () => {
      await meeting.lose("127.0.0.2");
      assert.equal(await meeting.comeBack(), "went on");
      await meeting.ping();
      assert.ok(occupants(node).includes(meeting.jid));
    });

    test("goes on after a restart of the gateway, which has its memory alone", async () => {
      await meeting.lose("127.0.0.3");
      await site.gateway.restart();
      assert.equal(await meeting.comeBack(), "went on");
      await meeting.ping();
      assert.ok(occupants(node).includes(meeting.jid));
    });

    test("goes on after twenty minutes without a network", async () => {
      await meeting.lose("127.0.0.4");
      await clock.advance(20 * 60);
      const came = await meeting.comeBack();
      assert.match(came, /^(went on|joined)$/);
      await meeting.ping();
      assert.ok(occupants(node).includes(meeting.jid));
    });

    test("is out within a second when the browser signs out", async () => {
      const { jid } = meeting;
      await visitor.page.goto(`${site.url}/_gateway/logout`);
      const began = Date.now();
      await until(() => !occupants(node).includes(jid), { what: "the app is gone", every: 10 });
      assert.ok(Date.now() - began < 1_000, `after ${Date.now() - began} ms`);
      await assert.rejects(meeting.ping());
    });
  });
}

describe("an app without a token", () => {
  for (const transport of ["websocket", "bosh"]) {
    test(`is sent to the sign-in where the host has to come first, over ${transport}`, async () => {
      const app = startApp("ios", site);
      const meeting = await openInApp(app, { room: "open-house", transport });
      assert.equal(await meeting.connect(), "sign in");
    });

    test(`reads why, over ${transport}`, async () => {
      const app = startApp("ios", site);
      const connection = app.connection("planning", undefined, { transport });
      await assert.rejects(login(connection), { name: "LoginRefused", condition: "not-allowed", text: /sign-in/ });
    });
  }
});
