// A rolling update, as Kubernetes does with `maxSurge: 1, maxUnavailable: 0`: both replicas behind a TCP
// load balancer are replaced one by one, with 300 people in sixty meetings and no interruption. Then one
// replica is killed, and its clients resume.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { attend } from "../lib/attendee.js";
import { startBalancer } from "../lib/balancer.js";
import { until } from "../lib/process.js";
import { startRedis } from "../lib/redis.js";
import { shareAmongReplicas, startReplica } from "../lib/replicas.js";
import { startSite } from "../lib/site.js";

const people = { websocket: 200, bosh: 100 };
const rooms = 60;
/** As in production but for the times: a second of it is five here. */
const listen = { drain_delay: "2s", drain_window: "8s", grace: "13s" };
const longest = 2 + 13 + 5;
/** For how many seconds a poll is held; shorter than `grace`, as 60 s are than 75 s. */
const wait = 10;
const labels = ["rolling", "rolling-a", "rolling-b", "rolling-c", "rolling-d"];

let redis;
let shared;
let site;
let balancer;
const tls = { ca: [], servername: "localhost" };
const serving = new Map();
let attendees = [];

before(async () => {
  redis = await startRedis({ password: randomBytes(12).toString("hex"), labels });
  shared = await shareAmongReplicas(redis);
  site = await startSite({ label: labels[0], settings: () => shared.settings });
  balancer = await startBalancer();
  await Promise.all(["a", "b"].map(launch));
  attendees = await fill(await site.headersOf("host"));
}, { timeout: 120_000 });
after(async () => {
  await Promise.all(attendees.map((attendee) => attendee.leave()));
  await balancer?.stop();
  for (const replica of serving.values()) await replica.stop();
  await site?.stop();
  await redis?.stop();
  await shared?.remove();
});

/** Starts a replica; when it is ready, it gets its share of new connections. */
async function launch(name) {
  const settings = { ...shared.settings, listen, log: { level: "info" } };
  const replica = await startReplica(site, { label: `rolling-${name}`, settings });
  tls.ca.push(replica.tls.ca);
  serving.set(name, replica);
  balancer.add(replica);
}

/** Ends a replica, and tells how and after how long. */
async function end(name, signal) {
  const replica = serving.get(name);
  const began = Date.now();
  replica.signal(signal);
  const outcome = await replica.exited();
  balancer.remove(replica);
  serving.delete(name);
  const log = replica.log();
  await replica.stop();
  return { ...outcome, log, seconds: (Date.now() - began) / 1000 };
}

/** Lets everybody in; never more than a few at once, as people do not all come in one moment. */
async function fill(headers) {
  const all = Object.entries(people).flatMap(([transport, count]) => Array.from({ length: count }, () => transport));
  const everybody = [];
  const numbers = all.keys();
  const usher = async () => {
    for (const number of numbers) {
      everybody[number] = await attend({
        transport: all[number],
        base: balancer.url,
        tls,
        headers: { ...headers, host: new URL(site.url).host },
        room: `meeting-${number % rooms}`,
        nick: `person-${number}`,
        wait,
      });
    }
  };
  await Promise.all(Array.from({ length: 12 }, usher));
  return everybody;
}

/** Everybody talks, one in each room after another, until told to stop; answers what was said where. */
function talk() {
  const said = new Map();
  let stopped = false;
  const talking = (async () => {
    for (let round = 0; !stopped; round += 1) {
      for (let room = 0; room < rooms; room += 1) {
        const inside = attendees.filter((_, number) => number % rooms === room);
        const speaker = inside[round % inside.length];
        const body = `${speaker.room} round ${round} from ${speaker.nick}`;
        said.set(body, speaker.room);
        speaker.say(body);
        await pause(1_000 / rooms);
      }
    }
  })();
  return async () => {
    stopped = true;
    await talking;
    return said;
  };
}

/** Waits until all has been heard that was said, and then a little for what would be heard twice. */
async function hear(said) {
  const due = (attendee) => [...said].filter(([, room]) => room === attendee.room).length;
  const all = () => attendees.every((attendee) => new Set(attendee.reports.heard).size >= due(attendee));
  await until(all, { what: "all is heard", within: 30_000 }).catch(() => {});
  await pause(500);
}

/** What each heard that was said in their room: how often not at all, and how often twice. */
function misheard(said, whom = attendees) {
  const found = { lost: [], twice: [] };
  for (const { nick, room, kind, reports } of whom) {
    const counts = new Map();
    for (const body of reports.heard) counts.set(body, (counts.get(body) ?? 0) + 1);
    for (const [body, where] of said) {
      const count = counts.get(body) ?? 0;
      if (where === room && count === 0) found.lost.push(`${nick} by ${kind}: ${body}`);
      if (where === room && count > 1) found.twice.push(`${nick} by ${kind}: ${body}`);
    }
  }
  return found;
}

