// A certified provider whose client authenticates by a key (`private_key_jwt`): sign-in, refresh, and another key.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { exportJWK, exportPKCS8, generateKeyPair } from "jose";
import { planGateway, registerSecret, startGateway } from "../lib/gateway.js";
import { createHttpClient } from "../lib/http.js";
import { collectParts } from "../lib/parts.js";
import { freePort, until } from "../lib/process.js";
import { startProvider } from "../lib/provider.js";
import { signInByForms } from "../lib/sign-in.js";
import { startWeb } from "../lib/web.js";

/** The shortest that `oidc.revalidate` may be, in ms. */
const interval = 10_000;

async function makeKey(algorithm) {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  return { pem: await exportPKCS8(privateKey), jwk: { ...(await exportJWK(publicKey)), use: "sig" } };
}

/** A provider that knows one key of its client, and a gateway that has `own` or the same. */
async function startSite(algorithm, { own } = {}) {
  const { keep, stop } = collectParts();
  try {
    const label = `client-key-${algorithm}${own ? "-other" : ""}`;
    const plan = await planGateway({ label });
    const registered = await makeKey(algorithm);
    const { pem } = own ?? registered;
    for (const line of pem.split("\n").filter((text) => text && !text.startsWith("-"))) await registerSecret(label, line);
    const provider = keep(await startProvider({
      publicUrl: plan.publicUrl, refreshTokens: true,
      client: {
        client_secret: undefined, token_endpoint_auth_method: "private_key_jwt",
        token_endpoint_auth_signing_alg: algorithm, jwks: { keys: [registered.jwk] },
      },
    }));
    const web = keep(await startWeb({ publicUrl: plan.publicUrl }));
    const gateway = keep(await startGateway(plan, {
      // No meeting takes place.
      neighbours: { web: web.url, xmpp: `http://127.0.0.1:${await freePort()}`, issuer: provider.issuer },
      settings: {
        oidc: {
          client_secret_file: undefined, client_auth: "private_key_jwt", client_key_file: await plan.file("client.key", pem),
          revalidate: `${interval / 1000}s`,
        },
      },
    }));
    const metrics = async () => (await fetch(`${gateway.admin}/metrics`)).text();
    return {
      provider, gateway, url: plan.publicUrl, stop,
      async counter(line) {
        const found = (await metrics()).split("\n").find((text) => text.startsWith(`jitsi_auth_gateway_${line} `));
        return Number(found?.split(" ").at(-1) ?? 0);
      },
      async registerCookies(person) {
        for (const value of person.cookies.values()) await registerSecret(label, value);
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const session = "__Host-gateway-session";

for (const algorithm of ["RS256", "ES256"]) {
  describe(`a client with a key for ${algorithm}`, () => {
    let site;
    before(async () => {
      site = await startSite(algorithm);
    });
    after(() => site?.stop());

    test("people sign in, and their sessions are refreshed", async () => {
      const person = createHttpClient(site.url);
      await signInByForms(person, site, "host");
      await site.registerCookies(person);
      assert.ok(person.cookies.has(session));
      assert.equal(await site.counter('sign_ins_total{outcome="ok",reason="none"}'), 1);
      await until(async () => {
        assert.equal((await person.open(site.gateway, "/board")).status, 200);
        return (await site.counter('session_revalidations_total{result="unchanged"}')) >= 2;
      }, { what: "two refreshes", within: 6 * interval, every: 500 });
      const redeemed = site.provider.requests.filter(({ url }) => url === "/token");
      assert.ok(redeemed.length >= 3, "one code and two refresh tokens");
      assert.deepEqual(site.provider.errors, []);
    });
  });

  describe(`a client with another key for ${algorithm} than the provider knows`, () => {
    let site;
    before(async () => {
      site = await startSite(algorithm, { own: await makeKey(algorithm) });
    });
    after(() => site?.stop());

    test("the provider refuses the assertion, and nobody is signed in", async () => {
      const person = createHttpClient(site.url);
      await assert.rejects(signInByForms(person, site, "host"), /not signed in/);
      await site.registerCookies(person);
      assert.equal(person.cookies.has(session), false);
      assert.equal(await site.counter('sign_ins_total{outcome="failed",reason="client_refused"}'), 1);
      assert.equal(await site.counter('sign_ins_total{outcome="ok",reason="none"}'), 0);
    });
  });
}
