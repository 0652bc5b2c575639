// Credentials from clients are dropped: Prosody receives the gateway's own token for the
// subject of the session.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startSite } from "../lib/site.js";
import { claims, now, read, sign } from "../lib/tokens.js";
import { authenticate, connect, enter, join, login, post, requestConference } from "../lib/xmpp-lite.js";

let site;
let headers;
let foreign;
before(async () => {
  site = await startSite({ label: "refusals" });
  headers = await site.headersOf("first");
  // Prosody would accept this one: it is signed with the shared secret.
  foreign = await sign(claims("planning", { exp: now() + 3600, context: { user: { id: "mallory", name: "Mallory", affiliation: "owner" } } }));
});
after(() => site?.stop());

for (const transport of ["websocket", "bosh"]) {
  describe(`identity from outside, over ${transport}`, () => {
    const attempt = (rest) => ({
      transport, base: site.url, tls: site.tls, room: "planning", ...rest, headers: { ...headers, ...rest.headers },
    });

    const cases = {
      "a foreign token": () => ({ query: `room=planning&token=${foreign}` }),
      "a foreign token under an encoded name": () => ({ query: `room=planning&%74oken=${foreign}` }),
      "a foreign token under a name encoded throughout": () => ({ query: `room=planning&%74%6F%6b%65%6e=${foreign}` }),
      "two tokens": () => ({ query: `token=${foreign}&room=planning&token=${foreign}` }),
      "an empty token": () => ({ query: "room=planning&token=" }),
      "a token without a value": () => ({ query: "token&room=planning" }),
      "a Basic header": () => ({ query: "room=planning", headers: { authorization: "Basic dXNlcjpwYXNz" } }),
      "a foreign Bearer header": () => ({ query: "room=planning", headers: { authorization: `Bearer ${foreign}` } }),
      "another tenant's prefix": () => ({ query: "room=planning&prefix=other" }),
      "an encoded prefix": () => ({ query: "room=planning&%70refix=other" }),
      "a proxy's region": () => ({ query: "room=planning", headers: { "x-proxy-region": "moon" } }),
    };
    for (const [name, make] of Object.entries(cases)) {
      test(`drops ${name}`, async () => {
        await site.prosody.reset();
        const visit = await enter(attempt({ ...make(), nick: `first_${transport}` }));
        assert.equal(visit.affiliation, "member");
        await visit.stream.close();

        const { sessions } = await site.prosody.recorded();
        assert.equal(sessions.length, 1);
        const [{ token, prefix, region, room, headers: received, query }] = sessions;
        const told = read(token);
        assert.equal(told.iss, "gateway");
        assert.equal(told.room, "planning");
        assert.equal(told.context.user.name, "Frieda First");
        assert.equal(received.authorization, `Bearer ${token}`);
        assert.doesNotMatch(query, /token|%74/i);
        assert.equal(prefix, "");
        assert.equal(region, undefined);
        assert.equal(room, "planning");
        assert.doesNotMatch(received.cookie ?? "", /gateway/);
      });
    }

    test("sends the tenant of the path to Prosody", async () => {
      await site.prosody.reset();
      const visit = await enter(attempt({
        tenant: "acme", query: "room=planning&prefix=other", muc: "muc.acme.meet.jitsi", nick: `tenant_${transport}`,
      }));
      await visit.stream.close();
      const { sessions } = await site.prosody.recorded();
      assert.equal(sessions[0].prefix, "acme");
    });

    test("is bound to the requested room", async () => {
      const stream = await connect(attempt({ query: "room=planning" }));
      await authenticate(stream);
      await requestConference(stream, "secret@muc.meet.jitsi");
      await assert.rejects(join(stream, "secret@muc.meet.jitsi", "first"), {
        name: "JoinRefused",
        marker: "room-mismatch",
      });
      await stream.close();
    });

    test("resumes nothing by an unknown id", async () => {
      await site.prosody.reset();
      const visit = await enter(attempt({ query: "room=planning&previd=nobody-has-this", nick: `resume_${transport}` }));
      await visit.stream.close();
      const { sessions } = await site.prosody.recorded();
      assert.equal(sessions[0].previd, undefined);
    });
  });
}

describe("without a session", () => {
  const nobody = { cookie: "__Host-gateway-session=forged", get origin() { return site.url; } };

  async function refusedEverywhere(extra = {}) {
    await site.prosody.reset();
    await assert.rejects(
      login({ transport: "websocket", base: site.url, tls: site.tls, query: "room=planning", ...extra }),
      { name: "HttpRefused", status: 403 },
    );
    const answer = await post({
      url: `${site.url}/http-bind?${extra.query ?? "room=planning"}`,
      tls: site.tls,
      headers: extra.headers,
      body: '<body xmlns="http://jabber.org/protocol/httpbind" rid="1" to="meet.jitsi" ver="1.6" wait="1" hold="0"/>',
    });
    if (answer.status === 200) {
      assert.match(answer.text, /^<body[^>]* type=["']terminate["']/);
      assert.match(answer.text, /condition=["']policy-violation["']/);
    } else {
      assert.equal(answer.status, 403);
    }
    const { requests, sessions } = await site.prosody.recorded();
    assert.deepEqual({ requests, sessions }, { requests: [], sessions: [] });
  }

  test("nothing reaches Prosody", () => refusedEverywhere({ headers: { origin: site.url } }));
  test("nothing reaches Prosody with a forged cookie", () => refusedEverywhere({ headers: { ...nobody } }));
  test("nothing reaches Prosody with a token that Prosody would accept", () =>
    refusedEverywhere({ query: `room=planning&token=${foreign}`, headers: { origin: site.url } }));
  test("nothing reaches Prosody with such a token in the header", () =>
    refusedEverywhere({ headers: { origin: site.url, authorization: `Bearer ${foreign}` } }));
  test("nothing reaches Prosody from a page of another site, with a valid cookie", () =>
    refusedEverywhere({ headers: { ...headers, origin: "https://evil.example" } }));
  test("nothing reaches Prosody from a page with an opaque origin", () =>
    refusedEverywhere({ headers: { ...headers, origin: "null" } }));
});

test("the gateway's log has no token, cookie or query", () => {
  const log = site.gateway.log();
  assert.doesNotMatch(log, /eyJ[\w-]+\.[\w-]+\./);
  assert.ok(!log.includes(headers.cookie.split("=")[1]), "no cookie");
  assert.doesNotMatch(log, /[?&]room=/);
});
