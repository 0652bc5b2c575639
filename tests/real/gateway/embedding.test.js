// Another system embeds meetings in its pages, like the integrations of Odoo, Moodle and Nextcloud:
// it signs a token with its own secret and passes it to Jitsi's `external_api.js`. It works with
// and without cookies in the frame.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { waitForState, waitForOthers, startBrowserProfile } from "../lib/browser.js";
import { creator, customer, frameOf, startEmbedding } from "../lib/embedding.js";
import { collectTokens } from "../lib/leaks.js";
import { until } from "../lib/process.js";
import { appSecret, read } from "../lib/tokens.js";
import { login } from "../lib/xmpp-lite.js";

let embedding;
let site;
before(async () => {
  embedding = await startEmbedding({ label: "embedding" });
  site = embedding.site;
});
after(() => embedding?.stop());

/** The cookies that a frame of another site can send under the browser's settings. */
async function cookiesInFrames({ visitor }) {
  const { page } = await visitor();
  await page.goto(embedding.shop.cookieTestUrl);
  const names = await page.evaluate(() => window.cookieNames);
  await page.close();
  return names;
}

const settings = {
  all: { title: "where every site may keep cookies", kept: ["partitioned", "shared"] },
  own: { title: "where other sites' cookies are blocked", kept: ["partitioned"] },
  none: { title: "where all cookies are blocked", kept: [] },
};

for (const [cookies, { title, kept }] of Object.entries(settings)) {
  describe(`in a browser ${title}`, () => {
    const room = `shop-${cookies}`;
    const people = {};
    let leaks;
    let own;
    let other;

    before(async () => {
      const { attend, secrets, signToken } = embedding;
      leaks = collectTokens([appSecret, ...Object.values(secrets)]);
      people.own = await startBrowserProfile({ cookies });
      people.other = await startBrowserProfile({ cookies });
      assert.deepEqual(await cookiesInFrames(people.own), kept);
      await site.prosody.reset();
      const { watch } = leaks;
      const config = { startWithAudioMuted: true, subject: "Monday & more" };
      own = await attend(people.own, { room, jwt: await signToken(room, creator), config, watch });
      other = await attend(people.other, { room, jwt: await signToken(room, customer), config: { preferBosh: true }, watch });
    });
    after(async () => {
      for (const person of Object.values(people)) await person.stop();
    });

    test("both join over WebSocket and BOSH without a sign-in", async () => {
      assert.equal(own.meeting.transport, "websocket");
      assert.equal(other.meeting.transport, "bosh");
      await waitForOthers(own.frame, [customer.name]);
      await waitForOthers(other.frame, [creator.name]);
      await own.frame.evaluate(() => window.meeting.say("hello"));
      await other.frame.waitForFunction(() => window.meeting.messages.some(({ text }) => text === "hello"));
      assert.deepEqual(site.provider.requests.filter(({ url }) => url.startsWith("/auth")), []);
    });

    test("only the creator is owner", () => {
      const affiliations = embedding.occupants(room).map(({ name, affiliation }) => [name, affiliation]);
      assert.deepEqual(Object.fromEntries(affiliations), { [creator.name]: "owner", [customer.name]: "member" });
      assert.deepEqual([own.meeting.me.name, own.meeting.me.role], [creator.name, "moderator"]);
    });

    test("Prosody received the gateway's tokens with the shop's users", async () => {
      const { sessions } = await site.prosody.recorded();
      assert.equal(sessions.length, 2);
      for (const { token, query, headers } of sessions) {
        assert.equal(read(token).iss, "gateway");
        assert.equal(read(token).room, room);
        assert.equal(headers.authorization, `Bearer ${token}`);
        assert.doesNotMatch(query, /token/);
      }
      const users = sessions.map(({ token }) => read(token).context.user);
      assert.deepEqual(users.map(({ id, name, email }) => [id, name, email]), [
        ["integration:shop:7", creator.name, creator.email],
        ["integration:shop:8", customer.name, undefined],
      ]);
    });

    test("the frame's address keeps the options but not the token", async () => {
      for (const { frame } of [own, other]) {
        await frame.waitForFunction(() => !window.location.href.includes("jwt"));
      }
      const { hash, config } = await own.frame.evaluate(() => ({ hash: window.location.hash, config: window.meeting.config }));
      assert.equal(config.startWithAudioMuted, true);
      assert.equal(config.subject, "Monday & more");
      assert.match(hash, /config\.subject=%22Monday%20%26%20more%22/);
      assert.deepEqual([...own.problems, ...other.problems], []);
    });

    test("the browsers have no secret and no token that Prosody accepts", async () => {
      for (const visitor of [own, other]) await leaks.inspect(visitor);
      assert.deepEqual(leaks.secretPlaces(), []);
      const tokens = await leaks.tokens();
      assert.ok(tokens.length >= 4, "those of the shop, and those for the pages");
      for (const { token, places } of tokens) {
        for (const target of [{ query: { token } }, { headers: { authorization: `Bearer ${token}` } }]) {
          await assert.rejects(
            login({ transport: "websocket", base: site.prosody.url, ...target }),
            { name: "LoginRefused" },
            `found in ${places.join(", ")}`,
          );
        }
      }
    });

    test("the web container receives neither cookie nor token", () => {
      for (const { rawHeaders, url } of site.web.requests) {
        assert.doesNotMatch(url, /eyJ/);
        assert.doesNotMatch(rawHeaders.join("\n"), /eyJ|gateway-/);
      }
    });

    test("a broken connection is resumed", async () => {
      await other.page.close();
      const [{ jid }] = embedding.occupants(room).filter(({ name }) => name === creator.name);
      await site.prosody.reset();
      site.relay.cut();
      const resumed = await until(async () => (await site.prosody.recorded()).sessions.find(({ previd }) => previd), {
        what: "a resumption", within: 20_000,
      });
      assert.equal(read(resumed.token).context.user.name, creator.name);
      await until(() => own.frame.evaluate(() => {
        window.meeting.say("still here");
        return true;
      }), { what: "a connected client" });
      assert.ok(embedding.occupants(room).some((occupant) => occupant.jid === jid && occupant.affiliation === "owner"));
    });

    test("reloading the page rejoins the meeting", async () => {
      await own.page.reload();
      const { me } = await waitForState(await frameOf(own.page), "joined");
      assert.deepEqual([me.name, me.role], [creator.name, "moderator"]);
    });

    test("reloading the frame works without the token in its address", async () => {
      const frame = await frameOf(own.page);
      await frame.waitForFunction(() => !window.location.href.includes("jwt"));
      const before = site.provider.requests.length;
      await frame.evaluate(() => {
        window.earlier = true;
        window.location.reload();
      });
      await frame.waitForFunction(() => !window.earlier && document.readyState === "complete");
      if (kept.includes("partitioned")) {
        const { me } = await waitForState(frame, "joined");
        assert.deepEqual([me.name, me.role], [creator.name, "moderator"]);
      } else {
        // The pass of the embedded user is deleted. Providers do not show their forms in a frame.
        const way = frame.getByRole("link", { name: "Sign in" });
        assert.equal(await way.getAttribute("target"), "_blank");
        assert.match(await way.getAttribute("href"), /^\/_gateway\/login\?return_to=%2Fshop-none/);
        assert.equal(site.provider.requests.length, before);
      }
    });
  });
}

