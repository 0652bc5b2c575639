// Links on two replicas with a real Redis: their room, role, lifetime and number of uses hold, and
// Prosody accepts none of them.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Agent } from "node:https";
import { after, before, describe, test } from "node:test";
import { waitForState } from "../lib/browser.js";
import { registerSecret } from "../lib/gateway.js";
import { sendRequest, createHttpClient } from "../lib/http.js";
import { until } from "../lib/process.js";
import { people } from "../lib/provider.js";
import { startRedis } from "../lib/redis.js";
import { shareAmongReplicas, startReplica } from "../lib/replicas.js";
import { startSite } from "../lib/site.js";
import { HttpRefused, enter, login } from "../lib/xmpp-lite.js";

const labels = ["links", "links-b"];
const apiKey = randomBytes(24).toString("hex");
const messengers = [
  "facebookexternalhit/1.1", "Slackbot-LinkExpanding 1.0", "WhatsApp/2.23", "Mozilla/5.0 (compatible; SkypeUriPreview)",
];

let redis;
let shared;
let site;
let second;
const agent = new Agent({ keepAlive: true });
before(async () => {
  redis = await startRedis({ password: randomBytes(12).toString("hex"), labels });
  shared = await shareAmongReplicas(redis);
  const settings = {
    ...shared.settings,
    room: [{ match: "*", enter: "link", start: "anyone" }],
    integration: [{
      id: "desk", rooms: ["talk-*"], api_requests_per_minute: 10_000,
      api_key: [{ id: "main", key_file: await shared.file("api.secret", apiKey) }],
    }],
  };
  for (const label of labels) await registerSecret(label, apiKey);
  site = await startSite({ label: labels[0], settings: () => settings });
  second = await startReplica(site, { label: labels[1], settings });
  for (const { admin } of [site.gateway, second]) {
    await until(async () => (await (await fetch(`${admin}/readyz`)).json()).store === "ready", { what: "the store" });
  }
});
after(async () => {
  agent.destroy();
  await second?.stop();
  await site?.stop();
  await redis?.stop();
  await shared?.remove();
});

/** Sends a request to the API of a replica. */
async function api(gateway, method, path, body) {
  return sendRequest(gateway, `/_gateway/api/v1/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${apiKey}`,
      host: new URL(site.url).host,
      ...(body && { "content-type": "application/json" }),
    },
    body: body && JSON.stringify(body),
  });
}

/** Creates a link into a room; returns its id, address and token. */
async function createLink(room, options = {}) {
  const answer = await api(site.gateway, "POST", "links", { room, role: "guest", ...options });
  assert.equal(answer.status, 201, answer.text);
  const { id, url } = JSON.parse(answer.text);
  const invite = new URL(url).searchParams.get("invite");
  for (const label of labels) await registerSecret(label, invite);
  return { id, url, invite, room };
}

const revoke = async (gateway, { id }) => assert.equal((await api(gateway, "DELETE", `links/${id}`)).status, 204);

/** Submits the form on a link's page. */
const submitName = (person, gateway, { room, invite }, name = "Ann") => person.submit(gateway, "/_gateway/join", { room, invite, name });

/** A client that has used a link. */
async function useLink(link, { gateway = site.gateway, name } = {}) {
  const person = createHttpClient(site.url);
  const answer = await submitName(person, gateway, link, name);
  assert.equal(answer.status, 303, answer.text);
  assert.equal(answer.headers.location, `/${link.room}`);
  for (const [, value] of person.cookies) for (const label of labels) await registerSecret(label, value);
  return person;
}

const meet = (person, room, { gateway = site.gateway, transport = "websocket", headers } = {}) => enter({
  transport, base: gateway.url, tls: gateway.tls, headers: headers ?? person.headers(), query: { room }, room,
  nick: randomBytes(6).toString("hex"),
});

const occupants = (room) => site.focus.occupants(`${room}@muc.meet.jitsi`);

/** Asserts that a link is refused with a page that shows the reason. */
function refused(answer, status, reason) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.text, /This invitation cannot be used/);
  assert.match(answer.text, reason);
  assert.equal(answer.headers["set-cookie"], undefined);
}

