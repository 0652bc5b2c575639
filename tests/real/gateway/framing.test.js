// Request smuggling: Prosody's HTTP parser is lax. Each test sends a hostile request to the
// gateway and compares the requests that Prosody parsed.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { exchange, exchangeHttp2 } from "../lib/raw.js";
import { startSite } from "../lib/site.js";
import { ambiguousLengths, malformedHandshakes, malformedHeads } from "../lib/smuggling.js";
import { post } from "../lib/xmpp-lite.js";

let site;
let headers;
before(async () => {
  // Each trial leaves a session of its own, all of one person.
  site = await startSite({ label: "framing", settings: () => ({ limits: { streams_per_session: 1_000 } }) });
  headers = await site.headersOf("first");
});
after(() => site?.stop());

const smuggled = "GET /smuggled?x=1 HTTP/1.1\r\nHost: meet.jitsi\r\n\r\n";
const creation = '<body xmlns="http://jabber.org/protocol/httpbind" rid="7" to="meet.jitsi" ver="1.6" wait="1" hold="0" '
  + 'xmpp:version="1.0" xmlns:xmpp="urn:xmpp:xbosh"/>';

/** The header lines of every request from a signed-in browser. */
const own = () => [
  `Host: ${new URL(site.url).host}`,
  `Origin: ${headers.origin}`,
  `Cookie: ${headers.cookie}`,
];
const head = (requestLine, ...lines) => `${[requestLine, ...lines].join("\r\n")}\r\n\r\n`;
const boshHead = (...lines) => head(
  "POST /http-bind?room=planning HTTP/1.1", ...own(), "Content-Type: text/xml; charset=utf-8", ...lines,
);
const upgradeHead = (changes = {}) => {
  const lines = {
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "xmpp",
    ...changes,
  };
  return head(
    "GET /xmpp-websocket?room=planning HTTP/1.1", ...own(),
    ...Object.entries(lines).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}`),
  );
};

const send = (parts, options) => exchange({ port: site.gateway.ports.https, tls: site.tls }, [parts].flat(), options);

/**
 * Valid requests after the hostile one: they flush pending requests of pooled connections, and must
 * get their own responses.
 */
async function barrier() {
  for (let i = 0; i < 4; i += 1) {
    const answer = await post({ url: `${site.url}/http-bind?room=planning&release=barrier${i}`, tls: site.tls, headers, body: creation });
    assert.equal(answer.status, 200, "a good request behind it");
    assert.match(answer.text, /^<body[^>]* sid=/, "a good request behind it gets its own answer");
  }
}

/**
 * The requests of the case that Prosody executed; asserts that they have the one canonical framing.
 */
async function executed() {
  const { requests, errors, streams } = await site.prosody.recorded();
  assert.deepEqual(errors, [], "Prosody's parser met nothing it could not read");
  for (const { bytes } of streams) {
    assert.doesNotMatch(bytes, /^transfer-encoding:/im);
    assert.doesNotMatch(bytes, /[^\r]\n/, "no bare line feed");
  }
  for (const { path, query, method, headers: received, bodyLength } of requests) {
    assert.doesNotMatch(`${path}?${query}`, /smuggled/);
    assert.ok(["GET", "POST"].includes(method), method);
    assert.equal(received.host, "meet.jitsi");
    assert.equal(Number(received["content-length"] ?? 0), bodyLength);
    if (method === "POST") assert.match(received["content-length"], /^\d+$/);
    for (const name of ["expect", "transfer-encoding", "te", "trailer", "http2-settings"]) {
      assert.equal(received[name], undefined, name);
    }
  }
  return requests.filter(({ query, body }) => !/release=barrier/.test(query) && !/keepalive/.test(body));
}

/**
 * Sends one case and compares what Prosody executed.
 * @param {object} expected
 * @param {boolean | "maybe"} expected.forwarded whether one request may have reached Prosody
 * @param {number} [expected.bodyLength] of that one
 * @param {boolean} [expected.answered] false if a close without an answer will do
 */
async function attempt(parts, { forwarded, bodyLength, answers, path }) {
  await site.prosody.reset();
  const outcome = await send(parts, { answers });
  await barrier();
  const requests = await executed();
  const [first] = outcome.statuses;
  if (forwarded === true) assert.equal(requests.length, 1, `forwarded once; answered ${first}`);
  if (forwarded === false) assert.deepEqual(requests, [], `not forwarded; answered ${first}`);
  if (forwarded === "maybe") assert.ok(requests.length <= 1, `forwarded once at most; answered ${first}`);
  if (requests.length === 0) {
    assert.ok(first === undefined ? outcome.closed : first >= 400, `refused: ${first}`);
  } else {
    if (bodyLength !== undefined) assert.equal(requests[0].bodyLength, bodyLength);
    assert.equal(requests[0].path, path ?? "/http-bind");
  }
  return outcome;
}

test("a plain BOSH request arrives once and unchanged", async () => {
  const { statuses } = await attempt(
    [boshHead(`Content-Length: ${creation.length}`), creation],
    { forwarded: true, bodyLength: creation.length },
  );
  assert.deepEqual(statuses, [200]);
});

test("two pipelined BOSH requests arrive as two", async () => {
  await site.prosody.reset();
  const one = boshHead(`Content-Length: ${creation.length}`) + creation;
  const { statuses } = await send([one + one], { answers: 2 });
  assert.deepEqual(statuses, [200, 200]);
  assert.deepEqual((await executed()).map(({ bodyLength }) => bodyLength), [creation.length, creation.length]);
});

test("a chunked BOSH request arrives with its length", async () => {
  const half = creation.length >> 1;
  const chunk = (text) => `${text.length.toString(16)}\r\n${text}\r\n`;
  const parts = [
    boshHead("Transfer-Encoding: chunked"), chunk(creation.slice(0, half)), chunk(creation.slice(half)), "0\r\n\r\n",
  ];
  const { statuses } = await attempt(parts, { forwarded: true, bodyLength: creation.length });
  assert.deepEqual(statuses, [200]);
});

// Each length is sent with a body that is a request, and with one that is valid BOSH.
const lengths = ambiguousLengths(boshHead);
describe("lengths", () => {
  for (const [name, make] of Object.entries(lengths)) {
    for (const [kind, body] of [["a request", smuggled], ["a BOSH body", creation]]) {
      test(`${name}, followed by ${kind}`, async () => {
        // Equal lengths may be merged into one; anything else has to be refused. A line feed alone
        // may end a line (RFC 9112 § 2.2), if all parsers agree.
        const either = /equal|list|line feed/.test(name);
        await attempt(make(body), { forwarded: either ? "maybe" : false, bodyLength: body.length });
      });
    }
  }
});

const heads = malformedHeads(boshHead);
describe("heads", () => {
  for (const [name, make] of Object.entries(heads)) {
    test(name, async () => {
      const dropping = /underscore/.test(name);
      await attempt([make()], { forwarded: dropping ? "maybe" : false });
      if (dropping) {
        for (const { headers: received } of (await site.prosody.recorded()).requests) {
          assert.equal(received["x-proxy-region"] ?? received["x_proxy_region"], undefined);
        }
      }
    });
  }

  for (const kib of [9, 11, 30]) {
    test(`P17, P18 a head of ${kib} KiB is answered, and Prosody's is below 9 KiB`, async () => {
      await site.prosody.reset();
      const filler = Array.from({ length: kib }, (_, i) => `X-Filler-${i}: ${"a".repeat(1000)}`);
      const { statuses } = await send([boshHead(...filler, `Content-Length: ${creation.length}`), creation]);
      assert.ok([200, 431].includes(statuses[0]), String(statuses));
      await barrier();
      await executed();
      for (const { bytes } of (await site.prosody.recorded()).streams) {
        for (const part of bytes.split(/(?=POST \/|GET \/)/)) assert.ok(part.indexOf("\r\n\r\n") < 9 * 1024);
      }
    });
  }

  test("P14 an absolute target names no other host", async () => {
    const parts = boshHead(`Content-Length: ${creation.length}`).replace("POST /", "POST http://evil.example/");
    await attempt([parts, creation], { forwarded: false });
  });

  test("P25 the gateway responds to Expect itself", async () => {
    await site.prosody.reset();
    const { statuses } = await send([boshHead("Expect: 100-continue", `Content-Length: ${creation.length}`), creation]);
    assert.equal(statuses.at(-1), 200);
    const [request] = await executed();
    assert.equal(request.bodyLength, creation.length);
  });

  test("P24 an upgrade to h2c is not forwarded", async () => {
    const offer = ["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"];
    const parts = [boshHead(...offer, `Content-Length: ${creation.length}`), creation];
    await attempt(parts, { forwarded: "maybe", bodyLength: creation.length });
    for (const { headers: received } of (await site.prosody.recorded()).requests) {
      assert.equal(received.upgrade, undefined);
    }
  });
});

