// The provider's own forms in a real browser, and the claims that the gateway's rules
// use.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { decodeJwt } from "jose";
import { signIn, startBrowser } from "../lib/browser.js";
import { listen } from "../lib/process.js";
import { gatewayClient, people, startProvider } from "../lib/provider.js";

let landing;
let publicUrl;
let browser;

before(async () => {
  landing = createServer((_, response) => response.end("landed"));
  publicUrl = `http://localhost:${await listen(landing)}`;
  browser = await startBrowser();
});
after(async () => {
  await browser?.stop();
  landing?.close();
});

/** The authorization code flow, step by step. */
async function visit(provider, login) {
  const { context, page } = await browser.visitor();
  const verifier = randomBytes(32).toString("base64url");
  const redirect = `${publicUrl}/_gateway/callback`;
  const query = new URLSearchParams({
    client_id: gatewayClient.id,
    response_type: "code",
    redirect_uri: redirect,
    scope: "openid profile email",
    state: "s",
    nonce: "n",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  });
  await page.goto(`${provider.issuer}/auth?${query}`);
  await signIn(page, login, provider);
  const answer = new URL(page.url()).searchParams;
  await context.close();
  if (answer.has("error")) throw new Error(answer.get("error"));
  assert.equal(answer.get("iss"), provider.issuer);
  const tokens = await (await fetch(`${provider.issuer}/token`, {
    method: "POST",
    headers: {
      authorization: `Basic ${Buffer.from(
        [gatewayClient.id, gatewayClient.secret].map(encodeURIComponent).join(":"),
      ).toString("base64")}`,
    },
    body: new URLSearchParams({
      grant_type: "authorization_code", code: answer.get("code"), redirect_uri: redirect, code_verifier: verifier,
    }),
  })).json();
  const userinfo = await (await fetch(`${provider.issuer}/me`, {
    headers: { authorization: `Bearer ${tokens.access_token}` },
  })).json();
  return { idToken: decodeJwt(tokens.id_token), userinfo };
}

for (const conformIdTokenClaims of [true, false]) {
  test(`claims arrive with conformIdTokenClaims ${conformIdTokenClaims}`, async () => {
    const provider = await startProvider({ publicUrl, conformIdTokenClaims });
    try {
      const { idToken, userinfo } = await visit(provider, "host");
      assert.equal(idToken.nonce, "n");
      assert.equal(idToken.name, conformIdTokenClaims ? undefined : people.host.name);
      assert.deepEqual(userinfo, { sub: "host", email_verified: true, ...people.host });
      assert.deepEqual(provider.errors, []);
    } finally {
      await provider.stop();
    }
  });
}
