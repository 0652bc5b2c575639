// Connections to Prosody without a token: recorders, which have a password there, and guests,
// if the deployment has a guest domain.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { waitForState, waitForOthers } from "../lib/browser.js";
import { startSourceAddressProxy } from "../lib/source-address-proxy.js";
import { registerSecret } from "../lib/gateway.js";
import { until } from "../lib/process.js";
import { names } from "../lib/prosody.js";
import { people } from "../lib/provider.js";
import { startSite } from "../lib/site.js";
import { appSecret, claims, read, sign } from "../lib/tokens.js";
import { enter, login, ping } from "../lib/xmpp-lite.js";

const recorder = "127.0.0.2";
const proxy = "127.0.0.3";
const stranger = "127.0.0.4";

let studio;
let site;
before(async () => {
  await registerSecret("recorders", names.recorderPassword);
  studio = await startSourceAddressProxy(recorder);
  site = await startSite({
    label: "recorders",
    breakable: true,
    prosody: async () => ({ secret: appSecret, guests: true, recorders: true }),
    web: { anonymousDomain: names.guest, overrides: { hiddenDomain: names.hidden } },
    settings: () => ({
      listen: { recorders: [`${recorder}/32`], trusted_proxies: [`${proxy}/32`] },
      guests: { xmpp_domain: names.guest },
      room: [
        { match: "open-*", enter: "guest", start: "member", moderators: ["group:staff"] },
        { match: "*", enter: "member", moderators: ["group:staff"] },
      ],
    }),
  });
});
after(async () => {
  await site?.stop();
  await studio?.stop();
});

const occupant = (room, wanted) => site.focus.occupants(`${room}@${names.muc}`).find(({ name, nick }) => [name, nick].includes(wanted));

/** A member in a room that guests may enter, too. */
const attend = (who, room) => site.attend(who, `/_gateway/login?return_to=%2F${room}`);

describe("recorders", () => {
  const [user] = names.recorderUser.split("@");
  const credentials = { user, password: names.recorderPassword };
  /** The connection of a recorder from one of this machine's loopback addresses. */
  const from = (localAddress, more = {}) => ({
    base: site.url,
    tls: { ...site.tls, localAddress, family: 4 },
    domain: names.hidden,
    room: "planning",
    credentials,
    ...more,
    query: { room: "planning", ...more.query },
  });

  for (const transport of ["websocket", "bosh"]) {
    describe(`over ${transport}`, () => {
      test("log in with their own password, and their requests are forwarded unchanged", async () => {
        await site.prosody.reset();
        const token = await sign(claims("planning"));
        const visit = await enter(from(recorder, { transport, nick: `recorder_${transport}`, query: { token } }));
        assert.equal(visit.jid.split("/")[0], names.recorderUser);
        assert.equal(visit.affiliation, "none");
        await ping(visit.stream, { domain: names.hidden });
        const [session] = (await site.prosody.recorded()).sessions;
        assert.equal(session.token, undefined);
        assert.equal(session.headers.authorization, undefined);
        assert.equal(session.query, "room=planning");
        assert.equal(session.sessionIp, recorder);
        await visit.stream.close();
      });

      test("a wrong password is refused by Prosody", async () => {
        const wrong = { user, password: "another" };
        await assert.rejects(login(from(recorder, { transport, credentials: wrong })), { name: "LoginRefused" });
      });

      test("are recognised behind a trusted proxy", async () => {
        const headers = { "x-forwarded-for": recorder };
        assert.ok(await login(from(proxy, { transport, headers })));
      });

      test("are not recognised from any other address", async () => {
        await site.prosody.reset();
        const refusal = transport === "websocket"
          ? { name: "HttpRefused", status: 403 }
          : { name: "StreamEnded", condition: "policy-violation" };
        await assert.rejects(login(from(stranger, { transport })), refusal);
        await assert.rejects(login(from(stranger, { transport, headers: { "x-forwarded-for": recorder } })), refusal);
        await assert.rejects(login(from(proxy, { transport, headers: { "x-forwarded-for": stranger } })), refusal);
        const { sessions } = await site.prosody.recorded();
        assert.deepEqual(sessions, []);
      });
    });
  }

  test("get Jitsi's page unchanged, where others are redirected to sign in", async () => {
    const there = await site.browser.visitor({ proxy: studio.proxy });
    const answer = await there.page.goto(`${site.url}/planning`);
    assert.equal(answer.status(), 200);
    const whole = await (await fetch(`${site.web.url}/planning`)).text();
    assert.equal(await answer.text(), whole);
    assert.deepEqual(await there.context.cookies(), []);
    await there.context.close();

    const here = await site.browser.visitor();
    await here.page.goto(`${site.url}/planning`, { waitUntil: "commit" });
    await here.page.locator("input[name=login]").waitFor();
    await here.context.close();
  });

  test("join a meeting with their browser", async () => {
    const member = await site.attend("host", "/planning");
    const there = await site.browser.visitor({ proxy: studio.proxy });
    const kept = JSON.stringify({ xmpp_username_override: names.recorderUser, xmpp_password_override: names.recorderPassword });
    const hash = `#config.iAmRecorder=true&appData.localStorageContent=${encodeURIComponent(JSON.stringify(kept))}`;
    await there.page.goto(`${site.url}/planning${hash}`);
    await waitForState(there.page, "joined");
    await waitForOthers(there.page, [people.host.name]);
    await member.page.evaluate(() => window.meeting.say("we are live"));
    await there.page.waitForFunction(() => window.meeting.messages.some(({ text }) => text === "we are live"));
    const seen = site.focus.occupants(`planning@${names.muc}`).find(({ jid }) => jid.startsWith(names.recorderUser));
    assert.equal(seen.affiliation, "none");
    assert.deepEqual([...there.problems, ...member.problems], []);
    await there.context.close();
    await member.context.close();
  });
});

