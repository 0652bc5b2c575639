// Links on two replicas with a real Redis: their room, role, lifetime and number of uses hold, and
// Prosody accepts none of them.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Agent } from "node:https";
import { after, before, describe, test } from "node:test";
import { reaches } from "../lib/browser.js";
import { keepOutOfLogs } from "../lib/gateway.js";
import { ask, somebody } from "../lib/http.js";
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
  for (const label of labels) await keepOutOfLogs(label, apiKey);
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

/** Asks the API of a replica. */
async function api(gateway, method, path, body) {
  return ask(gateway, `/_gateway/api/v1/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${apiKey}`,
      host: new URL(site.url).host,
      ...(body && { "content-type": "application/json" }),
    },
    body: body && JSON.stringify(body),
  });
}

/** A link into a room: its id, address and token. */
async function mint(room, wishes = {}) {
  const answer = await api(site.gateway, "POST", "links", { room, role: "guest", ...wishes });
  assert.equal(answer.status, 201, answer.text);
  const { id, url } = JSON.parse(answer.text);
  const invite = new URL(url).searchParams.get("invite");
  for (const label of labels) await keepOutOfLogs(label, invite);
  return { id, url, invite, room };
}

const revoke = async (gateway, { id }) => assert.equal((await api(gateway, "DELETE", `links/${id}`)).status, 204);

/** Sends the form of a link's page. */
const say = (person, gateway, { room, invite }, name = "Ann") => person.submit(gateway, "/_gateway/join", { room, invite, name });

/** Somebody who came by a link. */
async function holder(link, { gateway = site.gateway, name } = {}) {
  const person = somebody(site.url);
  const answer = await say(person, gateway, link, name);
  assert.equal(answer.status, 303, answer.text);
  assert.equal(answer.headers.location, `/${link.room}`);
  for (const [, value] of person.cookies) for (const label of labels) await keepOutOfLogs(label, value);
  return person;
}

const meet = (person, room, { gateway = site.gateway, transport = "websocket", headers } = {}) => enter({
  transport, base: gateway.url, tls: gateway.tls, headers: headers ?? person.headers(), query: { room }, room,
  nick: randomBytes(6).toString("hex"),
});

const occupants = (room) => site.focus.occupants(`${room}@muc.meet.jitsi`);

/** The refusal of a link, with a page that says why. */
function refused(answer, status, reason) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.text, /This invitation cannot be used/);
  assert.match(answer.text, reason);
  assert.equal(answer.headers["set-cookie"], undefined);
}

