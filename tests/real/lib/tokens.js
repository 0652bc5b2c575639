import { createHash, generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { SignJWT } from "jose";
import { listen } from "./process.js";
import { closeServer } from "./sockets.js";

/** A secret long enough for HS512. */
export const appSecret = "real-part tests: sixty-four bytes of a secret that guards nothing";

const bytes = (secret) => new TextEncoder().encode(secret);
const base64url = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** Seconds since the epoch. */
export const now = () => Math.floor(Date.now() / 1000);

/** The claims of a token that Prosody accepts for `room`, with changes; `undefined` removes one. */
export function claims(room, changes = {}) {
  const all = {
    iss: "gateway",
    aud: "jitsi",
    sub: "meet.jitsi",
    room,
    nbf: now() - 60,
    exp: now() + 120,
    context: { user: { id: "direct", name: "Direct Visitor" } },
    ...changes,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/**
 * Signs claims. The header is `typ: JWT` unless changed; `undefined` removes a member.
 * @param {object} payload
 * @param {{key?: string | import("node:crypto").KeyObject, header?: object}} [options]
 */
export function sign(payload, { key = appSecret, header = {} } = {}) {
  const full = { typ: "JWT", alg: "HS256", ...header };
  for (const name of Object.keys(full)) if (full[name] === undefined) delete full[name];
  return new SignJWT(payload)
    .setProtectedHeader(full)
    .sign(typeof key === "string" ? bytes(key) : key);
}

/** The text of a token without a signature. */
export const unsigned = (payload) => `${base64url({ typ: "JWT", alg: "none" })}.${base64url(payload)}.`;

/** Decodes a token's claims without verification. */
export const read = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());

/** Decodes a token's header without verification. */
export const readHeader = (token) => JSON.parse(Buffer.from(token.split(".")[0], "base64url").toString());

/** An RSA key pair: the key object to sign with, both halves as PEM. */
export function rsaKey() {
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    privateKey: pair.privateKey,
    privatePem: pair.privateKey.export({ type: "pkcs8", format: "pem" }),
    publicPem: pair.publicKey.export({ type: "spki", format: "pem" }),
  };
}

/**
 * Serves public keys as a key server does: `/<sha256 hex of kid>.pem`.
 * @param {Record<string, string>} keys PEM by kid
 */
export async function startKeyServer(keys) {
  const files = new Map(
    Object.entries(keys).map(([kid, pem]) => [`/${createHash("sha256").update(kid).digest("hex")}.pem`, pem]),
  );
  const requestedPaths = [];
  const server = createServer((request, response) => {
    requestedPaths.push(request.url);
    const pem = files.get(request.url);
    response.writeHead(pem ? 200 : 404, { "content-type": "application/x-pem-file" }).end(pem);
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    requestedPaths,
    stop: () => closeServer(server),
  };
}
