import { createHash } from "node:crypto";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, createServer } from "node:net";
import { connect as connectTls } from "node:tls";
import { listen } from "./process.js";
import { frame, masked } from "./raw-websocket.js";
import { closeServer } from "./sockets.js";

/**
 * A bridge for WebSocket clients that know neither TLS nor cookies nor XMPP. It makes the handshake with the server for
 * them; then bytes pass unchanged, and the end of either side ends the other in the same way (FIN or RST).
 * @param {object} target
 * @param {string} target.url of the WebSocket, `http:` or `https:`
 * @param {object} [target.tls] options of a TLS socket
 * @param {object} [target.headers] of the handshake, beside those of the client
 * @param {boolean} [target.http2] whether the handshake is an extended CONNECT (RFC 8441)
 * @param {Array<{send: string, until: RegExp}>} [target.opening] messages that are exchanged before the client's first byte
 */
export async function startBridge({ opening = [], http2 = false, ...target }) {
  const sockets = new Set();
  const keep = (socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).once("close", () => sockets.delete(socket));
    return socket;
  };
  const failures = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, async (client) => {
    keep(client);
    let backend;
    try {
      const request = fieldsOf(await take(client, endOfHead));
      backend = keep(await (http2 ? openByConnect : openByUpgrade)(target, request));
      for (const { send, until } of opening) {
        backend.write(masked(0x81, Buffer.from(send)));
        while (!until.test(frame(await take(backend, endOfFrame)).payload.toString()));
      }
      client.write([
        "HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket",
        `Sec-WebSocket-Accept: ${acceptOf(request["sec-websocket-key"])}`,
        ...(backend.extensions ? [`Sec-WebSocket-Extensions: ${backend.extensions}`] : []), "", "",
      ].join("\r\n"));
      for (const [from, to] of [[client, backend], [backend, client]]) {
        from.pipe(to);
        from.once("error", () => (to.resetAndDestroy ?? to.destroy).call(to));
      }
    } catch (error) {
      failures.push(error);
      client.destroy();
      backend?.destroy();
    }
  });
  const port = await listen(server);
  return {
    url: `ws://127.0.0.1:${port}`,
    /** The handshakes that failed. */
    failures,
    stop: () => closeServer(server, sockets),
  };
}

/** A socket to the server behind its 101 (RFC 6455 § 4). */
async function openByUpgrade({ url, tls, headers = {} }, client) {
  const { protocol, hostname, port, host, pathname, search } = new URL(url);
  const tcp = connectTcp({ port, host: hostname, allowHalfOpen: true, noDelay: true });
  const socket = protocol === "https:" ? connectTls({ socket: tcp, allowHalfOpen: true, ALPNProtocols: ["http/1.1"], ...tls }) : tcp;
  const key = client["sec-websocket-key"];
  const fields = {
    host, connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": key,
    ...offeredBy(client), ...headers,
  };
  socket.write([
    `GET ${pathname}${search} HTTP/1.1`, ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`), "", "",
  ].join("\r\n"));
  const head = await take(socket, endOfHead);
  const answer = fieldsOf(head);
  if (!head.toString().startsWith("HTTP/1.1 101") || answer["sec-websocket-accept"] !== acceptOf(key)) throw new Error(head.toString());
  socket.extensions = answer["sec-websocket-extensions"];
  return socket;
}

/** A stream of a connection of its own (RFC 8441). */
async function openByConnect({ url, tls, headers: { host: _, ...headers } = {} }, client) {
  const { origin, pathname, search } = new URL(url);
  const connection = connectHttp2(origin, tls);
  connection.on("error", () => {});
  await new Promise((resolve, reject) => connection.once("remoteSettings", resolve).once("error", reject));
  const stream = connection.request({
    ":method": "CONNECT", ":protocol": "websocket", ":path": pathname + search, ":scheme": "https",
    "sec-websocket-version": "13", ...offeredBy(client), ...headers,
  }, { endStream: false });
  const answer = await new Promise((resolve, reject) => stream.once("response", resolve).once("error", reject));
  if (answer[":status"] !== 200) throw new Error(JSON.stringify(answer));
  stream.extensions = answer["sec-websocket-extensions"];
  stream.once("close", () => connection.close());
  return stream;
}

const offeredBy = (client) => {
  const offer = client["sec-websocket-extensions"];
  return offer ? { "sec-websocket-extensions": offer } : {};
};

/** RFC 6455 § 4.2.2. */
const acceptOf = (key) => createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");

const fieldsOf = (head) => Object.fromEntries(head.toString().trimEnd().split("\r\n").slice(1).map((line) => {
  const at = line.indexOf(":");
  return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
}));

const endOfHead = (bytes) => {
  const at = bytes.indexOf("\r\n\r\n");
  return at < 0 ? undefined : at + 4;
};
const endOfFrame = (bytes) => frame(bytes)?.size;

/** Reads as many bytes as `end` finds to belong together; the rest stays in the socket. */
async function take(socket, end) {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const size = end(bytes);
    if (size !== undefined) {
      if (size < bytes.length) socket.unshift(bytes.subarray(size));
      return bytes.subarray(0, size);
    }
    const chunk = socket.read();
    if (chunk !== null) {
      bytes = Buffer.concat([bytes, chunk]);
    } else if (socket.readableEnded || socket.destroyed) {
      throw new Error(`the connection ended behind ${bytes}`);
    } else {
      await changed(socket);
    }
  }
}

const changes = ["readable", "end", "close"];

function changed(socket) {
  return new Promise((resolve) => {
    const done = () => {
      for (const change of changes) socket.off(change, done);
      resolve();
    };
    for (const change of changes) socket.on(change, done);
  });
}
