// The cases of the Autobahn test suite through the gateway: each ends as it does without the gateway, or in a way that
// is named here.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { WebSocketServer } from "ws";
import { runAutobahn } from "../lib/autobahn.js";
import { planGateway, startGateway } from "../lib/gateway.js";
import { createHttpClient } from "../lib/http.js";
import { listen } from "../lib/process.js";
import { names, startProsody } from "../lib/prosody.js";
import { startProvider } from "../lib/provider.js";
import { closeServer } from "../lib/sockets.js";
import { appSecret, claims, sign } from "../lib/tokens.js";
import { startBridge } from "../lib/websocket-bridge.js";

/** The cases of RFC 6455 without those of the time that large messages take. */
const protocol = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];
/** With large messages, in one frame and in many, written in pieces; and with permessage-deflate (RFC 7692). */
const opaque = [
  ...protocol, "9.1.4", "9.2.4", "9.5.6", "9.6.6", "9.7.1", "9.8.1", "12.1.1", "13.1.1",
];

/**
 * Where the gateway's verdict is another than Prosody's, which it spares such frames: it is that of the RFC, where
 * Prosody is lax.
 */
const differences = {
  "the continuation of no message is an error of the protocol (RFC 6455 § 5.4)": ["5.9", "5.10", "5.11", "5.12", "5.13", "5.14", "5.16", "5.17"],
  "the reason of a close frame is UTF-8 (RFC 6455 § 5.5.1)": ["7.5.1"],
};

const parts = [];
const keep = (part) => {
  parts.unshift(part);
  return part;
};
let echo;
let prosody;
let plan;
let gateway;
before(async () => {
  plan = await planGateway({ label: "autobahn" });
  echo = keep(await startEcho());
  prosody = keep(await startProsody({ secret: appSecret }));
  const provider = keep(await startProvider({ publicUrl: plan.publicUrl, ca: plan.certificate.pem }));
  gateway = keep(await startGateway(plan, {
    // Its pages are not asked for.
    neighbours: { web: "http://127.0.0.1:9", xmpp: prosody.url, issuer: provider.issuer },
    settings: {
      // Beside other tests, the ends of earlier WebSockets are noticed late.
      limits: { streams_per_session: 1_000 },
      location: [{ path: "/echo", upstream: echo.url, who: "anybody", websocket: true }],
      room: [{ match: "open-*", enter: "guest", start: "anyone" }],
    },
  }));
}, { timeout: 60_000 });
after(async () => {
  for (const part of parts) await part.stop();
});

/** A WebSocket server that echoes messages. */
async function startEcho() {
  const server = createServer();
  const sockets = new WebSocketServer({ server, perMessageDeflate: true });
  sockets.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.on("message", (message, binary) => socket.send(message, { binary }));
  });
  const connections = new Set();
  server.on("connection", (connection) => {
    connections.add(connection);
    connection.once("close", () => connections.delete(connection));
  });
  const port = await listen(server);
  return { url: `http://127.0.0.1:${port}`, stop: () => closeServer(server, connections) };
}

/** Runs cases against a target, by a bridge that makes its handshakes. */
async function verdictsOf(target, cases) {
  const bridge = await startBridge(target);
  try {
    return await runAutobahn(bridge.url, cases);
  } finally {
    await bridge.stop();
    assert.deepEqual(bridge.failures, []);
  }
}

/**
 * Runs cases with and without the gateway, and compares their verdicts; `named` has, by the reason, the cases whose
 * verdicts differ. The suite gives slow answers up, so that on a busy machine a case is tried again.
 */
async function compare(context, targets, cases, named = {}) {
  const direct = await verdictsOf(targets.direct, cases);
  const through = await verdictsOf(targets.through, cases);
  assert.deepEqual([...through.keys()], [...direct.keys()]);
  const expected = new Set(Object.values(named).flat());
  const differing = () => [...direct.keys()].filter((id) => through.get(id) !== direct.get(id));
  for (let tries = 0; tries < 2; tries += 1) {
    const again = differing().filter((id) => !expected.has(id));
    if (again.length === 0) break;
    for (const [verdicts, target] of [[direct, targets.direct], [through, targets.through]]) {
      for (const [id, verdict] of await verdictsOf(target, again)) verdicts.set(id, verdict);
    }
  }
  const others = differing();
  const report = (ids) => ids.map((id) => `${id}\n  without: ${direct.get(id)}\n  through: ${through.get(id)}`).join("\n");
  const unnamed = others.filter((id) => !expected.has(id));
  assert.equal(unnamed.length, 0, report(unnamed));
  const same = [...expected].filter((id) => !others.includes(id));
  assert.deepEqual(same, [], "no difference any more");
  context.diagnostic(`${direct.size} cases, ${direct.size - others.length} same verdicts, ${others.length} named differences`);
  return direct;
}

test("the WebSocket of a location", { timeout: 300_000 }, async (context) => {
  const direct = { url: `${echo.url}/echo` };
  const through = { url: `${gateway.url}/echo`, tls: gateway.tls, headers: { origin: plan.publicUrl } };
  // The second time over HTTP/2 (RFC 8441).
  for (const http2 of [false, true]) {
    const verdicts = await compare(context, { direct, through: { ...through, http2 } }, opaque);
    // A server that fails them would prove nothing.
    const failed = [...verdicts].filter(([, verdict]) => !/^(OK|NON-STRICT|INFORMATIONAL),/.test(verdict));
    assert.deepEqual(failed, []);
  }
});

const framing = `<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="${names.domain}" version="1.0"/>`;
/** The messages until the client is authenticated and bound, behind which the cases begin. */
const login = [
  { send: framing, until: /features>/ },
  { send: '<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="ANONYMOUS"/>', until: /^<success/ },
  { send: framing, until: /features>/ },
  { send: '<iq xmlns="jabber:client" type="set" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>', until: /type=.result/ },
];

// Prosody echoes nothing, and refuses most messages because they are not XML: the gateway has to refuse the same ones, with
// the same codes.
test("the WebSocket of Prosody", { timeout: 300_000 }, async (context) => {
  const room = "open-cases";
  const person = createHttpClient(plan.publicUrl);
  const joined = await person.submit(gateway, "/_gateway/join", { room, name: "Zoe" });
  assert.equal(joined.status, 303, joined.text);
  const xmpp = { "sec-websocket-protocol": "xmpp" };
  const token = await sign(claims(room));
  const targets = {
    direct: { url: `${prosody.url}/xmpp-websocket?room=${room}&token=${token}`, headers: xmpp, opening: login },
    through: { url: `${gateway.url}/xmpp-websocket?room=${room}`, tls: gateway.tls, headers: { ...person.headers(), ...xmpp }, opening: login },
  };
  await compare(context, targets, protocol, differences);
});
