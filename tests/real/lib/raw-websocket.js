import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { parse } from "ltx";
import { Inbox } from "./xmpp/inbox.js";

const framing = "urn:ietf:params:xml:ns:xmpp-framing";

/**
 * An XMPP WebSocket by its bytes, for frames that no library sends. Has what the streams of
 * `xmpp-lite.js` have, and `bytes`, `pause` and `reset`.
 * @param {object} target
 * @param {string} target.url with its query
 * @param {object} target.headers
 * @param {object} target.tls may have a `localAddress`
 * @param {string} [target.domain]
 */
export async function openRawWebSocket({ url, headers, tls, domain = "meet.jitsi" }) {
  const { hostname, port, host, pathname, search } = new URL(url);
  const { localAddress, family, ...secure } = tls;
  const tcp = connectTcp({ port, host: hostname, localAddress, family });
  tcp.on("error", () => {});
  const socket = connectTls({ socket: tcp, ALPNProtocols: ["http/1.1"], ...secure });
  await once(socket, "secureConnect");
  const inbox = new Inbox();
  let received = Buffer.alloc(0);
  let answered = false;
  const opened = withResolvers();

  const take = () => {
    if (!answered) {
      const end = received.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = received.subarray(0, end).toString();
      received = received.subarray(end + 4);
      answered = true;
      if (head.startsWith("HTTP/1.1 101")) opened.resolve();
      else opened.reject(new Error(head));
    }
    for (;;) {
      const message = frame(received);
      if (!message) return;
      received = received.subarray(message.size);
      if (message.opcode === 1) inbox.push(parse(message.payload.toString()));
    }
  };
  socket.on("data", (data) => {
    received = Buffer.concat([received, data]);
    take();
  });
  // `once` would fail at an error, which `close` follows.
  const gone = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {});
  void gone.then(() => inbox.end(new Error("the socket is closed")));

  socket.write([
    `GET ${pathname}${search} HTTP/1.1`, `Host: ${host}`, "Connection: Upgrade", "Upgrade: websocket",
    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: xmpp", `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
    ...Object.entries(headers).filter(([name]) => name !== "host").map(([name, value]) => `${name}: ${value}`), "", "",
  ].join("\r\n"));
  await opened.promise;

  return {
    kind: "raw websocket",
    inbox,
    gone,
    /** Sends bytes as they are. */
    bytes: (bytes) => socket.write(Buffer.from(bytes)),
    send: (xml) => socket.write(masked(0x81, Buffer.from(xml))),
    async open() {
      socket.write(masked(0x81, Buffer.from(`<open xmlns="${framing}" to="${domain}" version="1.0"/>`)));
      await inbox.take((element) => element.name === "open");
      return inbox.take((element) => /(^|:)features$/.test(element.name));
    },
    /** Reads nothing any more. */
    pause: () => socket.pause(),
    /** Ends the TCP connection, with or without a reset. */
    end: () => socket.end(),
    reset: () => tcp.resetAndDestroy(),
    async close() {
      socket.destroy();
      await gone;
    },
  };
}

/** A frame as clients send it: masked, with any first byte. */
export function masked(first, payload, length = payload.length) {
  const mask = randomBytes(4);
  const head = length < 126 ? [0x80 | length]
    : length < 65_536 ? [0xfe, length >> 8, length & 0xff]
      : [0xff, 0, 0, 0, 0, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff];
  return Buffer.concat([Buffer.from([first, ...head]), mask, payload.map((byte, at) => byte ^ mask[at % 4])]);
}

/** The first frame of a server's bytes, if it is whole. */
export function frame(bytes) {
  if (bytes.length < 2) return undefined;
  const short = bytes[1] & 0x7f;
  const head = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < head) return undefined;
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if (bytes.length < head + length) return undefined;
  return { opcode: bytes[0] & 0x0f, payload: bytes.subarray(head, head + length), size: head + length };
}

function withResolvers() {
  const all = {};
  all.promise = new Promise((resolve, reject) => Object.assign(all, { resolve, reject }));
  return all;
}
