// What stands beside a meeting works for everybody who may be in a room, and for nobody else: a whiteboard that takes
// WebSockets only, notes that poll and upgrade, and a service for files, each a server of its own behind the gateway.

import assert from "node:assert/strict";
import { Agent } from "node:https";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { startBeside } from "../lib/beside.js";
import { createHttpClient, sendRequest } from "../lib/http.js";
import { until } from "../lib/process.js";
import { exchange } from "../lib/raw.js";
import { ambiguousLengths, malformedHandshakes, malformedHeads } from "../lib/smuggling.js";
import { startVisitorSite } from "../lib/visitors.js";

let beside;
let site;
before(async () => {
  beside = await startBeside();
  site = await startVisitorSite({ label: "beside", settings: { location: beside.location } });
}, { timeout: 60_000 });
after(async () => {
  await site?.stop();
  await beside?.stop();
});

const services = {
  "the whiteboard": { path: "/socket.io/", transports: ["websocket"] },
  "the notes, by WebSocket": { path: "/etherpad/socket.io/", transports: ["websocket"] },
  "the notes, by polling": { path: "/etherpad/socket.io/", transports: ["polling"] },
  "the notes, by polling and then WebSocket": { path: "/etherpad/socket.io/", transports: ["polling", "websocket"] },
};
const everybody = ["member", "guest", "holder of a link", "user of an integration", "recorder"];

/** A socket.io client with somebody's cookies; resolves when it is connected. */
function open({ path, transports }, { headers, tls = site.tls }) {
  const socket = io(site.url, {
    path, transports, forceNew: true, reconnection: false, extraHeaders: { origin: site.url, ...headers }, agent: new Agent(tls),
  });
  return new Promise((resolve, reject) => {
    socket.on("connect", () => resolve(socket));
    socket.on("connect_error", (error) => {
      socket.close();
      reject(error);
    });
  });
}

const joined = async (service, target, board) => {
  const socket = await open(service, target);
  await socket.emitWithAck("join-room", board);
  return socket;
};

/** Waits until a socket uses the last of the service's transports. */
const upgraded = ({ transports }, socket) => until(() => socket.io.engine.transport.name === transports.at(-1), {
  what: "the socket is upgraded",
});

for (const [name, service] of Object.entries(services)) {
  test(`${name}: whoever may be in a room gets in`, { timeout: 30_000 }, async () => {
    const sockets = {};
    for (const kind of everybody) {
      const { target } = await site.kinds[kind]();
      sockets[kind] = await joined(service, target, "board");
    }
    for (const kind of everybody) {
      const seen = everybody.filter((other) => other !== kind).map((other) => new Promise((resolve) => sockets[other].once("drawn", resolve)));
      sockets[kind].emit("draw", "board", `a line of the ${kind}`);
      for (const line of await Promise.all(seen)) assert.equal(line, `a line of the ${kind}`);
    }
    for (const socket of Object.values(sockets)) await upgraded(service, socket);
    for (const socket of Object.values(sockets)) socket.close();
  });

  test(`${name}: a stranger does not get in`, async () => {
    const before = beside.requests.length;
    const stranger = createHttpClient(site.url).headers();
    const { target: member } = await site.kinds.member();
    const others = {
      "without cookies": { headers: { host: stranger.host } },
      "with a cookie of another name": { headers: { ...stranger, cookie: member.headers.cookie.replaceAll("__Host-gateway", "__Host-other") } },
      "a page of another site": { headers: { ...member.headers, origin: "https://evil.example" } },
    };
    for (const [who, target] of Object.entries(others)) {
      await assert.rejects(open(service, target), /websocket error|xhr poll error/, who);
    }
    assert.equal(beside.requests.length, before);
  });

  test(`${name}: a sign-out ends it within a second`, async () => {
    for (const kind of ["member", "guest", "holder of a link", "user of an integration"]) {
      const { target, person } = await site.kinds[kind]();
      const socket = await joined(service, target, "cut");
      await upgraded(service, socket);
      const { id } = socket;
      const gone = new Promise((resolve) => socket.once("disconnect", () => resolve(Date.now())));
      const began = Date.now();
      await person.open(site.gateway, "/_gateway/logout");
      const took = await gone - began;
      assert.ok(took < 1_000, `${kind}: ${took} ms`);
      // A poll leaves no connection at its server, which waits for the next one in vain.
      if (service.transports.includes("websocket")) {
        await until(() => beside.left.some((one) => one.id === id), { what: "the server has noticed" });
        const { at } = beside.left.find((one) => one.id === id);
        assert.ok(at - began < 1_000, `${kind} at the server: ${at - began} ms`);
      }
      await assert.rejects(open(service, target), /websocket error|xhr poll error/, kind);
    }
  });
}

