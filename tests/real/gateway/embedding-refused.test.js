// Refused integration tokens and refused embedding sites: each refusal has its reason on the
// page and in the log, and nothing reaches Prosody.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { creator, startEmbedding } from "../lib/embedding.js";
import { until } from "../lib/process.js";
import { startShop } from "../lib/shop.js";
import { appSecret, claims, now, sign, unsigned } from "../lib/tokens.js";
import { login, post } from "../lib/xmpp-lite.js";

let embedding;
let site;
let stranger;
before(async () => {
  embedding = await startEmbedding({ label: "embedding-refused" });
  site = embedding.site;
  stranger = await startShop();
});
after(async () => {
  await embedding?.stop();
  await stranger?.stop();
});

const room = "shop-till";
const signToken = (...changes) => embedding.signToken(room, creator, ...changes);

const refused = {
  "for another integration's room": {
    room: "school-a", token: () => embedding.signToken("school-a", creator), reason: "room_foreign", words: /has no right to this room/,
  },
  "for another room": {
    token: () => embedding.signToken("shop-cellar", creator), reason: "room_other", words: /is for another room/,
  },
  "for every room": { token: () => signToken({ room: "*" }), reason: "room_pattern", words: /for more than one room/ },
  "for a pattern of rooms": {
    token: () => signToken({ room: "shop-.*", context: { user: creator, room: { regex: true } } }), reason: "room_pattern", words: /for more than one room/,
  },
  "for no room": { token: () => signToken({ room: undefined }), reason: "room_missing", words: /names no room/ },
  "that never expires": { token: () => signToken({ exp: undefined }), reason: "expiry_missing", words: /no expiry time/ },
  "that lives too long": { token: () => signToken({ exp: now() + 86_400 }), reason: "lifetime_too_long", words: /longer than is allowed/ },
  "signed with Prosody's secret": { token: () => signToken({}, { key: appSecret }), reason: "key_other", words: /another key/ },
  "that is Prosody's own": { token: () => sign(claims(room)), reason: "issuer_unknown", words: /not known here/ },
  "signed by another integration": {
    token: () => signToken({}, { key: embedding.secrets.school }), reason: "key_other", words: /another key/,
  },
  "of another issuer": { token: () => signToken({ iss: "somebody" }), reason: "issuer_unknown", words: /not known here/ },
  "that nobody signed": {
    token: () => unsigned({ iss: "shop-app", room, exp: now() + 600, context: { user: creator } }), reason: "algorithm_refused", words: /algorithm/,
  },
};

for (const [name, { token, reason, words, room: path = room }] of Object.entries(refused)) {
  describe(`a token ${name}`, () => {
    let jwt;
    before(async () => {
      jwt = await token();
      await site.prosody.reset();
    });
    after(async () => {
      const { requests, sessions } = await site.prosody.recorded();
      assert.deepEqual({ requests, sessions }, { requests: [], sessions: [] });
    });

    /** Waits until the log has the reason once more than now. */
    const logs = async (attempt) => {
      const before = site.gateway.log().length;
      await attempt();
      const line = `event="token_refused" reason="${reason}"`;
      await until(() => site.gateway.log().slice(before).includes(line), { what: line, within: 2_000 });
    };

    test("in the shop's page", () => logs(async () => {
      const { context, frame } = await embedding.open(site.browser, { room: path, jwt });
      assert.match(await frame.locator(".facts code").textContent(), new RegExp(`^${reason}`));
      await context.close();
    }));

    test("in a top-level window", () => logs(async () => {
      const { page, context } = await site.browser.visitor();
      const answer = await page.goto(`${site.url}/${path}?jwt=${jwt}`);
      assert.equal(answer.status(), 403);
      assert.match(await page.locator(".facts code").textContent(), new RegExp(`^${reason}`));
      assert.deepEqual(await context.cookies(), []);
      await context.close();
    }));

    const target = () => ({ base: site.url, tls: site.tls, headers: { origin: site.url }, query: { room: path, token: jwt } });

    test("on a WebSocket", () => logs(() => assert.rejects(
      login({ transport: "websocket", ...target() }),
      ({ status, body }) => status === 403 && words.test(JSON.parse(body).error),
    )));

    test("on BOSH", () => logs(async () => {
      const { tls, headers, query } = target();
      const answer = await post({
        url: `${site.url}/http-bind?${new URLSearchParams(query)}`,
        tls,
        headers,
        body: '<body xmlns="http://jabber.org/protocol/httpbind" rid="1" to="meet.jitsi" ver="1.6" wait="1" hold="0"/>',
      });
      assert.equal(answer.status, 200);
      assert.match(answer.text, /type=["']terminate["']/);
      assert.match(answer.text, /condition=["']policy-violation["']/);
    }));
  });
}

describe("a site that is not configured", () => {
  test("cannot frame a room", async () => {
    const before = site.web.requests.length;
    const visitor = await site.browser.visitor();
    const said = [];
    visitor.page.on("console", (message) => said.push(message.text()));
    const { frame, context } = await embedding.open({ visitor: async () => visitor }, {
      at: stranger, room, jwt: await signToken(),
    });
    await frame.waitForURL(/^chrome-error:/);
    assert.match(said.join("\n"), /frame-ancestors/);
    const scripts = site.web.requests.slice(before).filter(({ url }) => url.startsWith("/libs/"));
    assert.deepEqual(scripts, []);
    await context.close();
  });

  test("cannot frame the gateway's pages", async () => {
    for (const path of ["_gateway/login", "_gateway/signed-out", "school-a"]) {
      const { frame, context } = await embedding.open(site.browser, { at: stranger, room: path });
      await frame.waitForURL(/^chrome-error:/);
      await context.close();
    }
  });

  test("cannot connect with a visitor's cookies", async () => {
    await assert.rejects(
      login({
        transport: "websocket", base: site.url, tls: site.tls, headers: { origin: stranger.url }, query: { room, token: await signToken() },
      }),
      { name: "HttpRefused", status: 403 },
    );
  });
});
