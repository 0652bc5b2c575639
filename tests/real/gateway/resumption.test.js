// Whoever was admitted and comes back stays in the meeting: a restart of the gateway loses who is
// present, and the host may be the last to return.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startSite } from "../lib/site.js";
import { enableResumption, enter, login, ping, resume } from "../lib/xmpp-lite.js";

let site;
before(async () => {
  site = await startSite({
    label: "resumption",
    settings: () => ({
      room: [
        { match: "small", enter: "member", max_people: 2 },
        { match: "*", enter: "guest", host: "group:staff", start: "host" },
      ],
    }),
  });
});
after(() => site?.stop());

const target = (room, headers, transport = "websocket") => ({
  transport, base: site.url, tls: site.tls, headers, room, query: { room },
});
const present = (room, { jid }) => site.focus.occupants(`${room}@muc.meet.jitsi`).some((occupant) => occupant.jid === jid);

/** The headers of a guest who has entered a name. */
async function guestHeaders(room) {
  const guest = await site.visit(`/${room}`);
  await site.enterGuestName(guest, "Gerda");
  const cookies = await guest.context.cookies(site.url);
  await guest.context.close();
  return { cookie: cookies.map(({ name, value }) => `${name}=${value}`).join("; "), origin: site.url };
}

for (const transport of ["websocket", "bosh"]) {
  describe(`a guest over ${transport} whose host is not back`, () => {
    const room = `lesson-${transport}`;
    let headers;
    let guest;
    let resumption;
    before(async () => {
      const host = await enter({ ...target(room, await site.headersOf("host")), nick: "host" });
      headers = await guestHeaders(room);
      guest = await enter({ ...target(room, headers, transport), nick: "guest", wait: 1, onRetry: () => {} });
      if (transport === "websocket") {
        resumption = await enableResumption(guest.stream);
        guest.stream.cut();
      } else {
        guest.stream.rest();
        await ping(guest.stream);
      }
      host.stream.cut();
      await site.gateway.restart();
    });
    after(() => guest?.stream.close());

    test("stays in the meeting", async () => {
      if (resumption) guest.stream = await resume(resumption, target(room, headers));
      await ping(guest.stream);
      assert.ok(present(room, guest));
    });

    test("does not enter anew", async () => {
      await assert.rejects(login(target(room, headers)), { name: "HttpRefused", status: 403 });
      const anew = login(target(room, headers, "bosh"));
      await assert.rejects(anew, { name: "StreamEnded", condition: "policy-violation" });
    });
  });
}

test("a held poll does not delay a restart, and its client misses nothing", async () => {
  const room = "polls";
  const retries = [];
  const [staying, leaving] = [await site.headersOf("host"), await site.headersOf("host")];
  const onRetry = (error) => retries.push(error);
  const here = await enter({ ...target(room, staying, "bosh"), nick: "here", onRetry });
  // Without resumption the stream ends with the gateway.
  const gone = await enter({ ...target(room, leaving), nick: "gone" });
  await ping(here.stream);
  const began = Date.now();
  site.gateway.signal("SIGTERM");
  await site.gateway.exited();
  const took = Date.now() - began;
  await site.gateway.restart();
  const left = await here.stream.inbox.take(({ attrs }) => attrs.type === "unavailable" && attrs.from?.endsWith("/gone"));
  assert.ok(left);
  await ping(here.stream);
  assert.ok(present(room, here) && !present(room, gone));
  assert.equal(retries[0].status, 503);
  assert.ok(took < 15_000, `${took} ms, and a poll is held for a minute`);
  await here.stream.close();
});

// lib-jitsi-meet finds the id in the address of its connection by this (`modules/xmpp/ResumeTask.ts` of v2193).
const previd = /(previd=)([\w-]+)/;

describe("a stream", () => {
  const room = "own-lesson";
  let headers;
  let visit;
  let id;
  before(async () => {
    headers = await site.headersOf("host");
    visit = await enter({ ...target(room, headers), nick: "host" });
    id = await enableResumption(visit.stream);
    visit.stream.cut();
  });
  after(() => visit?.stream.close());

  test("is resumed by an id that Prosody does not know", async () => {
    assert.equal(`?room=x&previd=${id}`.match(previd)[2], id);
    await site.prosody.reset();
    visit.stream = await resume(id, target(room, headers));
    await ping(visit.stream);
    assert.ok(present(room, visit));
    const [session] = (await site.prosody.recorded()).sessions;
    assert.ok(session.previd && session.previd !== id && id.startsWith(session.previd));
    visit.stream.cut();
  });

  test("is not resumed by Prosody's id of it", async () => {
    const [session] = (await site.prosody.recorded()).sessions;
    await assert.rejects(resume(session.previd, target(room, headers)), /not resumed/);
    assert.ok(present(room, visit));
  });

  test("is not resumed under another session of its person, or for another room", async () => {
    const other = await site.headersOf("host");
    await site.prosody.reset();
    await assert.rejects(resume(id, target(room, other)), /not resumed/);
    await assert.rejects(resume(id, target("other-lesson", headers)), /not resumed/);
    const { sessions } = await site.prosody.recorded();
    assert.deepEqual(sessions.map((session) => session.previd), [undefined, undefined]);
  });

  test("is resumed again after a restart of the gateway, with the counts of both sides", async () => {
    await site.gateway.restart();
    visit.stream = await resume(id, target(room, headers));
    await ping(visit.stream);
    assert.ok(present(room, visit));
  });
});

test("a made-up stream is not resumed, and nothing else is begun in its place", async () => {
  const room = "closed-lesson";
  const headers = await guestHeaders(room);
  await assert.rejects(resume("made-up", target(room, headers)), /not resumed/);
  const entering = enter({ ...target(room, headers), nick: "guest", query: { room, previd: "made-up" } });
  await assert.rejects(entering, { name: "StreamEnded" });
  assert.deepEqual(site.focus.occupants(`${room}@muc.meet.jitsi`), []);
});

test("a full room takes back who was in it", async () => {
  const room = "small";
  const visits = [];
  for (const who of ["first", "second"]) {
    const headers = await site.headersOf(who);
    visits.push({ headers, ...(await enter({ ...target(room, headers), nick: who })) });
  }
  const [first, second] = visits;
  const resumption = await enableResumption(first.stream);
  first.stream.cut();
  first.stream = await resume(resumption, target(room, first.headers));
  await ping(first.stream);
  assert.ok(present(room, first) && present(room, second));
  for (const { stream } of visits) await stream.close();
});
