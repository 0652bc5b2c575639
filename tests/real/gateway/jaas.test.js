// 8x8 JaaS: the same sign-in and rules, and a page of the gateway that embeds the meeting.
// A test server stands in for 8x8.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { importSPKI, jwtVerify } from "jose";
import { signIn, startBrowser } from "../lib/browser.js";
import { planGateway, startGateway } from "../lib/gateway.js";
import { startMeetingHost } from "../lib/jaas.js";
import { people, startProvider } from "../lib/provider.js";
import { now, rsaKey } from "../lib/tokens.js";
import { login, post } from "../lib/xmpp-lite.js";

const appId = "vpaas-magic-cookie-0123456789abcdef0123456789abcdef";
const key = rsaKey();
const features = [
  "create-polls", "file-upload", "flip", "inbound-call", "list-visitors", "live-translation", "livestreaming", "outbound-call", "recording",
  "send-groupchat", "sip-inbound-call", "sip-outbound-call", "transcription",
];

const started = [];
const keep = (part) => {
  started.unshift(part);
  return part;
};
let jaas;
let provider;
let gateway;
let browser;
before(async () => {
  jaas = keep(await startMeetingHost({ appId }));
  const plan = await planGateway({ label: "jaas" });
  const { publicUrl, certificate } = plan;
  provider = keep(await startProvider({ publicUrl, ca: certificate.pem }));
  gateway = keep(await startGateway(plan, {
    neighbours: { issuer: provider.issuer },
    settings: {
      upstream: undefined,
      token: undefined,
      jaas: {
        app_id: appId,
        key_id: `${appId}/4f4910`,
        key_file: await plan.file("jaas.secret", key.privatePem),
        host: jaas.host,
        features: ["recording", "transcription"],
      },
      room: [
        { match: "class-*", enter: "guest", start: "host", moderators: ["group:staff"] },
        { match: "*", enter: "member", moderators: ["group:staff"] },
      ],
    },
  }));
  browser = keep(await startBrowser());
});
after(async () => {
  for (const part of started) await part.stop();
});

/** A new visitor whose page records violations of its policy. */
async function visit(path) {
  const visitor = await browser.visitor();
  await visitor.page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
      window.violations.push(`${violatedDirective} ${blockedURI}`);
    });
  });
  await visitor.page.goto(gateway.url + path, { waitUntil: "commit" });
  return visitor;
}

async function visitAs(who, path) {
  const visitor = await visit(path);
  await signIn(visitor.page, who, provider);
  return visitor;
}

/** The arguments of 8x8's script, once the page has its meeting. */
async function callOf({ page }) {
  await page.waitForFunction(() => window.calls?.length === 1 && document.querySelector("#frame iframe"));
  const [call] = await page.evaluate(() => window.calls);
  await page.waitForFunction(() => document.getElementById("loading").hidden);
  return call;
}

async function verified(token) {
  const { payload, protectedHeader } = await jwtVerify(token, await importSPKI(key.publicPem, "RS256"));
  return { claims: payload, header: protectedHeader };
}

const about = (features) => Object.fromEntries(Object.entries(features).filter(([, value]) => value === "true"));

describe("the meeting of a member", () => {
  let host;
  let call;
  before(async () => {
    host = await visitAs("host", "/Planning%20Day");
    call = await callOf(host);
  });
  after(() => host?.context.close());

  test("is in the gateway's page with the script of the configured host", () => {
    assert.equal(new URL(host.page.url()).pathname, "/Planning%20Day");
    assert.equal(call.domain, jaas.host);
    assert.equal(call.options.roomName, `${appId}/planning%20day`);
    const paths = jaas.requests.map(({ pathname }) => pathname);
    assert.deepEqual(paths.slice(0, 2), [`/${appId}/external_api.js`, `/${appId}/planning%20day`]);
    assert.equal(jaas.requests[1].jwt, call.options.jwt);
    for (const { headers } of jaas.requests) assert.equal(headers.cookie, undefined);
  });

  test("has a token with exactly the documented fields", async () => {
    const { claims, header } = await verified(call.options.jwt);
    assert.deepEqual(header, { typ: "JWT", alg: "RS256", kid: `${appId}/4f4910` });
    const { nbf, exp, ...rest } = claims;
    const on = (name) => [name, ["recording", "transcription", "send-groupchat", "create-polls"].includes(name) ? "true" : "false"];
    assert.deepEqual(rest, {
      aud: "jitsi",
      iss: "chat",
      sub: appId,
      room: "planning%20day",
      context: {
        user: {
          id: "host",
          name: people.host.name,
          email: people.host.email,
          moderator: "true",
          "hidden-from-recorder": "false",
        },
        features: Object.fromEntries(features.map(on)),
      },
    });
    assert.ok(Number.isInteger(nbf) && Math.abs(now() - 60 - nbf) < 30, `nbf ${nbf}`);
    assert.ok(Number.isInteger(exp) && Math.abs(now() + 7_200 - exp) < 30, `exp ${exp}`);
  });

  test("violates no content security policy", async () => {
    assert.deepEqual(await host.page.evaluate(() => window.violations), []);
    assert.deepEqual(host.problems, []);
    // The policy exists, and names the one host.
    const answer = await host.context.request.get(host.page.url(), { headers: { accept: "text/html" } });
    const policy = answer.headers()["content-security-policy"];
    assert.match(policy, new RegExp(`script-src 'sha256-[^ ]+ https://${jaas.host};`));
    assert.match(policy, new RegExp(`frame-src https://${jaas.host};`));
  });

  test("ends with the session", async () => {
    const other = await host.context.newPage();
    await other.goto(`${gateway.url}/_gateway/logout`);
    await host.page.locator("#ended").waitFor();
    assert.equal(await host.page.locator("#frame iframe").count(), 0);
  });
});

