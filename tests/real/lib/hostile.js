import assert from "node:assert/strict";
import { connect as connectTls } from "node:tls";
import { until } from "./process.js";
import { names } from "./prosody.js";
import { masked, openRawWebSocket } from "./raw-websocket.js";
import { StreamEnded, authenticate, connect, enableResumption, join, post, requestConference, resume } from "./xmpp-lite.js";

const xmlns = "http://jabber.org/protocol/httpbind";
const text = (xml) => masked(0x81, Buffer.from(xml));
const part = (first, payload, length) => masked(first, Buffer.from(payload), length);
const quiet = (answer) => void answer.catch(() => {});

/** What a hostile client does over WebSocket, as bytes. */
export const webSocketTricks = {
  "nothing unusual": () => {},
  "one byte of a frame": (stream) => stream.bytes([0x81]),
  "half of a frame's length": (stream) => stream.bytes([0x81, 0xfe, 1]),
  "half of a frame's payload": (stream) => stream.bytes(part(0x81, "<message", 100)),
  "half of a ping": (stream) => stream.bytes(part(0x89, "x", 9)),
  "half of a close frame": (stream) => stream.bytes(part(0x88, [3], 2)),
  "a close frame": (stream) => stream.bytes(masked(0x88, Buffer.from([3, 232]))),
  "a close frame and the end of TCP": (stream) => {
    stream.bytes(masked(0x88, Buffer.from([3, 232])));
    stream.end();
  },
  "the end of TCP": (stream) => stream.end(),
  "a reset": (stream) => stream.reset(),
  "a binary frame": (stream) => stream.bytes(masked(0x82, Buffer.from("<a/>"))),
  "a fragment": (stream) => stream.bytes(masked(0x01, Buffer.from("<a/>"))),
  "a continuation": (stream) => stream.bytes(masked(0x80, Buffer.from("<a/>"))),
  "a reserved bit": (stream) => stream.bytes(masked(0xc1, Buffer.from("<a/>"))),
  "a reserved opcode": (stream) => stream.bytes(masked(0x83, Buffer.from("<a/>"))),
  "no mask": (stream) => stream.bytes([0x81, 4, ...Buffer.from("<a/>")]),
  "text before the element": (stream) => stream.bytes(text(" <a/>")),
  "an empty message": (stream) => stream.bytes(text("")),
  "a message that does not come": (stream) => stream.bytes(part(0x81, "<message", 2 ** 30)),
  "reads nothing": (stream) => stream.pause(),
  "an element left open": (stream) => stream.bytes(text("<message xmlns='jabber:client' to='x@y'><body>")),
  "an attribute left open": (stream) => stream.bytes(text("<message xmlns='jabber:client' to='")),
  "a CDATA section left open": (stream) => stream.bytes(text("<message xmlns='jabber:client'><body><![CDATA[")),
  "a comment left open": (stream) => stream.bytes(text("<!-- ")),
  "a processing instruction left open": (stream) => stream.bytes(text("<?a ")),
};

