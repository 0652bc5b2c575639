import http from "node:http";
import https from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import { parse } from "ltx";
import { browserAgent } from "./agent.js";
import { HttpRefused, StreamEnded } from "./errors.js";
import { Inbox } from "./inbox.js";

const xmlns = "http://jabber.org/protocol/httpbind";

/** Posts one body; returns status, headers and text. */
export function post({ url, headers = {}, agent, tls = {}, body, within = 70_000 }) {
  const client = url.startsWith("https:") ? https : http;
  return new Promise((resolve, reject) => {
    const request = client.request(url, {
      method: "POST",
      agent,
      ...tls,
      headers: {
        "user-agent": browserAgent,
        "content-type": "text/xml; charset=utf-8",
        "content-length": Buffer.byteLength(body),
        ...headers,
      },
    }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
      response.on("error", reject);
    });
    request.setTimeout(within, () => request.destroy(new Error(`no answer within ${within} ms`)));
    request.on("error", reject);
    request.end(body);
  });
}

/**
 * Prepares a BOSH session; `open()` creates it.
 * @param {object} target
 * @param {string} target.url with its query string
 * @param {string} target.domain
 * @param {object} [target.headers]
 * @param {object} [target.tls]
 * @param {number} [target.wait] seconds a poll may be held
 * @param {boolean} [target.poll] whether to keep a request waiting at the server by itself
 * @param {Inbox} [target.inbox] where elements go
 * @param {(error: Error) => void} [target.onRetry] is told of requests that broke off, or got a status of 500 or more,
 *   and are sent again with their ids, as browsers and Jitsi's client do (jitsi/strophejs v1.5-jitsi-3 `src/bosh.js`,
 *   `_onRequestStateChange`, `_processRequest`); without it they end the stream
 */
export function prepareBosh({
  url, domain, headers = {}, tls = {}, wait = 60, poll = true, inbox = new Inbox(), onRetry,
}) {
  const Agent = url.startsWith("https:") ? https.Agent : http.Agent;
  const agentAt = (localAddress) => new Agent({ keepAlive: true, maxSockets: 2, ...tls, localAddress });
  let agent = agentAt(tls.localAddress);
  let rid = Math.floor(Math.random() * 1e9);
  let sid;
  let pending = 0;
  let closing = false;
  let resting = false;

  async function postAgain(body) {
    for (let tries = 1; ; tries += 1) {
      try {
        const answer = await post({ url, headers, agent, tls, body });
        if (answer.status < 500) return answer;
        throw new HttpRefused(answer.status, answer.headers, answer.text);
      } catch (error) {
        if (!onRetry || closing || tries > 10) throw error;
        onRetry(error);
        await pause(tries === 1 ? 0 : 500);
      }
    }
  }

  async function exchange(attributes, content = "") {
    rid += 1;
    pending += 1;
    try {
      const body = `<body rid="${rid}" xmlns="${xmlns}"${sid ? ` sid="${sid}"` : ""} ${attributes}>${content}</body>`;
      const answer = await postAgain(body);
      if (answer.status !== 200 || !answer.text.startsWith("<body")) {
        throw new HttpRefused(answer.status, answer.headers, answer.text);
      }
      return parse(answer.text);
    } finally {
      pending -= 1;
    }
  }

  function deliver(answer) {
    for (const element of answer.children.filter((child) => typeof child === "object")) inbox.push(element);
    if (answer.attrs.type === "terminate") {
      throw new StreamEnded(answer.attrs.condition ?? "terminated");
    }
  }

  /** Sends a request in the background; a failure is reported through the inbox. */
  function background(attributes, content) {
    const done = exchange(attributes, content).then(deliver).then(keepPolling);
    done.catch((error) => inbox.end(error));
    return done;
  }

  function keepPolling() {
    if (poll && !resting && !closing && !inbox.ended && pending === 0) background("");
  }

  return {
    kind: "bosh",
    inbox,
    get sid() {
      return sid;
    },
    get rid() {
      return rid;
    },
    /** Whether no request waits for its answer. */
    get idle() {
      return pending === 0;
    },
    send: (xml) => void background("", xml),
    /** Sends one request and returns the body of its response. */
    exchange,
    /** Creates the session, or restarts the stream; returns the features. */
    async open() {
      if (sid) {
        void background(`xmpp:restart="true" xmlns:xmpp="urn:xmpp:xbosh" to="${domain}"`);
      } else {
        const answer = await exchange(
          `to="${domain}" ver="1.6" wait="${wait}" hold="1" xml:lang="en" `
            + `xmpp:version="1.0" xmlns:xmpp="urn:xmpp:xbosh"`,
        );
        sid = answer.attrs.sid;
        deliver(answer);
        keepPolling();
      }
      return inbox.take((element) => /(^|:)features$/.test(element.name));
    },
    /** Sends no more polls of its own. */
    rest() {
      resting = true;
    },
    /** Goes on at another server. */
    moveTo(otherUrl, otherTls) {
      url = otherUrl;
      tls = otherTls;
      this.move();
    },
    /** Goes on from another address. */
    move(localAddress) {
      agent.destroy();
      agent = agentAt(localAddress);
      resting = false;
    },
    async close() {
      closing = true;
      if (sid && !inbox.ended) await exchange('type="terminate"').catch(() => {});
      agent.destroy();
    },
  };
}