describe("guests on a domain of their own", () => {
  for (const transport of ["websocket", "bosh"]) {
    describe(`over ${transport}`, () => {
      const room = `open-${transport}`;
      const name = "Gerda \"G\" <Guest>";
      let host;
      let guest;
      before(async () => {
        host = await attend("host", room);
        await site.prosody.reset();
        guest = await site.browser.visitor();
        await guest.page.goto(`${site.url}/${room}#config.preferBosh=${transport === "bosh"}`);
        await guest.page.getByLabel("Your name").fill(name);
        await guest.page.getByRole("button", { name: "Join" }).click();
        await waitForState(guest.page, "joined");
      });
      after(async () => {
        await guest?.context.close();
        await host?.context.close();
      });

      test("join without a token, under the name they entered", async () => {
        await waitForOthers(host.page, [name]);
        await waitForOthers(guest.page, [people.host.name]);
        assert.equal((await waitForState(guest.page, "joined")).transport, transport);
        const [session] = (await site.prosody.recorded()).sessions;
        assert.equal(session.token, undefined);
        assert.equal(session.headers.authorization, undefined);
        const { jwt, errors } = await guest.page.evaluate(() => ({ jwt: window.meeting.jwt, errors: window.meeting.errors }));
        assert.deepEqual({ jwt, errors }, { jwt: undefined, errors: [] });
      });

      test("are not owners, and the member is", () => {
        const { jid, affiliation } = occupant(room, name);
        assert.equal(jid.split("/")[0].split("@")[1], names.guest);
        assert.equal(affiliation, "none");
        const member = occupant(room, people.host.name);
        assert.equal(member.jid.split("/")[0].split("@")[1], names.domain);
        assert.equal(member.affiliation, "owner");
      });

      test("rejoin when their page is reloaded", async () => {
        await guest.page.reload();
        const { me } = await waitForState(guest.page, "joined");
        assert.equal(me.name, name);
        assert.notEqual(me.role, "moderator");
      });
    });
  }

  test("resume a broken connection", async () => {
    const host = await attend("host", "open-cut");
    const guest = await site.browser.visitor();
    await guest.page.goto(`${site.url}/open-cut`);
    await guest.page.getByLabel("Your name").fill("Gil Guest");
    await guest.page.getByRole("button", { name: "Join" }).click();
    await waitForState(guest.page, "joined");
    const { jid } = occupant("open-cut", "Gil Guest");
    await site.prosody.reset();
    site.relay.cut();
    const resumed = await until(async () => {
      const sessions = (await site.prosody.recorded()).sessions.filter(({ previd }) => previd);
      return sessions.length === 2 && sessions;
    }, { what: "two resumptions", within: 30_000 });
    assert.deepEqual(resumed.map(({ token }) => token && read(token).context.user.name).sort(), [people.host.name, undefined]);
    await until(() => guest.page.evaluate(() => {
      window.meeting.say("still here");
      return true;
    }), { what: "a connected client" });
    await host.page.waitForFunction(() => window.meeting.messages.some(({ text }) => text === "still here"));
    assert.equal(occupant("open-cut", "Gil Guest").jid, jid);
    await guest.context.close();
    await host.context.close();
  });

  test("cannot use the members' domain", async () => {
    const host = await attend("host", "open-doors");
    const guest = { base: site.url, tls: site.tls, query: { room: "open-doors" }, headers: { origin: site.url } };
    for (const transport of ["websocket", "bosh"]) {
      await assert.rejects(login({ ...guest, transport }), { name: "StreamEnded" });
      const visit = await enter({ ...guest, transport, domain: names.guest, room: "open-doors", nick: `app_${transport}` });
      assert.equal(visit.affiliation, "none");
      await visit.stream.close();
    }
    await host.context.close();
  });
});
