// Jitsi's apps have no cookies of the gateway: people sign in with the system browser, and
// return with a token that opens one room once.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startApp } from "../lib/app.js";
import { waitForState } from "../lib/browser.js";
import { frameOf } from "../lib/embedding.js";
import { people } from "../lib/provider.js";
import { startShop } from "../lib/shop.js";
import { startSite } from "../lib/site.js";
import { read } from "../lib/tokens.js";
import { enableResumption, enter, login, ping, resume } from "../lib/xmpp-lite.js";

let shell;
let site;
before(async () => {
  // Stands in for the desktop app's own page, which shows rooms in a frame.
  shell = await startShop();
  site = await startSite({
    label: "apps",
    settings: () => ({
      embed: { sites: [shell.url] },
      room: [
        { match: "open-*", enter: "guest", start: "member" },
        { match: "*-later", enter: "member", start: "host", host: "group:staff" },
        { match: "*", enter: "member", moderators: ["group:staff"] },
      ],
    }),
  });
});
after(async () => {
  await site?.stop();
  await shell?.stop();
});

/** Signs in with the system's browser and returns the parsed deep link. */
async function handoffLink(app, who, room, more) {
  const visitor = await site.browser.visitor();
  const config = await app.configure(room, more?.tenant);
  const link = await app.signIn(visitor, app.loginAddress(config, room, more), who);
  return { ...app.parseLink(link), config, ...visitor };
}

/** What lib-jitsi-meet takes for "password required". */
const signInFirst = { name: "LoginRefused", condition: "not-allowed" };

const refused = (reason) => ({ status, body }) => status === 403 && reason.test(JSON.parse(body).error);

for (const kind of ["ios", "android", "electron"]) {
  describe(`the app for ${kind}`, () => {
    const room = `team%20${kind}`;
    let app;
    let opened;
    before(async () => {
      app = startApp(kind, site);
      opened = await handoffLink(app, "host", `Team%20${kind}`, { options: { "config.subject": "a b&c", jwt: "x" } });
    });
    after(() => opened?.context.close());

    test("is opened at the room with a token that has the account", () => {
      const { server, path, token, options, config } = opened;
      assert.equal(server, site.url);
      assert.equal(path, `/Team%20${kind}`);
      const { context, aud } = read(token);
      assert.equal(context.user.name, people.host.name);
      assert.equal(aud, "gateway");
      assert.deepEqual(options, {
        "config.prejoinConfig.enabled": false, "config.startWithAudioMuted": false, "config.subject": "a b&c",
      });
      assert.equal(new URL(config.tokenAuthUrl).origin, site.url);
    });

    test("joins without a cookie, as the account and in its role", async () => {
      await site.prosody.reset();
      const visit = await enter(app.connection(room, opened.token));
      assert.equal(visit.affiliation, "owner");
      const [session] = (await site.prosody.recorded()).sessions;
      assert.equal(read(session.token).context.user.name, people.host.name);
      assert.equal(read(session.token).room, room);
      assert.equal(session.headers.authorization, `Bearer ${session.token}`);
      // The node, as in the token and the MUC: Jitsi's modules look up the room by it.
      assert.equal(session.query, `room=team%2520${kind}`);
      await visit.stream.close();
    });

    test("enters again with the token, over either transport", async () => {
      for (const transport of ["websocket", "bosh"]) {
        const visit = await enter(app.connection(room, opened.token, { transport }));
        assert.equal(visit.affiliation, "owner");
        await visit.stream.close();
      }
    });

    test("signs in again without a form, and other members are not owners", async () => {
      const link = await app.signIn(opened, app.loginAddress(opened.config, `Team%20${kind}`));
      const again = await enter(app.connection(room, app.parseLink(link).token));
      assert.equal(again.affiliation, "owner");
      const other = await handoffLink(app, "first", `Team%20${kind}`);
      const visit = await enter(app.connection(room, other.token, { nick: "first" }));
      assert.equal(visit.affiliation, "member");
      for (const { stream } of [again, visit]) await stream.close();
      await other.context.close();
    });
  });
}