test("the file service gets its own token and none of the gateway's", async () => {
  const { target } = await site.kinds.guest();
  const headers = { ...target.headers, authorization: "Bearer of-the-file-service", "x-remote-user": "root" };
  const before = beside.requests.length;
  const answer = await sendRequest(site.gateway, "/file-service/v1/documents?token=x&jwt=y&a=b", {
    method: "POST", headers: { ...headers, "content-length": 4 }, body: "file",
  });
  assert.deepEqual([answer.status, answer.text], [200, '{"length":4}']);
  const [request, ...more] = beside.requests.slice(before);
  assert.deepEqual(more, []);
  assert.equal(request.url, "/file-service/v1/documents?a=b");
  assert.doesNotMatch(JSON.stringify(request.rawHeaders), /__Host-|x-remote-user/i);
  for (const { rawHeaders } of beside.requests) assert.doesNotMatch(JSON.stringify(rawHeaders), /__Host-/);
});

describe("framing", () => {
  const smuggled = "GET /smuggled?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
  let own;
  before(async () => {
    const { target } = await site.kinds.guest();
    own = [`Host: ${new URL(site.url).host}`, `Origin: ${site.url}`, `Cookie: ${target.headers.cookie}`];
  });
  const head = (requestLine, ...lines) => `${[requestLine, ...own, ...lines].join("\r\n")}\r\n\r\n`;
  const post = (...lines) => head("POST /file-service/v1/raw HTTP/1.1", "Authorization: Bearer of-the-file-service", ...lines);
  const send = (parts) => exchange({ port: site.gateway.ports.https, tls: site.tls }, [parts].flat());

  /** Sends one case; at most one request may arrive, in one framing, and with its own answer. */
  async function attempt(parts, { breaksOff = false } = {}) {
    beside.requests.length = 0;
    beside.errors.length = 0;
    const outcome = await send(parts);
    // Requests behind it get their own answers.
    for (const length of [3, 5]) {
      const { text } = await send([post(`Content-Length: ${length}`, "Connection: close"), "x".repeat(length)]);
      assert.match(text, new RegExp(`\\{"length":${length}\\}`));
    }
    // A body is forwarded as it comes: one that breaks off breaks off at its server.
    if (!breaksOff) assert.deepEqual(beside.errors, []);
    const arrived = beside.requests.slice(0, -2);
    assert.ok(arrived.length <= 1, JSON.stringify(arrived));
    for (const { url, headers } of beside.requests) {
      assert.doesNotMatch(url, /smuggled/);
      assert.ok(headers["content-length"] === undefined || headers["transfer-encoding"] === undefined);
      for (const name of ["expect", "te", "trailer", "http2-settings", "x_proxy_region"]) assert.equal(headers[name], undefined, name);
    }
    return { ...outcome, arrived };
  }

  for (const name of Object.keys(ambiguousLengths(() => ""))) {
    test(`${name}, followed by a request`, async () => {
      await attempt(ambiguousLengths(post)[name](smuggled), { breaksOff: /chunk/.test(name) });
    });
  }
  for (const name of Object.keys(malformedHeads(() => ""))) {
    test(name, async () => {
      const { arrived } = await attempt([malformedHeads(post)[name]()]);
      if (!/underscore|line feeds/.test(name)) assert.deepEqual(arrived, []);
    });
  }
  for (const method of ["CONNECT", "TRACE", "PURGE"]) {
    test(`${method}, followed by a request`, async () => {
      const { arrived } = await attempt([head(`${method} /file-service/v1/raw HTTP/1.1`) + smuggled]);
      assert.deepEqual(arrived, []);
    });
  }

  const handshake = (changes) => {
    const lines = {
      Upgrade: "websocket", Connection: "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", ...changes,
    };
    const fields = Object.entries(lines).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}`);
    return head("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1", ...fields);
  };
  for (const [name, changes] of Object.entries({ ...malformedHandshakes, "a body": { "Content-Length": String(smuggled.length) } })) {
    test(`a handshake with ${name}, followed by a request`, async () => {
      const { statuses, arrived } = await attempt([handshake(changes) + smuggled]);
      assert.notEqual(statuses[0], 101);
      assert.deepEqual(arrived, []);
    });
  }
  test("an upgrade to h2c is not forwarded", async () => {
    const offer = ["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"];
    const { arrived } = await attempt([post(...offer, "Content-Length: 2"), "ab"]);
    for (const { headers } of arrived) assert.equal(headers.upgrade, undefined);
  });
});
