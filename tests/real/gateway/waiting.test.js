// Guests wait for the host and enter automatically: over both transports, across replicas, and
// without scripts. Until then no request of theirs reaches Prosody.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { waitForState, waitForOthers, startBrowser } from "../lib/browser.js";
import { createHttpClient } from "../lib/http.js";
import { collectTokens } from "../lib/leaks.js";
import { until } from "../lib/process.js";
import { people } from "../lib/provider.js";
import { startRedis } from "../lib/redis.js";
import { shareAmongReplicas, startReplica } from "../lib/replicas.js";
import { startSite } from "../lib/site.js";
import { read } from "../lib/tokens.js";
import { connect, enter, login } from "../lib/xmpp-lite.js";

const labels = ["waiting", "waiting-b"];
const rules = [
  { match: "open-*", enter: "open" },
  { match: "staff-*", enter: "member" },
  { match: "*", enter: "guest", host: ["owner", "link", "group:staff"], start: "host" },
];
const guestName = "Gerda <b>Guest</b>";

let redis;
let shared;
let site;
let second;
let balanced;
before(async () => {
  redis = await startRedis({ password: randomBytes(12).toString("hex"), labels });
  shared = await shareAmongReplicas(redis);
  const settings = { ...shared.settings, room: rules };
  site = await startSite({ label: labels[0], settings: () => settings });
  second = await startReplica(site, { label: labels[1], settings });
  balanced = await startBrowser({ reroute: { [new URL(site.url).host]: `127.0.0.1:${second.ports.https}` } });
});
after(async () => {
  await balanced?.stop();
  await second?.stop();
  await site?.stop();
  await redis?.stop();
  await shared?.remove();
});

const mucOf = (room) => `${room}@muc.meet.jitsi`;
const occupants = (room) => site.focus.occupants(mucOf(room));
const affiliationOf = (room, who) => occupants(room).find(({ name }) => name === who)?.affiliation;
const target = (transport, room) => ({ transport, base: site.url, tls: site.tls, room, query: { room } });

/** The headers of a visitor's connections to Prosody. */
async function headersOf({ context }) {
  const cookies = await context.cookies(site.url);
  return { cookie: cookies.map(({ name, value }) => `${name}=${value}`).join("; "), origin: site.url };
}

/** A guest in a browser who has entered a name and waits. */
async function waitingGuest(path, options) {
  const guest = await site.visit(path, options);
  await site.enterGuestName(guest, guestName);
  await guest.page.locator("#wait").waitFor();
  return guest;
}

/** Asserts that the guest enters soon after the host is connected: two seconds, and as many for a busy machine. */
async function assertEnteredPromptly(guest, host, what) {
  const meeting = await waitForState(guest.page, "joined");
  const took = meeting.since.joined - host.meeting.since.joining;
  console.log(`${what}: in the room ${took} ms after the host's connection was live`);
  assert.ok(took < 4_000, `after ${took} ms`);
  return meeting;
}

/** Asserts that signalling requests are refused and none reaches Prosody. */
async function assertRefusedBeforeProsody(room, headers) {
  await site.prosody.reset();
  await assert.rejects(login({ ...target("websocket", room), headers }), { name: "HttpRefused", status: 403 });
  const stream = await connect({ ...target("bosh", room), headers });
  await assert.rejects(stream.open(), { name: "StreamEnded", condition: "policy-violation" });
  await stream.close();
  const { requests, sessions } = await site.prosody.recorded();
  assert.deepEqual({ requests, sessions }, { requests: [], sessions: [] });
}