describe("a token for an app", () => {
  let app;
  let opened;
  const room = "planning";
  before(() => {
    app = startApp("ios", site);
  });
  const fresh = async (...changes) => {
    opened = await handoffLink(app, "first", room, ...changes);
    return opened.token;
  };
  after(() => opened?.context.close());

  test("opens no other room, with or without a tenant", async () => {
    const token = await fresh();
    await assert.rejects(login(app.connection("elsewhere", token)), refused(/another room/));
    await assert.rejects(login(app.connection(room, token, { tenant: "acme" })), refused(/another room/));
    const inTenant = await fresh({ tenant: "acme" });
    await assert.rejects(login(app.connection(room, inTenant)), refused(/another room/));
    const visit = await enter(app.connection(room, inTenant, { tenant: "acme", muc: "muc.acme.meet.jitsi" }));
    await visit.stream.close();
  });

  test("is refused by Prosody, and when it is changed", async () => {
    const token = await fresh();
    await assert.rejects(login({ transport: "websocket", base: site.prosody.url, query: { token } }), { name: "LoginRefused" });
    const [head, , signature] = token.split(".");
    const claims = { ...read(token), room: "elsewhere" };
    const forged = [head, Buffer.from(JSON.stringify(claims)).toString("base64url"), signature].join(".");
    await assert.rejects(login(app.connection("elsewhere", forged)), { name: "HttpRefused", status: 403 });
  });

  test("is refused from a page of another site", async () => {
    const token = await fresh();
    const headers = { ...app.headers, origin: "https://evil.example" };
    await assert.rejects(login(app.connection(room, token, { headers })), { name: "HttpRefused", status: 403 });
  });

  test("resumes a stream from any address, as often as it breaks", async () => {
    const token = await fresh();
    const connection = app.connection(room, token);
    const { stream, jid } = await enter(connection);
    const id = await enableResumption(stream);
    stream.cut();
    const moved = { ...connection, tls: { ...connection.tls, localAddress: "127.0.0.2" } };
    const again = await resume(id, moved);
    await ping(again);
    assert.ok(site.focus.occupants(`${room}@muc.meet.jitsi`).some((occupant) => occupant.jid === jid));
    again.cut();
    const third = await resume(id, connection);
    await ping(third);
    await third.close();
    await assert.rejects(resume("made-up", connection), /not resumed/);
  });

  test("is valid for a whole BOSH session", async () => {
    const token = await fresh();
    const connection = app.connection(room, token, { transport: "bosh" });
    const visit = await enter({ ...connection, nick: "poller" });
    assert.equal(visit.affiliation, "member");
    for (let n = 0; n < 3; n += 1) await ping(visit.stream);
    await visit.stream.close();
  });

  test("is revoked with the session of the browser, and so are its streams", async () => {
    const used = await fresh();
    const { page, config } = opened;
    const streams = [await enter(app.connection(room, used, { nick: "one" }))];
    const link = await app.signIn(opened, app.loginAddress(config, room));
    streams.push(await enter(app.connection(room, app.parseLink(link).token, { transport: "bosh", nick: "two" })));
    const unused = app.parseLink(await app.signIn(opened, app.loginAddress(config, room))).token;

    const began = Date.now();
    await page.goto(`${site.url}/_gateway/logout`);
    const { code } = await streams[0].stream.closed;
    assert.equal(code, 1008);
    assert.ok(Date.now() - began < 5_000, `cut after ${Date.now() - began} ms`);
    await assert.rejects(ping(streams[1].stream), { name: "StreamEnded" });
    await assert.rejects(login(app.connection(room, unused)), { name: "HttpRefused", status: 403 });
    await assert.rejects(login(app.connection(room, used)), { name: "HttpRefused", status: 403 });
    // The used token opens no page either; its holder has to sign in.
    const elsewhere = await site.browser.visitor();
    await elsewhere.page.goto(`${site.url}/${room}?jwt=${unused}`, { waitUntil: "commit" });
    await elsewhere.page.locator("input[name=login]").waitFor();
    assert.deepEqual((await elsewhere.context.cookies(site.url)).filter(({ name }) => /pass|session/.test(name)), []);
    await elsewhere.context.close();
  });
});

describe("an app without a token", () => {
  const app = () => startApp("android", site);

  test("enters no room for members", async () => {
    await assert.rejects(login(app().connection("planning")), signInFirst);
  });

  test("waits where guests may enter, and enters when a member is present", async () => {
    const guest = app().connection("open-house", undefined, { nick: "guest" });
    await assert.rejects(login(guest), signInFirst);
    const { token, context } = await handoffLink(app(), "first", "open-house");
    const member = await enter(app().connection("open-house", token, { nick: "member" }));
    for (const transport of ["websocket", "bosh"]) {
      const visit = await enter({ ...guest, transport, nick: `guest_${transport}` });
      assert.equal(visit.affiliation, "member");
      await ping(visit.stream);
      await visit.stream.close();
    }
    await member.stream.close();
    await context.close();
  });
});

describe("the app for desktops, which shows rooms in a frame", () => {
  let app;
  let desktop;
  before(async () => {
    app = startApp("electron", site);
    desktop = await site.browser.visitor({ userAgent: app.agent });
  });
  after(() => desktop?.context.close());

  /** Shows a room like `external_api.js` in the app. */
  async function show(room, jwt) {
    const { host } = new URL(site.url);
    await desktop.page.goto(shell.page({ domain: host, options: { roomName: room, jwt } }));
    return frameOf(desktop.page);
  }

  test("signs in with the system's browser and returns", async () => {
    const frame = await show("Desk%20One");
    const way = frame.getByRole("link", { name: "Sign in" });
    assert.equal(await way.getAttribute("target"), "_blank");
    const outside = await site.browser.visitor();
    const link = await app.signIn(outside, new URL(await way.getAttribute("href"), site.url).href, "first");
    const { path, token } = app.parseLink(link);
    assert.equal(path, "/Desk%20One");

    const room = await show("Desk%20One", token);
    const { me } = await waitForState(room, "joined");
    assert.equal(me.name, people.first.name);
    assert.notEqual(me.role, "moderator");
    await room.waitForFunction(() => !window.location.href.includes("jwt"));
    const given = (await desktop.context.cookies(site.url)).map(({ name }) => name);
    assert.equal(given.length, 1);
    assert.match(given[0], /^__Host-gateway-pass-f-/);
    await room.evaluate(() => {
      window.earlier = true;
      window.location.reload();
    });
    await room.waitForFunction(() => !window.earlier && window.meeting);
    assert.equal((await waitForState(room, "joined")).me.name, people.first.name);
    await outside.context.close();
  });

  test("waits for the host, and enters with the same token", async () => {
    const { token, context } = await handoffLink(app, "first", "desk-later");
    const frame = await show("desk-later", token);
    await frame.getByRole("status").waitFor();
    const host = await handoffLink(startApp("ios", site), "host", "desk-later");
    const visit = await enter(startApp("ios", site).connection("desk-later", host.token));
    const { me } = await waitForState(frame, "joined");
    assert.equal(me.name, people.first.name);
    assert.notEqual(me.role, "moderator");
    await visit.stream.close();
    await context.close();
    await host.context.close();
  });
});
