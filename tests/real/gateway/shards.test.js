// Three shards behind two replicas with a real Redis: placement of rooms, and no
// unnecessary moves while shards are added, drained and killed.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Agent } from "node:https";
import { after, before, describe, test } from "node:test";
import { startFocus } from "../lib/focus.js";
import { sendRequest, navigation } from "../lib/http.js";
import { until } from "../lib/process.js";
import { names, startProsody } from "../lib/prosody.js";
import { startRedis } from "../lib/redis.js";
import { shareAmongReplicas, startReplica } from "../lib/replicas.js";
import { startSite } from "../lib/site.js";
import { appSecret } from "../lib/tokens.js";
import { startWeb } from "../lib/web.js";
import { enter, ping } from "../lib/xmpp-lite.js";

const labels = ["shards-a", "shards-b"];
const weights = { s1: 100, s2: 200, s3: 100 };
const started = [];

let redis;
let shared;
let site;
let replicas;
let headers;
/** Each shard's Prosody, focus, and entry in the configuration, by name. */
const shards = {};

async function startShard(name, web) {
  const prosody = await startProsody({ secret: appSecret });
  started.unshift(prosody);
  addShard(name, { web, prosody, focus: await startFocus(prosody) });
  started.unshift(shards[name].focus);
}

function addShard(name, { web, prosody, focus }) {
  shards[name] = { prosody, focus, entry: { name, web: web.url, xmpp: prosody.url, weight: weights[name] } };
}

const configured = (...list) => ({ shard: list.map((name) => shards[name].entry) });

before(async () => {
  redis = await startRedis({ password: randomBytes(12).toString("hex"), labels });
  shared = await shareAmongReplicas(redis);
  let settings;
  site = await startSite({
    label: labels[0],
    settings: async ({ publicUrl }) => {
      const web = await startWeb({ publicUrl });
      started.unshift(web);
      for (const name of ["s1", "s2"]) await startShard(name, web);
      settings = { ...shared.settings, upstream: { web: undefined, xmpp: undefined }, ...configured("s1", "s2") };
      return settings;
    },
  });
  addShard("s3", site);
  replicas = [site.gateway, await startReplica(site, { label: labels[1], settings })];
  for (const gateway of replicas) gateway.agent = new Agent({ keepAlive: true, maxSockets: 8, ...gateway.tls });
  for (const gateway of replicas) await until(async () => (await readiness(gateway)).store === "ready");
  headers = await site.headersOf("first");
});
after(async () => {
  for (const gateway of replicas ?? []) gateway.agent.destroy();
  await replicas?.[1].stop();
  await site?.stop();
  for (const part of started) await part.stop();
  await redis?.stop();
  await shared?.remove();
});

const readiness = async ({ admin }) => (await fetch(`${admin}/readyz`)).json();

/** Waits until both replicas have the same ring with these states. */
async function agree(states) {
  return until(async () => {
    const [one, other] = await Promise.all(replicas.map(readiness));
    assert.equal(one.shards.ring, other.shards.ring);
    assert.deepEqual(one.shards.states, states);
    return one.shards;
  }, { what: `a ring with ${JSON.stringify(states)}`, within: 20_000 });
}

/** Opens a room's page at a replica; returns the shard in the response. */
async function shardOf(gateway, room) {
  const host = new URL(site.url).host;
  const answer = await sendRequest(gateway, `/${room}`, {
    headers: { ...navigation, cookie: headers.cookie, host }, agent: gateway.agent,
  });
  assert.equal(answer.status, 200, `${room}: ${answer.text}`);
  return answer.headers["x-jitsi-shard"];
}

/**
 * The shard of each room at each replica, which have to be equal; alternately each replica is the
 * first to place a room.
 */
async function placesOf(rooms) {
  const places = {};
  const queue = rooms.map((room, index) => ({ room, order: index % 2 ? replicas : replicas.toReversed() }));
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { room, order } = next;
      const [first, second] = [await shardOf(order[0], room), await shardOf(order[1], room)];
      assert.equal(first, second, `${room}: the replicas agree`);
      places[room] = first;
    }
  }));
  return places;
}