describe("a link in a browser", () => {
  test("admits a guest who enters a name, and disappears from the address", async () => {
    const link = await createLink("talk-browser");
    const guest = await site.visit(link.url.slice(site.url.length));
    await site.enterGuestName(guest, "Gerda Guest");
    const meeting = await waitForState(guest.page, "joined");
    assert.equal(meeting.me.name, "Gerda Guest");
    assert.doesNotMatch(guest.page.url(), /invite/);
    assert.match(occupants(link.room)[0].affiliation, /^(none|member)$/);
    for (const { url, headers } of site.web.requests) {
      assert.doesNotMatch(url + JSON.stringify(headers), /invite/, "Jitsi's web server does not see it");
    }
    await guest.context.close();
  });

  test("for one use is not used up by a double click", async () => {
    const link = await createLink("talk-twice", { uses: 1 });
    const guest = await site.visit(link.url.slice(site.url.length));
    await guest.page.getByRole("textbox").fill("Gerda Guest");
    const sent = await guest.page.evaluate(() => {
      const sent = [];
      addEventListener("submit", (event) => {
        sent.push(!event.defaultPrevented);
        event.preventDefault();
      });
      const button = document.querySelector("main form button");
      button.click();
      button.click();
      dispatchEvent(new PageTransitionEvent("pageshow"));
      button.click();
      return sent;
    });
    assert.deepEqual(sent, [true, false, true], "once, and again by whoever comes back to the page");
    await guest.context.close();
  });

  test("keeps a member's name, and a host link makes them owner", async () => {
    for (const [uses, room] of [[undefined, "talk-member"], [1, "talk-member-once"]]) {
      const link = await createLink(room, { role: "host", uses, name: "Somebody Else" });
      const member = await site.visitAs("second", "/_gateway/login?return_to=%2Fstatic%2Fclose.html");
      await member.page.goto(link.url, { waitUntil: "commit" });
      if (uses) {
        assert.equal(await member.page.getByRole("textbox").inputValue(), people.second.name);
        await site.enterGuestName(member, "A Third Name");
      }
      const meeting = await waitForState(member.page, "joined");
      assert.equal(meeting.me.name, people.second.name);
      assert.equal(meeting.me.role, "moderator");
      const [{ name, affiliation }] = occupants(room);
      assert.deepEqual({ name, affiliation }, { name: people.second.name, affiliation: "owner" });
      await member.context.close();
    }
  });
});

test("a host link makes an owner, a guest link does not", async () => {
  const [host, guest] = [await useLink(await createLink("talk-roles", { role: "host" })), await useLink(await createLink("talk-roles"))];
  for (const transport of ["websocket", "bosh"]) {
    for (const [person, affiliation] of [[host, /^owner$/], [guest, /^(none|member)$/]]) {
      const visit = await meet(person, "talk-roles", { transport });
      assert.match(visit.affiliation, affiliation);
      await visit.stream.close();
    }
  }
});

test("a personal link has the name of its recipient", async () => {
  const link = await createLink("talk-named", { name: "Mia <b>Mouse</b>" });
  const person = createHttpClient(site.url);
  assert.equal((await person.open(site.gateway, link.url)).status, 303);
  const visit = await meet(person, "talk-named");
  const [session] = (await site.prosody.recorded()).sessions.slice(-1);
  assert.equal(JSON.parse(Buffer.from(session.token.split(".")[1], "base64url")).context.user.name, "Mia <b>Mouse</b>");
  await visit.stream.close();
});

