import { createHash, createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:tls";
import { makeCertificate } from "./certificate.js";
import { accepts, freePort, run, temporaryDirectory, untilServes } from "./process.js";

/** The secret from which Prosody makes credentials (`external_service_secret`). */
const secret = "a-secret-of-coturn";
const realm = "turn.example.org";

/** Debian's coturn with TLS on a loopback port. */
export async function startCoturn() {
  const directory = await temporaryDirectory("coturn");
  const { certificate, key, pem } = await makeCertificate(directory.path);
  const port = await freePort();
  const coturn = await run("turnserver", [
    "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", `--listening-port=${await freePort()}`, `--tls-listening-port=${port}`,
    "--no-udp", "--no-dtls", "--no-cli", `--cert=${certificate}`, `--pkey=${key}`, `--realm=${realm}`,
    "--use-auth-secret", `--static-auth-secret=${secret}`, "--log-file=stdout", "--simple-log", `--pidfile=${directory.path}/pid`,
    `--userdb=${directory.path}/db`,
  ]);
  await untilServes(coturn, () => accepts(port), { what: "coturn" });
  return {
    port,
    certificate: pem,
    async stop() {
      await coturn.stop();
      await directory.remove();
    },
  };
}

const magic = 0x2112a442;
const [allocate, allocated, refused] = [0x0003, 0x0103, 0x0113];
const attributes = { username: 0x0006, integrity: 0x0008, realm: 0x0014, nonce: 0x0015, relayed: 0x0016, transport: 0x0019 };

/** An attribute of STUN (RFC 8489 § 14), padded to four bytes. */
function attribute(type, value) {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc(-value.length & 3)]);
}

/** A message of STUN (RFC 8489 § 5) with the integrity of long-term credentials if there is a key (§ 14.5). */
function message(type, parts, key) {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(20);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(body.length + (key ? 24 : 0), 2);
  head.writeUInt32BE(magic, 4);
  randomBytes(12).copy(head, 8);
  const whole = Buffer.concat([head, body]);
  if (!key) return whole;
  return Buffer.concat([whole, attribute(attributes.integrity, createHmac("sha1", key).update(whole).digest())]);
}

/** The type and the attributes of a message. */
function parse(bytes) {
  const found = new Map();
  for (let at = 20; at + 4 <= bytes.length;) {
    const length = bytes.readUInt16BE(at + 2);
    found.set(bytes.readUInt16BE(at), bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length + (-length & 3);
  }
  return { type: bytes.readUInt16BE(0), attributes: found };
}

async function exchange(socket, request) {
  socket.write(request);
  let bytes = Buffer.alloc(0);
  while (bytes.length < 20 || bytes.length < 20 + bytes.readUInt16BE(2)) {
    const [chunk] = await once(socket, "data", { signal: AbortSignal.timeout(10_000) });
    bytes = Buffer.concat([bytes, chunk]);
  }
  return parse(bytes);
}

/**
 * Asks for a relayed address by TURN over TLS (RFC 8656 § 7), with the credentials that Prosody's
 * `mod_external_services` makes: an expiry as the name, and its HMAC as the password. Whether there was one.
 * @param {number} port of the TCP proxy
 * @param {string} certificate of coturn
 */
export async function allocatesRelay(port, certificate) {
  // coturn's certificate is for another name here.
  const socket = connect({ host: "127.0.0.1", port, servername: realm, ca: certificate, checkServerIdentity: () => undefined });
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(10_000) });
    const udp = attribute(attributes.transport, Buffer.from([17, 0, 0, 0]));
    const challenge = await exchange(socket, message(allocate, [udp]));
    if (challenge.type !== refused) return false;
    const user = String(Math.floor(Date.now() / 1000) + 600);
    const password = createHmac("sha1", secret).update(user).digest("base64");
    const key = createHash("md5").update(`${user}:${realm}:${password}`).digest();
    const answer = await exchange(socket, message(allocate, [
      udp,
      attribute(attributes.username, Buffer.from(user)),
      attribute(attributes.realm, Buffer.from(realm)),
      attribute(attributes.nonce, challenge.attributes.get(attributes.nonce)),
    ], key));
    return answer.type === allocated && answer.attributes.has(attributes.relayed);
  } finally {
    socket.destroy();
  }
}