describe("paths", () => {
  const spellings = [
    "/%68ttp-bind", "//http-bind", "/http%2dbind", "/http-bind%2f", "/http-bind/", "/http-bind%3fx", "/a/../http-bind",
    "/./http-bind", "/%2e%2e/http-bind", "/http-bind;x=1", "/http-bind#x", "/%2fhttp-bind", "/http-bind\\", "/http-bind%00",
    "/acme//http-bind", "/acme/../http-bind", "/acme/x/http-bind", "/xmpp-websocket/", "/%78mpp-websocket",
    "/room-info", "/kick-participant", "/end-meeting", "/room-size",
  ];
  for (const path of spellings) {
    test(`P15, P16 ${path} does not reach Prosody`, async () => {
      await site.prosody.reset();
      await send([
        head(`POST ${path}?room=planning HTTP/1.1`, ...own(), `Content-Length: ${creation.length}`), creation,
      ]);
      await barrier();
      assert.deepEqual(await executed(), []);
    });
  }
});

describe("upgrades", () => {
  const websocket = "/xmpp-websocket";
  const cases = {
    ...malformedHandshakes,
    "P21 no protocol": { "Sec-WebSocket-Protocol": undefined },
    "P21 another protocol": { "Sec-WebSocket-Protocol": "soap" },
  };
  for (const [name, changes] of Object.entries(cases)) {
    test(`${name}, followed by a request`, async () => {
      // The pipelined request is the client's own and is routed by its path: not to Prosody.
      const { statuses } = await attempt([upgradeHead(changes) + smuggled], { forwarded: false, path: websocket });
      assert.notEqual(statuses[0], 101);
    });
  }

  test("bytes after a valid upgrade are not executed as a request", async () => {
    await site.prosody.reset();
    const { statuses } = await send([upgradeHead() + smuggled]);
    await barrier();
    const requests = await executed();
    assert.ok(requests.length <= 1);
    assert.ok(statuses[0] === 101 || statuses[0] >= 400);
  });

  test("an upgrade with a body is refused", async () => {
    await attempt([upgradeHead({ "Content-Length": String(smuggled.length) }) + smuggled], {
      forwarded: false, path: websocket,
    });
  });

  for (const target of ["/http-bind", "meet.jitsi:5280", "127.0.0.1:80"]) {
    test(`P23 CONNECT ${target}, followed by a request`, async () => {
      const parts = head(`CONNECT ${target} HTTP/1.1`, ...own()) + smuggled;
      await attempt([parts], { forwarded: false });
    });
  }
});