describe("a link with a limited number of uses", () => {
  test("admits one of two who use it at two replicas at once", async () => {
    for (let round = 0; round < 20; round += 1) {
      const link = await createLink(`talk-race-${round}`, { uses: 1 });
      const rivals = [[site.gateway, createHttpClient(site.url)], [second, createHttpClient(site.url)]];
      const answers = await Promise.all(rivals.map(([gateway, person]) => submitName(person, gateway, link)));
      assert.deepEqual(answers.map(({ status }) => status).sort(), [303, 410], `round ${round}`);
      refused(answers.find(({ status }) => status === 410), 410, /used by as many people/);
      const winner = rivals[answers.findIndex(({ status }) => status === 303)][1];
      const visit = await meet(winner, link.room);
      await visit.stream.close();
    }
  });

  test("admits exactly three of ten", async () => {
    const link = await createLink("talk-three", { uses: 3 });
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) =>
      submitName(createHttpClient(site.url), index % 2 ? second : site.gateway, link)));
    assert.equal(answers.filter(({ status }) => status === 303).length, 3);
    assert.equal(answers.filter(({ status }) => status === 410).length, 7);
  });

  test("is not used up by link previews", async () => {
    const link = await createLink("talk-preview", { uses: 1, name: "Mia" });
    for (const gateway of [site.gateway, second]) {
      for (const method of ["GET", "HEAD"]) {
        for (const program of messengers) {
          const answer = await createHttpClient(site.url).open(gateway, link.url, { method, headers: { "user-agent": program } });
          assert.equal(answer.status, 200);
          assert.equal(answer.headers["set-cookie"], undefined);
        }
      }
    }
    await useLink(link);
    refused(await submitName(createHttpClient(site.url), second, link), 410, /used by as many people/);
  });

  test("is not used up by an empty form", async () => {
    const link = await createLink("talk-empty", { uses: 1 });
    const person = createHttpClient(site.url);
    for (const name of ["", "  ", "x".repeat(200), "a\u202eb"]) {
      assert.equal((await submitName(person, site.gateway, link, name)).status, 422);
    }
    assert.equal((await submitName(person, site.gateway, link)).status, 303);
  });

  test("is not used up by a cross-site form", async () => {
    const link = await createLink("talk-forged", { uses: 1 });
    const answer = await sendRequest(site.gateway, "/_gateway/join", {
      method: "POST",
      headers: {
        host: new URL(site.url).host, origin: "https://evil.example", "content-type": "application/x-www-form-urlencoded",
      },
      body: new URLSearchParams({ room: link.room, invite: link.invite, name: "Ann" }).toString(),
    });
    assert.equal(answer.status, 403);
    assert.equal(answer.headers["set-cookie"], undefined);
    await useLink(link);
  });

  test("opens again for its holder", async () => {
    const link = await createLink("talk-again", { uses: 1 });
    const person = await useLink(link);
    for (const gateway of [site.gateway, second]) {
      const answer = await person.open(gateway, link.url);
      assert.equal(answer.status, 303, "straight in, with nothing to fill in");
      assert.equal(answer.headers.location, "/talk-again");
      assert.equal((await submitName(person, gateway, link, "Ann")).status, 303, "nor does a second press of the button harm");
    }
    refused(await submitName(createHttpClient(site.url), second, link), 410, /used by as many people/);
  });
});

describe("a revoked link", () => {
  /** Resolves when the stream ends, which has to be within a second. */
  async function cutWithinASecond(stream) {
    const began = Date.now();
    const ended = await until(() => stream.inbox.ended, { what: "the end of the stream", within: 5_000, every: 5 });
    assert.match(ended.message, /1008|policy-violation/);
    const took = Date.now() - began;
    assert.ok(took < 1_000, `after ${took} ms`);
    return took;
  }

  for (const transport of ["websocket", "bosh"]) {
    test(`ends its holders' connections over ${transport} on each replica`, async () => {
      const room = `talk-revoked-${transport}`;
      const link = await createLink(room);
      const bystander = await meet(await useLink(await createLink(room)), room, { transport });
      const holders = [];
      for (const gateway of [site.gateway, second]) {
        const person = await useLink(link, { gateway });
        holders.push({ person, visit: await meet(person, room, { gateway, transport }) });
      }
      const cut = Promise.all(holders.map(({ visit }) => cutWithinASecond(visit.stream)));
      await revoke(second, link);
      console.log(`${transport}: cut ${(await cut).join(" and ")} ms after the revocation was asked for`);
      await until(() => occupants(room).length === 1, { what: "only the other guest is left" });
      for (const { person } of holders) {
        for (const gateway of [site.gateway, second]) {
          await assert.rejects(meet(person, room, { gateway }), HttpRefused, "the pass is good for nothing");
          refused(await person.open(gateway, link.url), 410, /revoked the link/);
        }
      }
      assert.equal(bystander.stream.inbox.ended, undefined);
      await bystander.stream.close();
    });
  }

  test("opens no room", async () => {
    const link = await createLink("talk-taken-back", { uses: 5 });
    await revoke(site.gateway, link);
    for (const gateway of [site.gateway, second]) {
      await until(async () => (await createHttpClient(site.url).open(gateway, link.url)).status === 410);
      refused(await submitName(createHttpClient(site.url), gateway, link), 410, /revoked the link/);
    }
  });

  test("leaves members their own access", async () => {
    const link = await createLink("talk-members", { role: "host" });
    const { cookie } = await site.headersOf("first");
    const member = createHttpClient(site.url);
    for (const pair of cookie.split("; ")) member.cookies.set(...pair.split(/=(.*)/s));
    assert.equal((await member.open(site.gateway, link.url)).status, 303);
    const asHost = await meet(member, link.room);
    assert.equal(asHost.affiliation, "owner");
    const cut = cutWithinASecond(asHost.stream);
    await revoke(site.gateway, link);
    await cut;
    const asMember = await meet(member, link.room);
    assert.equal(asMember.affiliation, "member");
    await asMember.stream.close();
  });
});