test("other members are not moderators and have no charged features", async () => {
  const visitor = await visitAs("second", "/acme/Caf%C3%A9");
  const { options } = await callOf(visitor);
  const { claims } = await verified(options.jwt);
  assert.equal(claims.context.user.moderator, "false");
  assert.equal(claims.context.user.name, people.second.name);
  assert.deepEqual(about(claims.context.features), { "create-polls": "true", "send-groupchat": "true" });
  // Jitsi's client derives the room of the token from the frame's address.
  const segment = options.roomName.split("/")[1];
  const name = decodeURIComponent(segment).normalize("NFKC").toLowerCase();
  assert.equal(claims.room, encodeURIComponent(name).toLowerCase());
  assert.equal(claims.room, "tenant.acme.caf%c3%a9");
  await visitor.context.close();
});

test("a waiting guest enters when the host's page is open", async () => {
  const guest = await visit("/class-one");
  await guest.page.getByLabel("Your name").fill("Gerda Guest");
  await guest.page.getByRole("button", { name: "Join" }).click();
  await guest.page.getByRole("status").filter({ hasText: /Waiting/ }).waitFor();
  const before = jaas.requests.length;

  const host = await visit("/class-one");
  await host.page.getByRole("link", { name: "Sign in" }).click();
  await host.page.locator("input[name=login]").waitFor();
  assert.equal(jaas.requests.length, before, "nobody requests the meeting before the host is signed in");
  await signIn(host.page, "host", provider);
  const hosting = await callOf(host);
  const began = Date.now();
  const { options } = await callOf(guest);
  assert.ok(Date.now() - began < 2_000, `after ${Date.now() - began} ms`);
  const { claims } = await verified(options.jwt);
  assert.deepEqual([claims.context.user.name, claims.context.user.moderator], ["Gerda Guest", "false"]);
  assert.deepEqual(about(claims.context.features), { "create-polls": "true", "send-groupchat": "true" });
  assert.equal((await verified(hosting.options.jwt)).claims.context.user.moderator, "true");
  assert.deepEqual(await guest.page.evaluate(() => window.violations), []);
  const shown = jaas.requests.slice(before).map(({ jwt }) => jwt);
  for (const { jwt } of [hosting.options, options]) assert.ok(shown.includes(jwt));
  await guest.context.close();
  await host.context.close();
});

describe("a gateway without Jitsi", () => {
  test("does not serve Jitsi's paths", async () => {
    const target = { base: gateway.url, tls: gateway.tls, query: { room: "planning" }, headers: { origin: gateway.url } };
    for (const tenant of [undefined, "acme"]) {
      await assert.rejects(login({ transport: "websocket", ...target, tenant }), { name: "HttpRefused", status: 404 });
    }
    const body = '<body xmlns="http://jabber.org/protocol/httpbind" rid="1" to="meet.jitsi" ver="1.6" wait="1" hold="0"/>';
    const bosh = await post({ url: `${gateway.url}/http-bind?room=planning`, tls: gateway.tls, headers: target.headers, body });
    assert.equal(bosh.status, 404);
    const { context } = await browser.visitor();
    for (const path of ["/config.js?room=planning", "/external_api.js", "/libs/app.bundle.min.js"]) {
      assert.equal((await context.request.get(gateway.url + path)).status(), 404, path);
    }
    assert.deepEqual(await (await context.request.get(`${gateway.url}/_gateway/jwks.json`)).json(), { keys: [] });
    await context.close();
  });

  test("serves its own page at `/`", async () => {
    const visitor = await visit("/");
    await visitor.page.getByRole("link", { name: "Sign in" }).waitFor();
    assert.deepEqual(await visitor.page.evaluate(() => window.violations), []);
    await visitor.context.close();
  });
});