describe("HTTP/2", () => {
  const request = (changes = {}) => ({
    ":method": "POST",
    ":path": "/http-bind?room=planning",
    ":scheme": "https",
    ":authority": new URL(site.url).host,
    "content-type": "text/xml; charset=utf-8",
    ...headers,
    ...changes,
  });
  const sendOver2 = (changes, body) => exchangeHttp2({ url: site.url, tls: site.tls }, request(changes), body);

  test("a BOSH request without a length arrives with one", async () => {
    await site.prosody.reset();
    const half = creation.length >> 1;
    const { status, text } = await sendOver2({}, [creation.slice(0, half), creation.slice(half)]);
    assert.equal(status, 200);
    assert.match(text, /^<body[^>]* sid=/);
    await barrier();
    assert.deepEqual((await executed()).map(({ bodyLength }) => bodyLength), [creation.length]);
  });

  for (const [name, length] of [["too short", creation.length - 3], ["too long", creation.length + 3]]) {
    test(`a length that is ${name} is refused`, async () => {
      await site.prosody.reset();
      const { status } = await sendOver2({ "content-length": String(length) }, [creation]);
      assert.ok(status === undefined || status >= 400, String(status));
      await barrier();
      assert.deepEqual(await executed(), []);
    });
  }

  test("a body over the limit is refused", async () => {
    await site.prosody.reset();
    const filler = "<!-- ".padEnd(1024 * 1024, "x");
    const { status } = await sendOver2({}, [creation, filler]);
    assert.ok(status === undefined || status >= 400, String(status));
    await barrier();
    assert.deepEqual(await executed(), []);
  });

  test("line breaks in a value add no header line", async () => {
    await site.prosody.reset();
    // Node refuses to send them in values; a path may contain them only percent-encoded.
    const { status } = await sendOver2({ ":path": "/http-bind?room=planning%0d%0aX-Proxy-Region:%20moon" }, [creation]);
    await barrier();
    for (const { headers: received } of await executed()) assert.equal(received["x-proxy-region"], undefined);
    assert.ok(status >= 200);
  });
});