const many = (prefix, count) => Array.from({ length: count }, (_, n) => `${prefix}-${n}`);
const count = (places) => Object.values(places).reduce((sum, name) => ({ ...sum, [name]: (sum[name] ?? 0) + 1 }), {});
const moved = (earlier, later) => Object.keys(earlier).filter((room) => earlier[room] !== later[room]);

/** Joins a room over BOSH at one replica and over WebSocket at the other. */
async function meet(room) {
  const join = (gateway, transport) => enter({
    transport,
    base: gateway.url,
    tls: gateway.tls,
    headers: { ...headers, host: new URL(site.url).host },
    query: { room },
    room,
    nick: transport,
  });
  const joined = await Promise.all([join(replicas[0], "bosh"), join(replicas[1], "websocket")]);
  return joined.map(({ stream }) => stream);
}

/** The number of occupants of a room by shard. */
function inside(room) {
  const there = Object.entries(shards).map(([name, { focus }]) => [name, focus.occupants(`${room}@${names.muc}`).length]);
  return Object.fromEntries(there.filter(([, people]) => people > 0));
}

/** Sends pings on all streams of these rooms during an action; returns the number of pings. */
async function underLoad(meetings, what) {
  let over = false;
  let pings = 0;
  const talking = Object.values(meetings).flat().map(async (stream) => {
    while (!over) {
      await ping(stream);
      pings += 1;
    }
  });
  const done = what().finally(() => (over = true));
  await Promise.all([done, ...talking]);
  assert.ok(pings > 100, `${pings} pings`);
  return pings;
}