describe("a link in a browser", () => {
  test("lets somebody in who says a name, and vanishes from the address", async () => {
    const link = await mint("talk-browser");
    const guest = await site.knock(link.url.slice(site.url.length));
    await site.sayName(guest, "Gerda Guest");
    const meeting = await reaches(guest.page, "joined");
    assert.equal(meeting.me.name, "Gerda Guest");
    assert.doesNotMatch(guest.page.url(), /invite/);
    assert.match(occupants(link.room)[0].affiliation, /^(none|member)$/);
    for (const { url, headers } of site.web.requests) {
      assert.doesNotMatch(url + JSON.stringify(headers), /invite/, "Jitsi's web server does not see it");
    }
    await guest.context.close();
  });

  test("for one use is not used up by a double click", async () => {
    const link = await mint("talk-twice", { uses: 1 });
    const guest = await site.knock(link.url.slice(site.url.length));
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

  test("leaves a member their own name, and a host link makes them owner", async () => {
    for (const [uses, room] of [[undefined, "talk-member"], [1, "talk-member-once"]]) {
      const link = await mint(room, { role: "host", uses, name: "Somebody Else" });
      const member = await site.arrive("second", "/_gateway/login?return_to=%2Fstatic%2Fclose.html");
      await member.page.goto(link.url, { waitUntil: "commit" });
      if (uses) {
        assert.equal(await member.page.getByRole("textbox").inputValue(), people.second.name);
        await site.sayName(member, "A Third Name");
      }
      const meeting = await reaches(member.page, "joined");
      assert.equal(meeting.me.name, people.second.name);
      assert.equal(meeting.me.role, "moderator");
      const [{ name, affiliation }] = occupants(room);
      assert.deepEqual({ name, affiliation }, { name: people.second.name, affiliation: "owner" });
      await member.context.close();
    }
  });
});

test("a host link makes an owner, a guest link does not", async () => {
  const [host, guest] = [await holder(await mint("talk-roles", { role: "host" })), await holder(await mint("talk-roles"))];
  for (const transport of ["websocket", "bosh"]) {
    for (const [person, affiliation] of [[host, /^owner$/], [guest, /^(none|member)$/]]) {
      const visit = await meet(person, "talk-roles", { transport });
      assert.match(visit.affiliation, affiliation);
      await visit.stream.close();
    }
  }
});

test("a link for somebody in particular has their name", async () => {
  const link = await mint("talk-named", { name: "Mia <b>Mouse</b>" });
  const person = somebody(site.url);
  assert.equal((await person.open(site.gateway, link.url)).status, 303);
  const visit = await meet(person, "talk-named");
  const [session] = (await site.prosody.seen()).sessions.slice(-1);
  assert.equal(JSON.parse(Buffer.from(session.token.split(".")[1], "base64url")).context.user.name, "Mia <b>Mouse</b>");
  await visit.stream.close();
});

describe("a link for so many people", () => {
  test("lets one in of two who come to two replicas at the same moment", async () => {
    for (let round = 0; round < 20; round += 1) {
      const link = await mint(`talk-race-${round}`, { uses: 1 });
      const rivals = [[site.gateway, somebody(site.url)], [second, somebody(site.url)]];
      const answers = await Promise.all(rivals.map(([gateway, person]) => say(person, gateway, link)));
      assert.deepEqual(answers.map(({ status }) => status).sort(), [303, 410], `round ${round}`);
      refused(answers.find(({ status }) => status === 410), 410, /used by as many people/);
      const winner = rivals[answers.findIndex(({ status }) => status === 303)][1];
      const visit = await meet(winner, link.room);
      await visit.stream.close();
    }
  });

  test("lets exactly three in of ten", async () => {
    const link = await mint("talk-three", { uses: 3 });
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) =>
      say(somebody(site.url), index % 2 ? second : site.gateway, link)));
    assert.equal(answers.filter(({ status }) => status === 303).length, 3);
    assert.equal(answers.filter(({ status }) => status === 410).length, 7);
  });

  test("is not used up by programs that look at it", async () => {
    const link = await mint("talk-preview", { uses: 1, name: "Mia" });
    for (const gateway of [site.gateway, second]) {
      for (const method of ["GET", "HEAD"]) {
        for (const program of messengers) {
          const answer = await somebody(site.url).open(gateway, link.url, { method, headers: { "user-agent": program } });
          assert.equal(answer.status, 200);
          assert.equal(answer.headers["set-cookie"], undefined);
        }
      }
    }
    await holder(link);
    refused(await say(somebody(site.url), second, link), 410, /used by as many people/);
  });

  test("nor by a form that is not filled in", async () => {
    const link = await mint("talk-empty", { uses: 1 });
    const person = somebody(site.url);
    for (const name of ["", "  ", "x".repeat(200), "a\u202eb"]) {
      assert.equal((await say(person, site.gateway, link, name)).status, 422);
    }
    assert.equal((await say(person, site.gateway, link)).status, 303);
  });

  test("nor by a page of another site, which could fill the form in for people", async () => {
    const link = await mint("talk-forged", { uses: 1 });
    const answer = await ask(site.gateway, "/_gateway/join", {
      method: "POST",
      headers: {
        host: new URL(site.url).host, origin: "https://evil.example", "content-type": "application/x-www-form-urlencoded",
      },
      body: new URLSearchParams({ room: link.room, invite: link.invite, name: "Ann" }).toString(),
    });
    assert.equal(answer.status, 403);
    assert.equal(answer.headers["set-cookie"], undefined);
    await holder(link);
  });

  test("opens again for whoever came by it", async () => {
    const link = await mint("talk-again", { uses: 1 });
    const person = await holder(link);
    for (const gateway of [site.gateway, second]) {
      const answer = await person.open(gateway, link.url);
      assert.equal(answer.status, 303, "straight in, with nothing to fill in");
      assert.equal(answer.headers.location, "/talk-again");
      assert.equal((await say(person, gateway, link, "Ann")).status, 303, "nor does a second press of the button harm");
    }
    refused(await say(somebody(site.url), second, link), 410, /used by as many people/);
  });
});