describe("a changed link", () => {
  test("is refused for a change of any character", async () => {
    const link = await createLink("talk-tampered", { role: "host", name: "Mia" });
    for (let at = 0; at < link.invite.length; at += 1) {
      const other = link.invite[at] === "A" ? "B" : "A";
      const changed = link.invite.slice(0, at) + other + link.invite.slice(at + 1);
      const answer = await createHttpClient(site.url).open(site.gateway, `/${link.room}?invite=${changed}`, { agent });
      refused(answer, 400, /The link is damaged/);
    }
    for (const cut of [link.invite.slice(0, -1), link.invite.slice(1), `${link.invite}A`, `${link.invite}=`, "A", "x.y.z"]) {
      refused(await createHttpClient(site.url).open(site.gateway, `/${link.room}?invite=${encodeURIComponent(cut)}`), 400, /The link is damaged/);
    }
    assert.equal((await createHttpClient(site.url).open(site.gateway, link.url)).status, 303, "as it was it is good");
  });

  test("is refused for another room", async () => {
    const link = await createLink("talk-own-room", { role: "host", name: "Mia" });
    for (const room of ["talk-other-room", "acme/talk-own-room", "talk-own-room-2"]) {
      refused(await createHttpClient(site.url).open(site.gateway, `/${room}?invite=${link.invite}`), 403, /for another room/);
      refused(await submitName(createHttpClient(site.url), site.gateway, { ...link, room }), 403, /for another room/);
    }
  });

  test("its pass is refused for another room, under any cookie name", async () => {
    const person = await useLink(await createLink("talk-pass", { role: "host" }));
    const other = await useLink(await createLink("talk-pass-2"));
    const [[, value]] = person.cookies;
    const [[name]] = other.cookies;
    for (const cookie of [`${name}=${value}`, `__Host-gateway-session=${value}`]) {
      const headers = { ...person.headers(), cookie };
      await assert.rejects(meet(person, "talk-pass-2", { headers }), HttpRefused);
    }
  });
});

test("neither the link's token nor the pass is accepted as a token, here or at Prosody", async () => {
  const link = await createLink("talk-token", { role: "host" });
  const person = await useLink(link);
  const { room } = link;
  for (const token of [link.invite, ...person.cookies.values()]) {
    for (const shown of [{ query: { room, token } }, { query: { room }, headers: { authorization: `Bearer ${token}` } }]) {
      const atProsody = login({ transport: "websocket", base: site.prosody.url, ...shown });
      await assert.rejects(atProsody, { name: "LoginRefused" });
      for (const transport of ["websocket", "bosh"]) {
        const here = login({ transport, base: site.url, tls: site.tls, ...shown });
        await assert.rejects(here, (error) => error.name === "HttpRefused" || error.condition === "policy-violation");
      }
    }
    const answer = await createHttpClient(site.url).open(site.gateway, `/${room}?jwt=${token}`);
    // To a page it is no token, so that the person is anonymous.
    assert.equal(answer.status, 303);
    assert.match(answer.headers.location, /^\/_gateway\/login\?/);
    assert.equal(answer.headers["set-cookie"], undefined);
  }
});

test("a link with limited uses is refused while the store is down", async () => {
  const [counted, free] = [await createLink("talk-away", { uses: 1 }), await createLink("talk-away")];
  await redis.kill();
  const answer = await submitName(createHttpClient(site.url), site.gateway, counted);
  assert.equal(answer.status, 503);
  assert.equal(answer.headers["set-cookie"], undefined);
  await useLink(free);
  await redis.launch();
  await until(async () => (await submitName(createHttpClient(site.url), second, counted)).status === 303, { what: "the store is back" });
});