for (const transport of ["websocket", "bosh"]) {
  describe(`a guest and a host over ${transport}`, () => {
    const room = `planning-${transport}`;
    const path = `/${room}#config.preferBosh=${transport === "bosh"}`;
    const leaks = collectTokens();
    let guest;
    let host;
    after(async () => {
      await guest?.context.close();
      await host?.context.close();
    });

    test("the guest is asked for a name, or to sign in", async () => {
      guest = await site.visit(path, { watch: leaks.watch });
      const { page } = guest;
      await page.getByRole("heading", { level: 1, name: "Join the meeting" }).waitFor();
      assert.equal(await page.getByRole("link", { name: "Sign in", exact: true }).count(), 1);
      await site.enterGuestName(guest, guestName);
    });

    test("the guest waits on a page that names the host", async () => {
      const { page } = guest;
      await page.getByRole("heading", { level: 1, name: "The meeting has not started yet" }).waitFor();
      assert.equal(await page.getByRole("status").textContent(), "Waiting for the host…");
      assert.match(await page.locator("main").textContent(), /It starts when the host arrives/);
      assert.ok((await page.locator("main").textContent()).includes(guestName), "the guest's name is text");
      const way = await page.getByRole("link", { name: "I am the host" }).getAttribute("href");
      assert.equal(way, `/_gateway/login?return_to=%2F${path.slice(1)}`, "with the fragment");
      assert.equal(page.url(), site.url + path);
    });

    test("no request of the guest reaches Prosody before the host joins", async () => {
      await assertRefusedBeforeProsody(room, await headersOf(guest));
      await assertRefusedBeforeProsody(room, {});
    });

    test("the guest's page enters when the host joins", async () => {
      await site.prosody.reset();
      host = await site.visitAndSignIn("host", path, { watch: leaks.watch });
      host.meeting = await waitForState(host.page, "joined");
      const meeting = await assertEnteredPromptly(guest, host, transport);
      assert.equal(meeting.transport, transport);
      assert.equal(meeting.me.name, guestName);
    });

    test("each sees the other, and only the host is owner", async () => {
      await waitForOthers(guest.page, [people.host.name]);
      await waitForOthers(host.page, [guestName]);
      assert.equal(affiliationOf(room, people.host.name), "owner");
      assert.match(affiliationOf(room, guestName), /^(none|member)$/);
    });

    test("Prosody has the guest's name from the gateway", async () => {
      const { sessions } = await site.prosody.recorded();
      const users = sessions.map(({ token }) => read(token).context.user);
      assert.deepEqual(users.map(({ name }) => name).sort(), [guestName, people.host.name].sort());
    });

    test("no token in either browser is accepted", async () => {
      await leaks.inspect(guest);
      await leaks.inspect(host);
      const tokens = await leaks.tokens();
      assert.ok(tokens.length >= 2, "each page has its display token");
      for (const { token, places } of tokens) {
        const where = `found in ${places.join(", ")}`;
        for (const shown of [{ query: { room, token } }, { query: { room }, headers: { authorization: `Bearer ${token}` } }]) {
          const atProsody = login({ transport: "websocket", base: site.prosody.url, ...shown });
          await assert.rejects(atProsody, { name: "LoginRefused" }, where);
          // The display token is no credential: its holder is another guest without a name.
          await site.prosody.reset();
          const visit = await enter({ ...target("websocket", room), ...shown });
          assert.match(visit.affiliation, /^(none|member)$/, where);
          await visit.stream.close();
          const [session] = (await site.prosody.recorded()).sessions;
          assert.equal(read(session.token).context.user.name, undefined, where);
        }
      }
    });

    test("after the host has left, the guest rejoins after a reload or a lost connection", async () => {
      await host.page.evaluate(() => window.meeting.hangUp());
      await until(() => !affiliationOf(room, people.host.name), { what: "the host has left" });
      const visit = await enter({ ...target(transport, room), headers: await headersOf(guest), nick: "again" });
      await visit.stream.close();
      await guest.page.reload({ waitUntil: "commit" });
      assert.equal((await waitForState(guest.page, "joined")).me.name, guestName);
    });

    test("the pages ran without errors", () => {
      assert.deepEqual([...guest.problems, ...host.problems], []);
    });
  });
}

describe("a meeting with links", () => {
  let maker;
  let meeting;
  before(async () => {
    // The creator is not in `group:staff`: only the owner tag makes them host.
    maker = await site.visitAndSignIn("first", "/");
    meeting = await site.makeMeeting(maker, "With links");
  });
  after(() => maker?.context.close());

  test("admits holders of the guest link when its creator opens it", async () => {
    const guest = await waitingGuest(meeting.links.guest.slice(site.url.length));
    assert.equal(guest.page.url(), meeting.links.all, "the link is out of the address");
    await maker.page.getByRole("link", { name: "Open the meeting" }).click();
    maker.meeting = await waitForState(maker.page, "joined");
    await assertEnteredPromptly(guest, maker, "by a link");
    await waitForOthers(maker.page, [guestName]);
    assert.equal(affiliationOf(meeting.room, people.first.name), "owner");
    assert.match(affiliationOf(meeting.room, guestName), /^(none|member)$/);
    await guest.context.close();
  });

  test("is also opened by holders of the host link", async () => {
    const { room, links } = await site.makeMeeting(maker, "By a host link");
    const guest = await waitingGuest(links.guest.slice(site.url.length));
    const host = await site.visit(links.host.slice(site.url.length));
    await site.enterGuestName(host, "Hosting Guest");
    host.meeting = await waitForState(host.page, "joined");
    await assertEnteredPromptly(guest, host, "by two links");
    assert.equal(affiliationOf(room, "Hosting Guest"), "owner");
    for (const { context } of [guest, host]) await context.close();
  });
});

