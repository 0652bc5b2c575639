// Two replicas with a real Redis: sign-out on one closes WebSockets on the other, and
// meetings continue without Redis.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { createHttpClient, sendRequest } from "../lib/http.js";
import { until } from "../lib/process.js";
import { startRedis } from "../lib/redis.js";
import { shareAmongReplicas, startReplica } from "../lib/replicas.js";
import { startSite } from "../lib/site.js";
import { HttpRefused, enableResumption, enter, ping, resume } from "../lib/xmpp-lite.js";

const labels = ["replicas-a", "replicas-b", "replicas-c"];

let redis;
let shared;
let site;
let second;
let settings;
before(async () => {
  redis = await startRedis({ password: randomBytes(12).toString("hex"), labels });
  shared = await shareAmongReplicas(redis);
  const room = [
    { match: "lesson", enter: "guest", host: "group:staff", start: "host" },
    { match: "*", enter: "member", moderators: ["group:staff"] },
  ];
  settings = { ...shared.settings, room };
  site = await startSite({ label: labels[0], settings: () => settings });
  second = await replica(labels[1], settings);
  for (const { admin } of [site.gateway, second]) await until(async () => (await readiness(admin)).store === "ready");
});
after(async () => {
  await second?.stop();
  await site?.stop();
  await redis?.stop();
  await shared?.remove();
});

/** Starts another gateway of the site's deployment. */
const replica = (label, settings) => startReplica(site, { label, settings });

async function readiness(admin) {
  const answer = await fetch(`${admin}/readyz`);
  assert.equal(answer.status, 200);
  return answer.json();
}

const metric = async ({ admin }, name) => {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return Number(text.match(new RegExp(`^jitsi_auth_gateway_${name} (\\S+)$`, "m"))?.[1]);
};

/** Joins over a WebSocket to one replica, addressed by the deployment's host name. */
async function meet(gateway, headers, nick) {
  const { stream } = await enter({
    transport: "websocket",
    base: gateway.url,
    tls: gateway.tls,
    headers: { ...headers, host: new URL(site.url).host },
    query: { room: "planning" },
    room: "planning",
    nick,
  });
  return stream;
}

/** Signs out at one replica; without the store the answer is a page that says so. */
async function signOut(gateway, { cookie }, expected = 303) {
  const { status } = await sendRequest(gateway, "/_gateway/logout", { headers: { cookie, host: new URL(site.url).host } });
  assert.equal(status, expected);
}

/** Asserts that a socket is closed as revoked within a second. */
async function cutWithinASecond(stream) {
  const began = Date.now();
  const { code } = await stream.closed;
  assert.equal(code, 1008);
  assert.ok(Date.now() - began < 1_000, `cut after ${Date.now() - began} ms`);
}

test("a sign-out at one replica closes the WebSocket at the other within a second", async () => {
  const headers = await site.headersOf("first");
  const [here, there] = [await meet(site.gateway, headers, "here"), await meet(second, headers, "there")];
  const cut = Promise.all([cutWithinASecond(here), cutWithinASecond(there)]);
  await signOut(site.gateway, headers);
  await cut;
  await assert.rejects(meet(second, headers, "again"), HttpRefused, "the cookie is good nowhere");
});

test("a replica that starts later has the earlier revocations", async () => {
  const headers = await site.headersOf("first");
  await signOut(second, headers);
  const third = await replica(labels[2], shared.settings);
  try {
    await until(() => meet(third, headers, "late").then((stream) => stream.close(), (error) => error instanceof HttpRefused));
  } finally {
    await third.stop();
  }
});

