// `token inspect` predicts the answer of Prosody's plugin.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { binary } from "../lib/gateway.js";
import { run } from "../lib/process.js";
import { startProsody } from "../lib/prosody.js";
import { appSecret, claims, now, sign, unsigned } from "../lib/tokens.js";
import { login } from "../lib/xmpp-lite.js";

let prosody;
before(async () => {
  // Issuer and audience depend on the deployment, which `inspect` does not know.
  prosody = await startProsody({
    secret: appSecret,
    audiences: ["*"],
    edit: (text) => text.replace('asap_accepted_issuers = { "gateway" }', 'asap_accepted_issuers = { "*" }'),
  });
});
after(() => prosody?.stop());

const text = (value) => Buffer.from(value).toString("base64url");
const good = claims("room");

/** Tokens by their fault. */
const tokens = {
  nothing: () => sign(good),
  "no exp": () => sign(claims("room", { exp: undefined })),
  "no nbf": () => sign(claims("room", { nbf: undefined })),
  "no context": () => sign(claims("room", { context: undefined })),
  "a fraction in exp": () => sign(claims("room", { exp: now() + 60.5 })),
  "an iss of its own": () => sign(claims("room", { iss: "somebody" })),
  "every room": () => sign(claims("*")),
  "features": () => sign(claims("room", { context: { user: { id: "1" }, features: { recording: true } } })),
  "a list of audiences": () => sign(claims("room", { aud: ["jitsi"] })),
  "exp is over": () => sign(claims("room", { exp: now() - 5 })),
  "nbf is to come": () => sign(claims("room", { nbf: now() + 60 })),
  "exp is a text": () => signedRaw({ ...good, exp: "soon" }),
  "nbf is a text": () => signedRaw({ ...good, nbf: "then" }),
  "exp is null": () => signedRaw({ ...good, exp: null }),
  "no iss": () => sign(claims("room", { iss: undefined })),
  "no aud": () => sign(claims("room", { aud: undefined })),
  "no room": () => sign(claims("room", { room: undefined })),
  "no sub": () => sign(claims("room", { sub: undefined })),
  "context is null": () => signedRaw({ ...good, context: null }),
  "typ is missing": () => sign(good, { header: { typ: undefined } }),
  "typ in small letters": () => sign(good, { header: { typ: "jwt" } }),
  "another kind of typ": () => sign(good, { header: { typ: "at+jwt" } }),
  "no algorithm": () => unsigned(good),
  "none, and something for a signature": () => `${unsigned(good)}AA`,
  "two parts": () => `${text('{"typ":"JWT","alg":"HS256"}')}.${text(JSON.stringify(good))}`,
  "a body that is no JSON": () => `${text('{"typ":"JWT","alg":"HS256"}')}.${text("body")}.AA`,
};

/** Signs claims that the library refuses to sign. */
async function signedRaw(payload) {
  const { createHmac } = await import("node:crypto");
  const message = `${text('{"typ":"JWT","alg":"HS256"}')}.${text(JSON.stringify(payload))}`;
  return `${message}.${createHmac("sha256", appSecret).update(message).digest("base64url")}`;
}

async function inspected(token) {
  const program = await run(binary, ["token", "inspect", token]);
  const { code } = await program.exited;
  return { accepted: code === 0, output: program.output() };
}

async function tried(token) {
  try {
    await login({ transport: "bosh", base: prosody.url, headers: { authorization: `Bearer ${token}` }, within: 3_000 });
    return { accepted: true };
  } catch (error) {
    return { accepted: false, text: error.text, error };
  }
}

for (const [name, make] of Object.entries(tokens)) {
  test(name, async () => {
    const token = await make();
    const [said, done] = [await inspected(token), await tried(token)];
    assert.equal(said.accepted, done.accepted, `${said.output}\nProsody: ${done.error?.message ?? "accepted"}`);
    // The number of seconds in the message varies.
    const words = done.text?.replace(/ \(.*/, "");
    if (words && !/^Invalid (token|header|body)/.test(words)) assert.ok(said.output.includes(words), `${words} in\n${said.output}`);
  });
}