describe("shards", () => {
  const live = many("live", 12);
  const meetings = {};
  let places;
  let spread;

  test("people meet on the first two shards through either replica", async () => {
    await agree({ s1: "ready", s2: "ready" });
    for (const room of live) meetings[room] = await meet(room);
    places = await placesOf(live);
    for (const room of live) {
      await until(() => inside(room)[places[room]] === 2);
      assert.deepEqual(inside(room), { [places[room]]: 2 });
    }
    assert.deepEqual(Object.keys(count(places)).sort(), ["s1", "s2"]);
  });

  test("a third is added under load, and no live room moves", async () => {
    const pings = await underLoad(meetings, async () => {
      for (const gateway of replicas) await gateway.reconfigure(configured("s1", "s2", "s3"));
      await agree({ s1: "ready", s2: "ready", s3: "ready" });
      assert.deepEqual(moved(places, await placesOf(live)), []);
    });
    console.log(`added s3: 0 of ${live.length} live rooms moved, ${pings} pings answered`);
  });

  test("2,000 new rooms are spread within a tenth of the weights, and the replicas agree on each", async () => {
    spread = await placesOf(many("room", 2_000));
    const counts = count(spread);
    const total = Object.values(weights).reduce((sum, weight) => sum + weight);
    console.log("shard  weight  expected  rooms  off by");
    for (const [name, weight] of Object.entries(weights)) {
      const expected = (2_000 * weight) / total;
      const off = counts[name] / expected - 1;
      console.log(`${name}     ${weight}     ${expected}      ${counts[name]}   ${(100 * off).toFixed(1)} %`);
      assert.ok(Math.abs(off) < 0.1, name);
    }
  });

  test("an operator drains one: live rooms stay, new rooms begin on the others", async () => {
    const pings = await underLoad(meetings, async () => {
      const answer = await fetch(`${replicas[1].admin}/shards/s2`, { method: "POST", body: '{"state":"drain"}' });
      assert.equal(answer.status, 200);
      await agree({ s1: "ready", s2: "drain", s3: "ready" });
      assert.deepEqual(moved(places, await placesOf(live)), []);
      const fresh = count(await placesOf(many("drained", 200)));
      console.log(`drained s2: 0 of ${live.length} live rooms moved; 200 new rooms: ${JSON.stringify(fresh)}`);
      assert.deepEqual(Object.keys(fresh).sort(), ["s1", "s3"]);
    });
    assert.ok(pings > 0);
    assert.deepEqual(moved(spread, { ...spread, ...(await placesOf(Object.keys(spread).slice(0, 200))) }), []);
  });

  test("one is killed: exactly its rooms move", async () => {
    const [lost, kept] = [live.filter((room) => places[room] === "s1"), live.filter((room) => places[room] !== "s1")];
    assert.ok(lost.length > 0 && kept.length > 0);
    const others = Object.fromEntries(kept.map((room) => [room, meetings[room]]));
    const began = Date.now();
    await underLoad(others, async () => {
      const ended = lost.flatMap((room) => meetings[room]).map((stream) => until(() => stream.inbox.ended, { within: 20_000 }));
      await shards.s1.prosody.stop();
      started.splice(started.indexOf(shards.s1.prosody), 1);
      await agree({ s1: "down", s2: "drain", s3: "ready" });
      console.log(`killed s1: both replicas say so after ${Date.now() - began} ms`);
      await Promise.all(ended);
      for (const room of lost) meetings[room] = await meet(room);
      const now = await placesOf(live);
      console.log(`killed s1: ${moved(places, now).length} of ${live.length} live rooms moved, ${lost.length} had to`);
      assert.deepEqual(moved(places, now).sort(), lost.toSorted());
      places = now;
    });
    for (const room of live) {
      await until(() => inside(room)[places[room]] === 2);
      for (const stream of meetings[room]) await ping(stream);
    }
    for (const gateway of replicas) {
      const { reasons } = await readiness(gateway);
      assert.match(reasons.join("\n"), /^shard s1: no replica reaches its Prosody at 127\.0\.0\.1:\d+$/m);
    }
  });

  test("without Redis the replicas agree on old and new rooms", async () => {
    await redis.kill();
    for (const gateway of replicas) await until(async () => (await readiness(gateway)).store === "unreachable");
    await underLoad(meetings, async () => {
      assert.deepEqual(moved(places, await placesOf(live)), []);
      const known = Object.keys(spread).filter((room) => spread[room] !== "s1").slice(0, 300);
      const stay = await placesOf(known);
      assert.deepEqual(known.filter((room) => stay[room] !== spread[room]), []);
      const fresh = await placesOf([...many("without", 200), ...Object.keys(spread).filter((room) => spread[room] === "s1").slice(0, 100)]);
      console.log(`without Redis: 312 old rooms stay; 300 others: ${JSON.stringify(count(fresh))}`);
    });
    for (const { admin } of replicas) {
      const metrics = await (await fetch(`${admin}/metrics`)).text();
      assert.match(metrics, /^jitsi_auth_gateway_shard_placements_total\{outcome="without_store"\} [1-9]/m);
      assert.match(metrics, /^jitsi_auth_gateway_shard_state\{shard="s1",state="down"\} 1$/m);
    }
  });

  test("after a restart of Redis with no data the replicas agree, and the override is kept", async () => {
    await redis.launch();
    for (const gateway of replicas) await until(async () => (await readiness(gateway)).store === "ready");
    await agree({ s1: "down", s2: "drain", s3: "ready" });
    assert.deepEqual(moved(places, await placesOf(live)), []);
    const fresh = count(await placesOf(many("again", 50)));
    assert.deepEqual(fresh, { s3: 50 });
    const answer = await fetch(`${replicas[0].admin}/shards/s2`, { method: "POST", body: '{"state":"configured"}' });
    assert.equal(answer.status, 200);
    await agree({ s1: "down", s2: "ready", s3: "ready" });
  });

  test("rooms move off a shard that is removed from the configuration", async () => {
    for (const gateway of replicas) await gateway.reconfigure(configured("s2", "s3"));
    await agree({ s2: "ready", s3: "ready" });
    assert.deepEqual(moved(places, await placesOf(live)), []);
    for (const stream of Object.values(meetings).flat()) {
      await ping(stream);
      await stream.close();
    }
  });

  test("only a page or signalling request of a room has the shard's header", async () => {
    const host = new URL(site.url).host;
    const [gateway] = replicas;
    const named = async (path) => (await sendRequest(gateway, path, { headers: { cookie: headers.cookie, host } })).headers["x-jitsi-shard"];
    const [room] = live;
    for (const path of [`/xmpp-websocket?room=${room}`, `/config.js?room=${room}`]) assert.equal(await named(path), places[room], path);
    for (const path of ["/config.js", "/libs/app.bundle.min.js", "/xmpp-websocket"]) assert.equal(await named(path), undefined, path);
  });
});
