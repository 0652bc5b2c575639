// The page, the focus and Prosody's modules in a real browser without a gateway,
// as the control for the tests of the gateway.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { waitForState, waitForOthers, startBrowser } from "../lib/browser.js";
import { startFocus } from "../lib/focus.js";
import { startReverseProxy } from "../lib/reverse-proxy.js";
import { until } from "../lib/process.js";
import { startProsody } from "../lib/prosody.js";
import { appSecret, claims, sign } from "../lib/tokens.js";
import { startWeb } from "../lib/web.js";

let front;
let web;
let prosody;
let focus;
let browser;

before(async () => {
  front = await startReverseProxy();
  web = await startWeb({ publicUrl: front.url });
  prosody = await startProsody({ secret: appSecret });
  front.use({ web: web.port, xmpp: prosody.httpPort });
  focus = await startFocus(prosody);
  browser = await startBrowser();
});
after(async () => {
  await browser?.stop();
  await focus?.stop();
  await Promise.all([front, web, prosody].map((part) => part?.stop()));
});

async function open(path, name, { room, user = {}, hash = "" }) {
  const visitor = await browser.visitor();
  const token = await sign(claims(room, { context: { user: { id: name, name, ...user } } }));
  await visitor.page.goto(`${front.url}${path}?jwt=${token}${hash}`);
  return visitor;
}

for (const transport of ["websocket", "bosh"]) {
  test(`two pages meet over ${transport}`, async () => {
    const hash = `#config.preferBosh=${transport === "bosh"}&config.startWithAudioMuted=true`;
    const room = `meet-${transport}`;
    const ada = await open(`/${room}`, "Ada", { room, hash, user: { affiliation: "owner" } });
    const meeting = await waitForState(ada.page, "joined");
    assert.equal(meeting.transport, transport);
    assert.equal(meeting.me.role, "moderator");
    const grace = await open(`/${room}`, "Grace", { room, hash });
    assert.notEqual((await waitForState(grace.page, "joined")).me.role, "moderator");
    await waitForOthers(ada.page, ["Grace"]);
    await waitForOthers(grace.page, ["Ada"]);

    await ada.page.evaluate(() => window.meeting.say("good morning"));
    await grace.page.waitForFunction(() => window.meeting.messages.some(({ text }) => text === "good morning"));
    assert.equal(await grace.page.evaluate(() => window.config.startWithAudioMuted), true);

    const affiliations = Object.fromEntries(
      focus.occupants(`${room}@muc.meet.jitsi`).map(({ name, affiliation }) => [name, affiliation]),
    );
    assert.deepEqual(affiliations, { Ada: "owner", Grace: "member" });
    assert.deepEqual([...ada.problems, ...grace.problems], []);
    await ada.context.close();
    await grace.context.close();
  });
}

test("the room's name is the same in the page, the token and the MUC", async () => {
  const visitor = await open("/acme/Caf%C3%A9%20Noir", "Ada", { room: "caf%c3%a9%20noir" });
  const { room, tenant } = await waitForState(visitor.page, "joined");
  assert.deepEqual({ room, tenant }, { room: "caf%c3%a9%20noir", tenant: "acme" });
  assert.ok(focus.rooms().includes("[acme]caf%c3%a9%20noir@muc.meet.jitsi"), focus.rooms().join(" "));
  await visitor.context.close();
});

test("a token of another room is refused", async () => {
  const visitor = await open("/elsewhere", "Ada", { room: "planning" });
  await assert.rejects(waitForState(visitor.page, "joined"), /notAllowed/);
  await visitor.context.close();
});

test("a broken stream is resumed under its old name", async () => {
  const ada = await open("/resumed", "Ada", { room: "resumed" });
  await waitForState(ada.page, "joined");
  const grace = await open("/resumed", "Grace", { room: "resumed" });
  await waitForState(grace.page, "joined");
  const before = focus.occupants("resumed@muc.meet.jitsi").map(({ jid }) => jid);
  await prosody.reset();
  front.cut();
  const resumed = await until(async () => {
    const sessions = (await prosody.recorded()).sessions.filter(({ previd }) => previd);
    return sessions.length === 2 && sessions;
  }, { what: "two resumptions", within: 30_000, every: 250 });
  assert.ok(resumed.every(({ token }) => token), "a resumption is a login of its own");

  await ada.page.evaluate(() => window.meeting.say("still here"));
  await grace.page.waitForFunction(() => window.meeting.messages.some(({ text }) => text === "still here"));
  assert.deepEqual(focus.occupants("resumed@muc.meet.jitsi").map(({ jid }) => jid), before);
  await ada.context.close();
  await grace.context.close();
});
