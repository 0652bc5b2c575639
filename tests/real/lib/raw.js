import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { connect as connectHttp2 } from "node:http2";
import { once } from "node:events";

/**
 * Sends bytes unchanged on a new connection, and reads until the other side closes it or until
 * `answers` complete responses have arrived.
 * @param {object} target
 * @param {number} target.port
 * @param {object} [target.tls] TLS options; plain TCP without them
 * @param {(string | Buffer)[]} parts sent one after the other
 * @param {{answers?: number, within?: number}} [options]
 * @returns {Promise<{statuses: number[], text: string, closed: boolean}>}
 */
export async function exchange({ port, tls }, parts, { answers = 1, within = 20_000 } = {}) {
  const socket = tls
    ? connectTls({ port, host: "127.0.0.1", ALPNProtocols: ["http/1.1"], ...tls })
    : connectTcp(port, "127.0.0.1");
  await once(socket, tls ? "secureConnect" : "connect");
  let text = "";
  let closed = false;
  const enough = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`neither answer nor close within ${within} ms`)), within);
    const settle = () => {
      clearTimeout(timer);
      resolve();
    };
    socket.setEncoding("latin1").on("data", (chunk) => {
      text += chunk;
      if (complete(text) >= answers) settle();
    });
    socket.on("close", () => {
      closed = true;
      settle();
    });
    socket.on("error", () => {});
  });
  for (const part of parts) socket.write(typeof part === "string" ? Buffer.from(part, "latin1") : part);
  try {
    await enough;
  } finally {
    socket.destroy();
  }
  return { statuses: statusesOf(text), text, closed };
}

/**
 * Splits responses by their heads and `Content-Length`; a chunked response is complete with its
 * last chunk.
 */
function* answersIn(text) {
  let rest = text;
  while (rest) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = rest.slice(0, end);
    const status = Number(head.match(/^HTTP\/1\.[01] (\d{3})/)?.[1]);
    if (!status) return;
    const length = Number(head.match(/^content-length: *(\d+)/im)?.[1] ?? 0);
    let bodyEnd = end + 4 + length;
    if (/^transfer-encoding: *chunked/im.test(head)) {
      const last = rest.indexOf("\r\n0\r\n\r\n", end);
      const only = rest.startsWith("0\r\n\r\n", end + 4);
      if (last < 0 && !only) return;
      bodyEnd = only ? end + 9 : last + 7;
    }
    if (rest.length < bodyEnd) return;
    yield status;
    rest = rest.slice(bodyEnd);
  }
}

const statusesOf = (text) => [...answersIn(text)];
// An interim response is not the final one.
const complete = (text) => statusesOf(text).filter((status) => status >= 200 || status === 101).length;

/**
 * Sends one request over HTTP/2 with exactly these headers and body.
 * @param {{url: string, tls: object}} target
 * @param {object} headers with their pseudo-headers
 * @param {string[]} [body] one DATA frame each
 * @returns {Promise<{status?: number, text: string, reset?: number, problems: Error[]}>}
 */
export async function exchangeHttp2({ url, tls }, headers, body = [], { within = 20_000 } = {}) {
  const session = connectHttp2(url, tls);
  const problems = [];
  session.on("error", (error) => problems.push(error));
  try {
    await once(session, "connect");
    const stream = session.request(headers, { endStream: body.length === 0 });
    const outcome = { text: "", problems };
    stream.on("response", (received) => {
      outcome.status = received[":status"];
    });
    stream.setEncoding("utf8").on("data", (chunk) => (outcome.text += chunk));
    stream.on("error", (error) => problems.push(error));
    // The response may be complete before the request is.
    const done = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`neither answer nor close within ${within} ms`)), within);
      const settle = () => {
        clearTimeout(timer);
        resolve();
      };
      stream.once("end", settle).once("close", settle);
      session.once("close", settle);
    });
    for (const [index, part] of body.entries()) {
      if (index === body.length - 1) stream.end(part);
      else stream.write(part);
    }
    await done;
    return { ...outcome, reset: stream.rstCode };
  } finally {
    session.destroy();
  }
}