test("a guest at one replica enters when the host joins at the other", async () => {
  const room = "across";
  const guest = await waitingGuest(`/${room}`);
  const host = await site.visitAndSignIn("host", `/${room}`, { by: balanced });
  host.meeting = await waitForState(host.page, "joined");
  await assertEnteredPromptly(guest, host, "across replicas");
  await waitForOthers(host.page, [guestName]);
  // The reverse: the host is at the first replica, the guest at the second.
  const late = await site.visit(`/${room}`, { by: balanced });
  await site.enterGuestName(late, "Late");
  await waitForState(late.page, "joined");
  for (const { context } of [guest, host, late]) await context.close();
});

test("a member who is not a host waits too, under their own name", async () => {
  const room = "members-wait";
  const member = await site.visitAndSignIn("first", `/${room}`);
  await member.page.locator("#wait").waitFor();
  assert.ok((await member.page.locator(".account").textContent()).includes(people.first.name));
  await assertRefusedBeforeProsody(room, await headersOf(member));
  const { stream } = await enter({ ...target("websocket", room), headers: await site.headersOf("host"), nick: "host" });
  assert.equal((await waitForState(member.page, "joined")).me.name, people.first.name);
  await until(() => affiliationOf(room, people.first.name) === "member");
  await stream.close();
  await member.context.close();
});

test("“I am the host” leads from the waiting page into the room", async () => {
  const host = await waitingGuest("/from-the-waiting-page");
  await host.page.getByRole("link", { name: "I am the host" }).click();
  await site.finishSignIn(host, "host");
  const meeting = await waitForState(host.page, "joined");
  assert.equal(meeting.me.name, people.host.name);
  assert.equal(meeting.me.role, "moderator");
  await host.context.close();
});

test("without scripts the waiting page reloads itself", async () => {
  const room = "no-scripts";
  const guest = await waitingGuest(`/${room}`, { javaScriptEnabled: false });
  const { stream } = await enter({ ...target("websocket", room), headers: await site.headersOf("host"), nick: "host" });
  // Jitsi's own page has this element.
  await guest.page.locator("#react").waitFor({ state: "attached" });
  await stream.close();
  await guest.context.close();
});

test("an open room asks for neither name nor sign-in", async () => {
  const visited = [];
  // The fragment changes when the script inserts the display token.
  const watch = ({ page }) => page.on("framenavigated", (frame) => visited.push(frame.url().split("#")[0]));
  const visitor = await site.visit("/open-square", { watch });
  const meeting = await waitForState(visitor.page, "joined");
  assert.equal(meeting.me.name, undefined);
  assert.deepEqual([...new Set(visited)], [`${site.url}/open-square`]);
  const [{ affiliation }] = occupants("open-square");
  assert.match(affiliation, /^(none|member)$/);
  await visitor.context.close();
});

describe("an app, without cookies or an origin", () => {
  for (const transport of ["websocket", "bosh"]) {
    test(`is a guest where guests may enter, over ${transport}`, async () => {
      const app = await enter({ ...target(transport, "open-air"), nick: "app" });
      assert.match(app.affiliation, /^(none|member)$/);
      await app.stream.close();
    });

    test(`waits for the host, over ${transport}`, async () => {
      const room = `app-${transport}`;
      await assertRefusedBeforeProsody(room, {});
      const host = await enter({ ...target("websocket", room), headers: await site.headersOf("host"), nick: "host" });
      assert.equal(host.affiliation, "owner");
      const app = await enter({ ...target(transport, room), nick: "app" });
      assert.match(app.affiliation, /^(none|member)$/);
      await app.stream.close();
      await host.stream.close();
    });
  }

  test("is refused where members may enter", () => assertRefusedBeforeProsody("staff-meeting", {}));
});

test("a guest's pass is not a session", async () => {
  const guest = createHttpClient(site.url);
  const answer = await guest.submit(site.gateway, "/_gateway/join", { room: "pass", name: "Ann" });
  assert.equal(answer.status, 303);
  const [[name, value]] = guest.cookies;
  assert.equal((await guest.open(site.gateway, "/staff-meeting")).status, 303, "to sign in");
  const renamed = { cookie: `${name}=${value}; __Host-gateway-session=${value}`, origin: site.url };
  await assertRefusedBeforeProsody("staff-meeting", renamed);
});
