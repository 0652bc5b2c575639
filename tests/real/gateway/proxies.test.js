// HTTP proxies in front of the gateway, with the blocks of docs/proxies.md as their configuration.

import assert from "node:assert/strict";
import { chmod } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { navigation, sendRequest } from "../lib/http.js";
import { temporaryDirectory, until } from "../lib/process.js";
import { bySocket, knowsTheAddress, startProxy, startTraefik } from "../lib/proxies.js";
import { startSite } from "../lib/site.js";
import { appSecret } from "../lib/tokens.js";
import { enter, ping } from "../lib/xmpp-lite.js";

let site;
let addresses;
before(async () => {
  let plan;
  // The gateway has no TLS. The port of the public URL, where it would have had it, is the proxy's.
  site = await startSite({
    label: "proxies",
    prosody: async (planned) => {
      plan = planned;
      return { secret: appSecret };
    },
    settings: () => ({
      listen: { https: undefined, trusted_proxies: ["127.0.0.1/32"] },
      tls: undefined,
      log: { access: true },
      room: [
        { match: "later-*", enter: "member", host: ["group:staff"], start: "host" },
        { match: "*", enter: "member", moderators: ["group:staff"] },
      ],
    }),
  });
  addresses = {
    public: plan.ports.https,
    gateway: plan.ports.http,
    certificate: plan.certificate.certificate,
    key: plan.certificate.key,
  };
}, { timeout: 60_000 });
after(() => site?.stop());

/** A room whose name every proxy has to leave as it is. */
const room = "Caf%C3%A9%20am%20Eck";

/** nginx as it is without the line of the document. */
const buffering = (block) => {
  assert.match(block, /proxy_buffering off;/);
  return block.replace("proxy_buffering off;", "proxy_buffering on;");
};

/** Listens for the events of a room; `text` is what has arrived. */
function listen(path, headers) {
  const events = { text: "" };
  const outgoing = request(site.url + path, { headers, agent: false, ...site.tls }, (answer) => {
    events.status = answer.statusCode;
    answer.setEncoding("utf8").on("data", (chunk) => (events.text += chunk)).on("error", () => {});
  });
  outgoing.on("error", () => {}).end();
  return Object.assign(events, { close: () => outgoing.destroy() });
}

/** Somebody waits for a room to which the host comes. */
async function hearsOfTheHost(room) {
  const events = listen(`/_gateway/events?room=${room}`, await site.headersOf("first"));
  await until(() => events.text.startsWith("retry:"), { what: "the first message", within: 2_000 });
  assert.equal(events.status, 200);
  const target = { transport: "websocket", base: site.url, tls: site.tls, room, query: { room } };
  const { stream } = await enter({ ...target, headers: await site.headersOf("host"), nick: "host" });
  await until(() => events.text.includes("event: open"), { what: "the event", within: 1_000 });
  events.close();
  await stream.close();
}

for (const [name, start] of [
  ["nginx", () => startProxy("nginx", addresses)],
  ["HAProxy", () => startProxy("haproxy", addresses)],
  ["Apache", () => startProxy("apache", addresses)],
  ["Caddy", () => startProxy("caddyfile", addresses)],
  ["what Traefik sends", () => startTraefik(addresses)],
]) {
  describe(name, () => {
    let proxy;
    before(async () => {
      proxy = await start();
    });
    after(() => proxy?.stop());

    test("a member signs in and meets over a WebSocket", async () => {
      const visitor = await site.attend("host", `/${room}`);
      assert.equal(visitor.meeting.transport, "websocket");
      assert.ok(visitor.meeting.me.name);
      await visitor.context.close();
    });

    test("BOSH", async () => {
      const headers = await site.headersOf("host");
      const target = { transport: "bosh", base: site.url, tls: site.tls, headers, room: "bosh", query: { room: "bosh" } };
      const { stream } = await enter({ ...target, nick: "host", wait: 1 });
      await ping(stream);
      await stream.close();
    });

    test("the gateway knows the client's address", () => knowsTheAddress(site, `/robots-${name.replaceAll(" ", "-")}.txt`));

    test("who waits hears of the host at once", () => hearsOfTheHost(`later-${name.replaceAll(" ", "-").toLowerCase()}`));

    test("a request with a large head", async () => {
      // A session, passes to six rooms and some sign-ins that were begun.
      const cookie = Array.from({ length: 10 }, (_, index) => `cookie-${index}=${"x".repeat(1200)}`).join("; ");
      const { status } = await sendRequest({ url: site.url, tls: site.tls }, "/any", { headers: { ...navigation, cookie } });
      assert.equal(status, 303);
    });

    test("a page with a large head", async () => {
      const { status, headers } = await sendRequest({ url: site.url, tls: site.tls }, "/any", { headers: navigation });
      assert.equal(status, 303);
      assert.match(headers.location, /^\/_gateway\/login/);
    });
  });
}

test("who waits hears of the host at once, although nginx buffers", async () => {
  const proxy = await startProxy("nginx", addresses, buffering);
  try {
    await hearsOfTheHost("later-buffered");
  } finally {
    await proxy.stop();
  }
});

test("nginx connects to a Unix socket, and needs no entry in trusted_proxies", async () => {
  // nginx's workers run under another account than the gateway.
  const directory = await temporaryDirectory("socket");
  await chmod(directory.path, 0o755);
  const socket = join(directory.path, "http.sock");
  await site.gateway.restart({ listen: { http: `unix:${socket}`, socket_mode: "0666", trusted_proxies: [] } });
  const proxy = await startProxy("nginx", addresses, await bySocket(socket));
  try {
    const visitor = await site.attend("host", `/${room}`);
    assert.equal(visitor.meeting.transport, "websocket");
    await visitor.context.close();
    await knowsTheAddress(site, "/robots-socket.txt");
  } finally {
    await proxy.stop();
    await directory.remove();
  }
});