test("in a top-level window the address has no token, and the meeting opens again without it", async () => {
  const room = "shop-window";
  const visitor = await site.browser.visitor();
  const { page, context } = visitor;
  const leaks = collectTokens();
  leaks.watch(visitor);
  const jwt = await embedding.signToken(room, creator);
  const first = page.waitForResponse((response) => response.url().includes(`/${room}?`));
  await page.goto(`${site.url}/${room}?lang=de&jwt=${jwt}#config.startWithAudioMuted=true`, { waitUntil: "commit" });
  const answer = await first;
  assert.equal(answer.status(), 303);
  assert.equal(await answer.headerValue("location"), `/${room}?lang=de`);
  const { me } = await waitForState(page, "joined");
  assert.deepEqual([me.name, me.role], [creator.name, "moderator"]);
  assert.equal(await page.evaluate(() => window.meeting.config.startWithAudioMuted), true);

  const [pass, ...others] = await context.cookies(site.url);
  assert.deepEqual(others, []);
  assert.match(pass.name, /^__Host-gateway-pass-t-/);
  assert.deepEqual([pass.httpOnly, pass.secure, pass.sameSite], [true, true, "Lax"]);

  await page.reload();
  assert.equal((await waitForState(page, "joined")).me.name, creator.name);
  await leaks.inspect(visitor);
  const { places } = (await leaks.tokens()).find(({ token }) => token === jwt);
  assert.deepEqual(places.filter((place) => place !== "request address"), []);
  assert.deepEqual(visitor.problems, []);

  // The pass opens this room only.
  await page.goto(`${site.url}/shop-other`, { waitUntil: "commit" });
  await page.locator("input[name=login]").waitFor();
  await context.close();
});
