import { parse } from "ltx";
import WebSocket from "ws";
import { browserAgent } from "./agent.js";
import { HttpRefused, StreamEnded } from "./errors.js";
import { Inbox } from "./inbox.js";

const framing = "urn:ietf:params:xml:ns:xmpp-framing";

/**
 * Opens an XMPP WebSocket without opening the stream. Throws `HttpRefused` when the upgrade is
 * refused.
 * @param {object} target
 * @param {string} target.url with its query string
 * @param {string} target.domain
 * @param {object} [target.headers]
 * @param {object} [target.tls] options for a TLS socket
 * @param {Inbox} [target.inbox] where elements go
 */
export async function openWebSocket({ url, domain, headers = {}, tls = {}, inbox = new Inbox() }) {
  const socket = new WebSocket(url.replace(/^http/, "ws"), ["xmpp"], {
    headers: { "user-agent": browserAgent, ...headers }, ...tls, followRedirects: false,
  });
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
    socket.once("unexpected-response", (_, response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk) => (body += chunk));
      response.on("end", () => reject(new HttpRefused(response.statusCode, response.headers, body)));
    });
  });
  let closeEvent;
  const closed = new Promise((resolve) => {
    socket.once("close", (code, reason) => {
      closeEvent = { code, reason: reason.toString() };
      inbox.end(new StreamEnded("socket-closed", `${code} ${reason}`));
      resolve(closeEvent);
    });
  });
  socket.on("error", (error) => inbox.end(error));
  socket.on("message", (data) => {
    const element = parse(data.toString());
    if (element.is("error") || element.is("stream:error")) {
      inbox.end(new StreamEnded(element.children[0]?.name));
    } else if (element.name === "close") {
      inbox.end(new StreamEnded("closed"));
    } else {
      inbox.push(element);
    }
  });

  return {
    kind: "websocket",
    inbox,
    /** Resolves with the close code once the socket is closed. */
    closed,
    /** @param {string} xml */
    send: (xml) => socket.send(xml),
    /** Opens or restarts the stream; returns its features. */
    async open() {
      socket.send(`<open xmlns="${framing}" to="${domain}" version="1.0"/>`);
      await inbox.take((element) => element.name === "open");
      return inbox.take((element) => /(^|:)features$/.test(element.name));
    },
    /** Sends a WebSocket ping, which the next hop answers. */
    ping: () => new Promise((resolve) => {
      socket.once("pong", resolve);
      socket.ping();
    }),
    /** Breaks the connection without a close frame, as a network failure does. */
    cut: () => socket.terminate(),
    async close() {
      if (!closeEvent) {
        socket.close();
        const timer = setTimeout(() => socket.terminate(), 1_000);
        await closed;
        clearTimeout(timer);
      }
    },
  };
}
