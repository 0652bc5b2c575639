// `lobby = true` and `max_people` with the set-ups of docs/people-and-rooms.md, which are read from there: moderators
// enter at once, all others wait until a moderator lets them in, and Prosody counts. Jitsi's plugins are played by
// the modules in `prosody/modules`.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { createHttpClient } from "../lib/http.js";
import { admit, arrive, documentedSetup, invite, refuse, seeWaiting, wait } from "../lib/lobby.js";
import { freePort } from "../lib/process.js";
import { startSite } from "../lib/site.js";
import { appSecret, read } from "../lib/tokens.js";

const moderators = ["group:staff"];
const rules = [
  { match: "exam-*", enter: "guest", start: "anyone", moderators, lobby: true },
  { match: "small-*", enter: "guest", start: "anyone", moderators, lobby: true, max_people: 2 },
  { match: "*", enter: "guest", start: "anyone", moderators },
];

/** A deployment whose Prosody has one of the documented set-ups. */
async function startDeployment(label, setup) {
  const secret = randomBytes(24).toString("hex");
  const address = `127.0.0.1:${await freePort()}`;
  const edit = await documentedSetup(setup, { address, secret });
  const site = await startSite({
    label,
    prosody: async () => ({ secret: appSecret, edit }),
    settings: async (plan) => ({
      room: rules,
      reservation: { listen: address, secret_file: await plan.file("reservation.secret", secret) },
    }),
  });
  const members = {
    chair: await site.headersOf("host"), member: await site.headersOf("first"), latecomer: await site.headersOf("second"),
  };
  /** The headers of a person for a room: the members are signed in, all others are guests. */
  const headersOf = async (who, room) => {
    if (members[who]) return members[who];
    const guest = createHttpClient(site.url);
    assert.equal((await guest.submit(site.gateway, "/_gateway/join", { room, name: "Gerda" })).status, 303);
    return guest.headers();
  };
  return {
    ...site,
    come: async (who, room, transport) => arrive({
      transport, base: site.url, tls: site.tls, headers: await headersOf(who, room),
      room, nick: `${who}_${randomBytes(3).toString("hex")}`, name: who,
    }),
  };
}

/** Comes to a room with a lobby as somebody who has to wait there, and does. */
async function comeAndWait(site, who, room, transport) {
  const refusal = await site.come(who, room, transport).then(
    () => assert.fail(`${who} did not have to wait`),
    (error) => error,
  );
  assert.deepEqual([refusal.condition, refusal.marker], ["registration-required", "lobbyroom"], `${refusal}`);
  assert.equal((await wait(refusal.person)).affiliation, "none");
  return refusal.person;
}

const waits = { name: "JoinRefused", condition: "registration-required", marker: "lobbyroom" };
const moderates = ({ affiliation, role }) => assert.deepEqual([affiliation, role], ["owner", "moderator"]);
const participates = ({ affiliation, role }) => assert.deepEqual([affiliation, role], ["member", "participant"]);

for (const [label, setup] of [["lobby-docker", "docker-jitsi-meet"], ["lobby-debian", "Prosody's own file"]]) {
  describe(`the documented set-up of ${setup}`, () => {
    let site;
    before(async () => {
      site = await startDeployment(label, setup);
    }, { timeout: 60_000 });
    after(() => site?.stop());

    for (const transport of ["websocket", "bosh"]) {
      describe(`over ${transport}`, () => {
        for (const who of ["member", "guest"]) {
          test(`a ${who} waits until a moderator, who does not wait, lets the ${who} in`, async () => {
            const room = `exam-${who}-${transport}`;
            await site.prosody.reset();
            const chair = await site.come("chair", room, transport);
            moderates(chair);
            moderates(await wait(chair));
            const waiting = await comeAndWait(site, who, room, transport);
            assert.equal((await seeWaiting(chair, waiting.nick)).jid, waiting.jid);
            await assert.rejects(waiting.join(), waits, "before a moderator has decided");
            participates(await admit(chair, waiting));

            const users = (await site.prosody.recorded()).sessions.map(({ token }) => read(token).context.user);
            assert.deepEqual(users.map(({ moderator, lobby_bypass: bypass }) => [moderator, bypass]), [
              [true, true], [false, undefined],
            ]);
            for (const person of [chair, waiting]) await person.close();
          });
        }

        test("who was refused stays out", async () => {
          const room = `exam-refused-${transport}`;
          const chair = await site.come("chair", room, transport);
          await wait(chair);
          const waiting = await comeAndWait(site, "member", room, transport);
          await seeWaiting(chair, waiting.nick);
          await refuse(chair, waiting);
          await assert.rejects(waiting.join(), waits);
          for (const person of [chair, waiting]) await person.close();
        });

        test("who comes first waits for the moderator", async () => {
          const room = `exam-early-${transport}`;
          const waiting = await comeAndWait(site, "member", room, transport);
          const chair = await site.come("chair", room, transport);
          moderates(chair);
          await wait(chair);
          await seeWaiting(chair, waiting.nick);
          participates(await admit(chair, waiting));
          for (const person of [chair, waiting]) await person.close();
        });

        test("a waiting person cannot let anybody in", async () => {
          const room = `exam-self-${transport}`;
          const waiting = await comeAndWait(site, "member", room, transport);
          invite(waiting, waiting.jid);
          await waiting.stream.inbox.take(({ name, attrs }) => name === "message" && attrs.type === "error");
          await assert.rejects(waiting.join(), waits);
          await waiting.close();
        });

        test("a room whose rule has no lobby has none", async () => {
          const member = await site.come("member", `talk-${transport}`, transport);
          participates(member);
          await member.close();
        });

        test("Prosody counts the people in the room, moderators too", async () => {
          const room = `small-${transport}`;
          const chair = await site.come("chair", room, transport);
          const waiting = await comeAndWait(site, "member", room, transport);
          participates(await admit(chair, waiting));
          const full = { name: "JoinRefused", condition: "service-unavailable" };
          await assert.rejects(site.come("chair", room, transport), full);
          for (const person of [chair, waiting]) await person.close();
        });

        test("the gateway counts the people in the lobby", async () => {
          const room = `small-lobby-${transport}`;
          const chair = await site.come("chair", room, transport);
          const waiting = await comeAndWait(site, "member", room, transport);
          const refused = transport === "websocket"
            ? { name: "HttpRefused", status: 403 }
            : { name: "StreamEnded", condition: "policy-violation" };
          await assert.rejects(site.come("latecomer", room, transport), refused);
          for (const person of [chair, waiting]) await person.close();
        });

        test("a room that nobody requested has no lobby", async () => {
          const room = `exam-unasked-${transport}`;
          await site.focus.open(`${room}@muc.meet.jitsi`);
          const member = await site.come("member", room, transport);
          participates(member);
          await member.close();
        });
      });
    }

    test("nobody opens a room while the gateway does not answer", async () => {
      await site.gateway.restart({ reservation: { listen: `127.0.0.1:${await freePort()}` } });
      // Prosody asks four times, three seconds apart.
      await assert.rejects(site.come("chair", "exam-down", "websocket"), /conference request: .*reservation-error/);
      assert.ok(!site.focus.rooms().includes("exam-down@muc.meet.jitsi"));
    });
  });
}