describe("a link that was revoked", () => {
  /** Resolves when the stream is over, no later than a second after now. */
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
      const link = await mint(room);
      const bystander = await meet(await holder(await mint(room)), room, { transport });
      const holders = [];
      for (const gateway of [site.gateway, second]) {
        const person = await holder(link, { gateway });
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

  test("opens nothing any more", async () => {
    const link = await mint("talk-taken-back", { uses: 5 });
    await revoke(site.gateway, link);
    for (const gateway of [site.gateway, second]) {
      await until(async () => (await somebody(site.url).open(gateway, link.url)).status === 410);
      refused(await say(somebody(site.url), gateway, link), 410, /revoked the link/);
    }
  });

  test("leaves members what is theirs without it", async () => {
    const link = await mint("talk-members", { role: "host" });
    const { cookie } = await site.headersOf("first");
    const member = somebody(site.url);
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

describe("a link that is not as it was made", () => {
  test("is refused whichever character changed", async () => {
    const link = await mint("talk-tampered", { role: "host", name: "Mia" });
    for (let at = 0; at < link.invite.length; at += 1) {
      const other = link.invite[at] === "A" ? "B" : "A";
      const changed = link.invite.slice(0, at) + other + link.invite.slice(at + 1);
      const answer = await somebody(site.url).open(site.gateway, `/${link.room}?invite=${changed}`, { agent });
      refused(answer, 400, /The link is damaged/);
    }
    for (const cut of [link.invite.slice(0, -1), link.invite.slice(1), `${link.invite}A`, `${link.invite}=`, "A", "x.y.z"]) {
      refused(await somebody(site.url).open(site.gateway, `/${link.room}?invite=${encodeURIComponent(cut)}`), 400, /The link is damaged/);
    }
    assert.equal((await somebody(site.url).open(site.gateway, link.url)).status, 303, "as it was it is good");
  });

  test("is refused for another room", async () => {
    const link = await mint("talk-own-room", { role: "host", name: "Mia" });
    for (const room of ["talk-other-room", "acme/talk-own-room", "talk-own-room-2"]) {
      refused(await somebody(site.url).open(site.gateway, `/${room}?invite=${link.invite}`), 403, /for another room/);
      refused(await say(somebody(site.url), site.gateway, { ...link, room }), 403, /for another room/);
    }
  });

  test("nor is its pass good for another room, under whatever name", async () => {
    const person = await holder(await mint("talk-pass", { role: "host" }));
    const other = await holder(await mint("talk-pass-2"));
    const [[, value]] = person.cookies;
    const [[name]] = other.cookies;
    for (const cookie of [`${name}=${value}`, `__Host-gateway-session=${value}`]) {
      const headers = { ...person.headers(), cookie };
      await assert.rejects(meet(person, "talk-pass-2", { headers }), HttpRefused);
    }
  });
});

test("neither the link's token nor the pass is anything to Prosody, or a token here", async () => {
  const link = await mint("talk-token", { role: "host" });
  const person = await holder(link);
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
    const answer = await somebody(site.url).open(site.gateway, `/${room}?jwt=${token}`);
    assert.equal(answer.status, 403);
    assert.equal(answer.headers["set-cookie"], undefined);
  }
});

test("a link that has to be counted opens nothing while that cannot be done", async () => {
  const [counted, free] = [await mint("talk-away", { uses: 1 }), await mint("talk-away")];
  await redis.kill();
  const answer = await say(somebody(site.url), site.gateway, counted);
  assert.equal(answer.status, 503);
  assert.equal(answer.headers["set-cookie"], undefined);
  await holder(free);
  await redis.launch();
  await until(async () => (await say(somebody(site.url), second, counted)).status === 303, { what: "the store is back" });
});