/** What a hostile client does over BOSH, once all its requests are answered. */
export const boshTricks = {
  "nothing unusual": () => {},
  "a rid with a fraction": ({ send, rid }) => quiet(send(`${rid + 1}.0`)),
  "a hexadecimal rid": ({ send, rid }) => quiet(send(`0x${(rid + 1).toString(16)}`)),
  "a rid with spaces": ({ send, rid }) => quiet(send(` ${rid + 1} `)),
  "a rid with an exponent": ({ send, rid }) => quiet(send(`${rid + 1}e0`)),
  "a repeated rid that terminates": async ({ send, rid }) => {
    const answer = await send(rid, 'type="terminate"');
    assert.equal(answer.status, 200);
    await send(rid + 1, "", "<presence xmlns='jabber:client'/>");
  },
  "a rid left out": ({ send, rid }) => quiet(send(rid + 2)),
  "a rid far ahead that terminates": ({ send, rid }) => send(rid + 500, 'type="terminate"'),
  "a poll broken off": ({ abort, rid }) => abort(rid + 1),
  "five polls broken off": async ({ abort, rid }) => {
    for (let turn = 1; turn <= 5; turn += 1) await abort(rid + turn);
  },
  "stream management": async ({ send, rid }) => {
    const answer = await send(rid + 1, "", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    assert.match(answer.text, /policy-violation/);
  },
  "two polls at once": ({ send, rid }) => {
    quiet(send(rid + 1));
    quiet(send(rid + 2));
  },
  "half of a poll": ({ sendRaw, rid }) => sendRaw(rid + 1, 20),
  "an answer left unread": ({ sendRaw, arrival, rid }) => {
    sendRaw(rid + 1).pause();
    return arrival(rid + 1);
  },
};

const address = ({ target: { base, query } }, path) => `${base}${path}?${new URLSearchParams(query)}`;

/**
 * A client with bytes of its own, which somebody of a `startVisitorSite` joins their room with.
 * @param {object} site
 * @param {object} somebody one of the site's kinds
 * @param {"websocket" | "bosh"} transport
 * @param {{resumption?: boolean}} [options] over WebSocket
 */
export async function joinHostile(site, somebody, transport, { resumption = true } = {}) {
  const stream = transport === "websocket"
    ? await openRawWebSocket({ ...somebody.target, url: address(somebody, "/xmpp-websocket") })
    : await connect({ transport, ...somebody.target, wait: 1, poll: false });
  const polls = transport === "bosh" && setInterval(() => {
    if (stream.sid && stream.idle && !stream.inbox.ended) stream.send("");
  }, 30);
  let previd;
  try {
    await authenticate(stream, somebody.credentials);
    if (transport === "websocket" && resumption) previd = await enableResumption(stream);
    await requestConference(stream, `${somebody.room}@${names.muc}`);
    await join(stream, `${somebody.room}@${names.muc}`, somebody.nick);
    await until(() => site.isInside(somebody), { what: `${somebody.nick} is in the room`, every: 5 });
  } catch (error) {
    clearInterval(polls);
    throw error;
  }
  /** Ends the regular polls, and waits until all are answered. */
  const settle = async () => {
    clearInterval(polls);
    await until(() => stream.idle, { what: "all requests are answered", every: 5 });
  };
  const client = transport === "websocket" ? stream : boshRequests(site, somebody, stream);
  return {
    ...somebody, transport, previd, stream,
    /** Does what a trick's name says. */
    async play(trick) {
      if (transport === "bosh") await settle();
      await (transport === "websocket" ? webSocketTricks : boshTricks)[trick](client);
    },
    /** Tries to go on with the stream, with the credentials that the client had; throws if that fails. */
    async goOn() {
      if (transport === "websocket") {
        const again = await resume(previd, { transport, ...somebody.target, credentials: somebody.credentials });
        await again.close();
        return;
      }
      const { text: answer } = await client.send(stream.rid + 1);
      // Prosody writes attributes in any order.
      if (!/^<body[^>]* type=.terminate./.test(answer)) return answer;
      throw new StreamEnded(answer.match(/ condition=.([a-z-]+)/)?.[1]);
    },
    async close() {
      clearInterval(polls);
      client.drop?.();
      await stream.close();
    },
  };
}

/** Single requests of a BOSH stream. */
function boshRequests(site, somebody, stream) {
  const { headers, tls } = somebody.target;
  const url = address(somebody, "/http-bind");
  const body = (rid, attributes = "", content = "") =>
    `<body rid="${rid}" sid="${stream.sid}" xmlns="${xmlns}" ${attributes}>${content}</body>`;
  const sockets = [];
  const arrival = (rid) => until(() => site.prosody.receivedBosh(rid), { what: `Prosody has the request ${rid}`, every: 10 });
  return {
    get rid() {
      return stream.rid;
    },
    arrival,
    send: (rid, attributes, content) => post({ url, headers, tls, body: body(rid, attributes, content) }),
    /** Breaks a request off when Prosody has it. */
    async abort(rid) {
      const controller = new AbortController();
      const sent = post({ url, headers, tls: { ...tls, signal: controller.signal }, body: body(rid) });
      await arrival(rid);
      controller.abort();
      await assert.rejects(sent);
    },
    /** Sends a request on a connection of its own, which it returns; without its last bytes. */
    sendRaw(rid, missing = 0) {
      const { hostname, port, host, pathname, search } = new URL(url);
      const socket = connectTls({ port, host: hostname, ALPNProtocols: ["http/1.1"], ...tls });
      socket.on("error", () => {});
      sockets.push(socket);
      const text = body(rid);
      const lines = Object.entries({ ...headers, host, "content-length": Buffer.byteLength(text) });
      socket.write([
        `POST ${pathname}${search} HTTP/1.1`, ...lines.map(([name, value]) => `${name}: ${value}`), "",
        text.slice(0, text.length - missing),
      ].join("\r\n"));
      return socket;
    },
    drop: () => sockets.forEach((socket) => socket.destroy()),
  };
}