describe("an outage of Redis", () => {
  let first;
  let other;
  let streams;
  before(async () => {
    first = await site.headersOf("first");
    other = await site.headersOf("second");
    streams = { first: await meet(second, first, "first"), other: await meet(second, other, "other") };
    await redis.kill();
  });
  after(async () => {
    for (const stream of Object.values(streams ?? {})) await stream.close();
  });

  test("both replicas report it, and stay ready", async () => {
    for (const gateway of [site.gateway, second]) {
      const told = await until(async () => {
        const answer = await readiness(gateway.admin);
        return answer.store === "unreachable" && answer.reasons.some((reason) => /refuses connections/.test(reason)) && answer;
      });
      assert.equal(told.status, "degraded");
      assert.match(told.reasons.join("\n"), /^store: 127\.0\.0\.1:\d+ refuses connections: start the server/m);
      assert.equal(await metric(gateway, "store_ready"), 0);
    }
  });

  test("sockets stay open, and people can sign in and meet", async () => {
    for (const stream of Object.values(streams)) await ping(stream);
    const headers = await site.headersOf("host");
    const stream = await meet(second, headers, "newcomer");
    await ping(stream);
    await stream.close();
  });

  test("a sign-out takes effect at its replica", async () => {
    const here = await meet(site.gateway, first, "here");
    const cut = cutWithinASecond(here);
    await signOut(site.gateway, first, 503);
    await cut;
    await ping(streams.first);
  });

  test("after a restart of Redis with no data the other replica receives the revocation", async () => {
    await redis.launch();
    const { code } = await streams.first.closed;
    assert.equal(code, 1008);
    for (const gateway of [site.gateway, second]) {
      await until(async () => (await readiness(gateway.admin)).store === "ready");
      assert.equal(await metric(gateway, "store_ready"), 1);
      assert.equal(await metric(gateway, "store_reconnects_total"), 1);
    }
  });

  test("later revocations reach both replicas", async () => {
    await ping(streams.other);
    const cut = cutWithinASecond(streams.other);
    await signOut(site.gateway, other);
    await cut;
  });
});

// lib-jitsi-meet resumes the stream of a broken WebSocket by the id that it had (v2193 `modules/xmpp/ResumeTask.ts`,
// `resumeConnection`), and Strophe repeats the polls of a BOSH session with its `sid` (jitsi/strophejs v1.5-jitsi-3
// `src/bosh.js`).
test("guests whose replica stops before their host is back stay, at the other replica", async () => {
  const room = "lesson";
  const at = (gateway, headers, transport = "websocket") => ({
    transport, base: gateway.url, tls: gateway.tls, headers: { ...headers, host: new URL(site.url).host }, room, query: { room },
  });
  const host = await enter({ ...at(site.gateway, await site.headersOf("host")), nick: "host" });
  const guests = [];
  for (const transport of ["websocket", "bosh"]) {
    const person = createHttpClient(site.url);
    const answer = await person.submit(site.gateway, "/_gateway/join", { room, name: transport });
    assert.equal(answer.status, 303, answer.text);
    const headers = person.headers();
    const guest = await enter({ ...at(site.gateway, headers, transport), nick: transport, wait: 1, onRetry: () => {} });
    guests.push({ ...guest, headers, transport });
  }
  const [overSocket, overBosh] = guests;
  const id = await enableResumption(overSocket.stream);
  overBosh.stream.rest();
  await ping(overBosh.stream);
  // The host is gone without resumption.
  await host.stream.close();
  site.gateway.signal("SIGTERM");
  await site.gateway.exited();

  const resumed = await resume(id, at(second, overSocket.headers));
  await ping(resumed);
  overBosh.stream.moveTo(`${second.url}/http-bind?room=${room}`, second.tls);
  await ping(overBosh.stream);
  const nicks = site.focus.occupants(`${room}@muc.meet.jitsi`).map(({ nick }) => nick);
  assert.deepEqual(nicks.sort(), ["bosh", "websocket"]);
  await resumed.close();
  await overBosh.stream.close();
  await site.gateway.restart();
});

test("a wrong password is reported, and the gateway serves requests", async () => {
  const url = await shared.file("wrong.secret", redis.urlWith("not-the-password"));
  const third = await replica(labels[2], { ...shared.settings, store: { kind: "redis", url_file: url } });
  try {
    const told = await until(async () => {
      const answer = await readiness(third.admin);
      return answer.reasons.some((reason) => /password/.test(reason)) && answer;
    });
    assert.equal(told.store, "unreachable");
    assert.match(
      told.reasons.join("\n"),
      /^store: 127\.0\.0\.1:\d+ refuses the user name or password: compare those in store\.url/m,
    );
    assert.match(third.log(), /the store is not reached; meetings go on/);
    assert.doesNotMatch(third.log() + JSON.stringify(told), /not-the-password/);
    const stream = await meet(third, await site.headersOf("first"), "alone");
    await ping(stream);
    await stream.close();
  } finally {
    await third.stop();
  }
});
