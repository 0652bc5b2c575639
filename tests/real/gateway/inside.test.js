// Sign-in and sign-out from Jitsi's page: in a window, in a hidden frame, or by leaving the
// page and returning to it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startApp } from "../lib/app.js";
import { waitForState, signIn } from "../lib/browser.js";
import { people } from "../lib/provider.js";
import { startShop } from "../lib/shop.js";
import { startSite } from "../lib/site.js";
import { read, readHeader } from "../lib/tokens.js";
import { LoginRefused, login } from "../lib/xmpp-lite.js";

let shop;
let site;
let config;
before(async () => {
  shop = await startShop();
  site = await startSite({ label: "inside" });
  config = await startApp("ios", site).configure("planning");
});
after(async () => {
  await site?.stop();
  await shop?.stop();
});

/** The address that Jitsi's page builds from the configured template. */
const loginAddress = (state, nonce) => config.tokenAuthUrl.replace("{state}", encodeURIComponent(JSON.stringify(state)))
  + (nonce ? `&nonce=${nonce}` : "");

/** Opens the window from a page, which records the messages it receives; returns the window. */
async function openWindow({ page, context }, address) {
  const opened = context.waitForEvent("page");
  await page.evaluate((url) => {
    window.messages = [];
    window.addEventListener("message", ({ origin, data }) => window.messages.push({ origin, data }));
    window.open(url, "oauth", "width=500,height=600");
  }, address);
  return opened;
}

/** Signs in in the window, which then closes itself. */
async function signInAndClose(window) {
  const closed = window.waitForEvent("close");
  await signIn(window, "host", site.provider).catch((error) => {
    if (!window.isClosed()) throw error;
  });
  await closed;
}

const receivedMessages = ({ page }) => page.waitForFunction(() => window.messages.length && window.messages).then((handle) => handle.jsonValue());

describe("sign-in in a popup", () => {
  const state = { room: "Planning", roomSafe: "planning" };

  test("the page receives a display token, and the popup closes", async () => {
    const visitor = await site.browser.visitor();
    await visitor.page.goto(`${site.url}/static/close.html`);
    const window = await openWindow(visitor, loginAddress(state, "0f1e2d3c"));
    await signInAndClose(window);
    const [{ origin, data }, ...more] = await receivedMessages(visitor);
    assert.deepEqual(more, []);
    assert.equal(origin, site.url);
    assert.deepEqual(Object.keys(data).sort(), ["accessToken", "type"]);
    assert.equal(data.type, "oauth-success");
    const { context, room } = read(data.accessToken);
    assert.deepEqual([context.user.name, context.user.moderator, room], [people.host.name, true, "planning"]);
    assert.equal(readHeader(data.accessToken).alg, "none");
    await assert.rejects(
      login({ transport: "websocket", base: site.prosody.url, query: { token: data.accessToken } }),
      LoginRefused,
    );
    // The session is valid in the whole browser.
    await visitor.page.goto(`${site.url}/planning`, { waitUntil: "commit" });
    assert.deepEqual((await waitForState(visitor.page, "joined")).me.role, "moderator");

    // With a session, no form is shown.
    await visitor.page.goto(`${site.url}/static/close.html`);
    await openWindow(visitor, loginAddress(state, "1f1e2d3c"));
    assert.equal((await receivedMessages(visitor))[0].data.type, "oauth-success");
    await visitor.context.close();
  });

  test("the page receives the failure of an abandoned sign-in", async () => {
    const visitor = await site.browser.visitor();
    await visitor.page.goto(`${site.url}/static/close.html`);
    const window = await openWindow(visitor, loginAddress(state, "0f1e2d3c"));
    const closed = window.waitForEvent("close");
    await window.getByRole("link", { name: "Cancel" }).click();
    const [{ origin, data }] = await receivedMessages(visitor);
    await closed;
    assert.deepEqual({ origin, data }, { origin: site.url, data: { type: "oauth-error", error: "cancelled" } });
    await visitor.context.close();
  });

  test("a page of another site receives nothing", async () => {
    const visitor = await site.browser.visitor();
    await visitor.page.goto(shop.cookieTestUrl);
    const window = await openWindow(visitor, loginAddress(state, "0f1e2d3c"));
    await signInAndClose(window);
    const received = await visitor.page.evaluate(() => window.messages.filter(({ data }) => data?.type));
    assert.deepEqual(received, []);
    await visitor.context.close();
  });
});

describe("sign-in by leaving the page", () => {
  const state = {
    room: "Planning", roomSafe: "planning", jwt: "x", "config.jwt&x": 1,
    "config.startWithAudioMuted": true, "config.subject": "a b&c#d",
  };
  const arrived = async (page) => {
    const { me } = await waitForState(page, "joined");
    assert.equal(me.name, people.first.name);
    assert.equal(new URL(page.url()).pathname, "/Planning");
    const seen = await page.evaluate(() => window.meeting.config);
    assert.deepEqual([seen.startWithAudioMuted, seen.subject], [true, "a b&c#d"]);
    assert.doesNotMatch(page.url(), /config\.jwt|%22x%22/);
  };

  test("the page's options are restored", async () => {
    const { page, context } = await site.browser.visitor();
    await page.goto(loginAddress(state), { waitUntil: "commit" });
    await signIn(page, "first", site.provider);
    await arrived(page);

    // A visitor with a session is redirected back at once.
    await page.goto("about:blank");
    await page.goto(loginAddress(state), { waitUntil: "commit" });
    await arrived(page);
    await context.close();
  });
});

describe("sign-out in a hidden frame", () => {
  test("the page receives the result, and the session is revoked", async () => {
    const { page, context } = await site.attend("first", "/planning");
    const [session] = (await context.cookies(site.url)).filter(({ name }) => name.includes("session"));
    const connection = {
      transport: "websocket", base: site.url, tls: site.tls, query: { room: "planning" },
      headers: { origin: site.url, cookie: `${session.name}=${session.value}` },
    };
    await login(connection);
    await page.evaluate((address) => {
      window.addEventListener("message", ({ origin, data }) => {
        if (data?.type) window.received = { origin, data };
      });
      const frame = document.createElement("iframe");
      frame.style.display = "none";
      frame.src = address;
      document.body.append(frame);
    }, config.tokenLogoutUrl);
    const received = await page.waitForFunction(() => window.received).then((handle) => handle.jsonValue());
    assert.deepEqual(received, { origin: site.url, data: { type: "logout-success" } });
    assert.deepEqual((await context.cookies(site.url)).filter(({ name }) => name.includes("session")), []);
    await assert.rejects(login(connection), { name: "HttpRefused", status: 403 });
    await context.close();
  });

  test("a page of another site cannot sign out", async () => {
    const { page, context } = await site.attend("first", "/planning");
    await page.goto(shop.cookieTestUrl);
    await page.evaluate((address) => new Promise((resolve) => {
      const frame = Object.assign(document.createElement("iframe"), { src: address, onload: resolve });
      document.body.append(frame);
    }), config.tokenLogoutUrl);
    await page.goto(`${site.url}/planning`, { waitUntil: "commit" });
    assert.equal((await waitForState(page, "joined")).me.name, people.first.name);
    await context.close();
  });
});