/** Nobody left, as far as anybody was told, and everybody can still speak to the server. */
async function assertAllIn() {
  assert.deepEqual(attendees.flatMap(({ reports }) => reports.left), [], "nobody saw anybody leave");
  assert.deepEqual(attendees.flatMap(({ reports }) => reports.problems), []);
  await Promise.all(attendees.map((attendee) => attendee.ping()));
  let inside = 0;
  for (let room = 0; room < rooms; room += 1) inside += site.focus.occupants(`meeting-${room}@muc.meet.jitsi`).length;
  assert.equal(inside, attendees.length);
}

/** Says how it went and forgets it. */
function report(context, title) {
  const of = (key) => attendees.flatMap(({ reports }) => reports[key]);
  const seconds = (values) => {
    const sorted = values.toSorted((a, b) => a - b);
    const at = (share) => ((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) / 1000).toFixed(2);
    return `median ${at(0.5)} s, p95 ${at(0.95)} s, longest ${at(1)} s`;
  };
  const resumed = of("resumed");
  const summary = {
    resumed: resumed.length,
    rejoined: attendees.reduce((sum, { reports }) => sum + reports.rejoined, 0),
    retried: attendees.reduce((sum, { reports }) => sum + reports.retried, 0),
    failed: of("attempts"),
    codes: [...new Set(resumed.map(({ code }) => code))],
    touched: attendees.filter(({ kind, reports }) => kind === "websocket" && reports.resumed.length > 0).length,
  };
  context.diagnostic(`${title}: ${summary.resumed} streams resumed, ${summary.rejoined} people rejoined, `
    + `${summary.retried} BOSH requests sent again, close codes ${summary.codes}`);
  context.diagnostic(`${title}: away, with the client's own delay: ${seconds(resumed.map(({ took }) => took))}`);
  context.diagnostic(`${title}: resuming alone: ${seconds(resumed.map(({ took, waited }) => took - waited))}`);
  if (summary.failed.length > 0) context.diagnostic(`${title}: tries that failed: ${[...new Set(summary.failed)]}`);
  for (const { reports } of attendees) {
    Object.assign(reports, { heard: [], resumed: [], attempts: [], rejoined: 0, retried: 0 });
  }
  return summary;
}

test("both replicas are replaced while 300 people meet, and nobody notices", { timeout: 150_000 }, async (context) => {
  assert.equal(attendees.length, 300);
  await assertAllIn();
  const silence = talk();
  const ends = [];
  for (const [old, next] of [["a", "c"], ["b", "d"]]) {
    await launch(next);
    ends.push({ from: Date.now(), ...(await end(old, "SIGTERM")) });
  }
  await pause(1_000);
  const said = await silence();
  await hear(said);

  const { lost, twice } = misheard(said);
  const broke = attendees.flatMap(({ reports }) => reports.resumed.map((resumed) => resumed.broke)).sort((a, b) => a - b);
  const summary = report(context, "replaced");
  for (const [number, { from, code, seconds, log }] of ends.entries()) {
    const own = broke.filter((at) => at >= from && at < (ends[number + 1]?.from ?? Infinity));
    const inOneSecond = Math.max(...own.map((at) => own.filter((other) => other >= at && other < at + 1_000).length));
    context.diagnostic(`${own.length} sockets were closed within ${(own.at(-1) - own[0]) / 1000} s, at most ${inOneSecond} in a second`);
    assert.ok(own.at(-1) - own[0] > 7_000 && inOneSecond < own.length / 4, "spread over the drain window");
    context.diagnostic(`a replica ended after ${seconds.toFixed(1)} s: ${log.match(/no more connections are accepted.*/)?.[0]}`);
    assert.equal(code, 0);
    assert.ok(seconds < longest, `${seconds} s`);
  }
  context.diagnostic(`${said.size} messages, each heard once by everyone in its room`);
  assert.deepEqual({ lost, twice }, { lost: [], twice: [] });
  await assertAllIn();
  assert.equal(summary.rejoined, 0, "every stream was resumed");
  assert.equal(summary.touched, people.websocket, "everybody's socket was at a replica that ended");
  assert.deepEqual(summary.codes, [1001]);
});

test("a replica is killed, and nobody has to join again", { timeout: 90_000 }, async (context) => {
  const metrics = await (await fetch(`${serving.get("c").admin}/metrics`)).text();
  const sockets = Number(metrics.match(/^jitsi_auth_gateway_streams_open\{kind="websocket"\} (\d+)$/m)[1]);
  const silence = talk();
  await pause(1_000);
  const { signal } = await end("c", "SIGKILL");
  assert.equal(signal, "SIGKILL");
  const back = () => attendees.filter(({ reports }) => reports.resumed.length > 0).length;
  await until(() => back() === sockets, { within: 30_000, what: "all are back" });
  await pause(1_000);
  const said = await silence();
  await hear(said);

  const { lost, twice } = misheard(said);
  const byBosh = twice.filter((line) => line.includes(" by bosh: "));
  const summary = report(context, "killed");
  context.diagnostic(`${said.size} messages; heard twice by BOSH, where Prosody repeats its last answer to a poll that broke off: ${byBosh.length}`);
  assert.deepEqual(lost, []);
  assert.deepEqual(twice.filter((line) => !byBosh.includes(line)), []);
  await assertAllIn();
  assert.equal(summary.rejoined, 0);
  assert.equal(summary.resumed, sockets);
  assert.ok(sockets > 0);
});
