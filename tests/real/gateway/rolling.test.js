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
/** As in production, with times divided by about five. */
const listen = { drain_delay: "2s", drain_window: "8s", grace: "13s" };
const longest = 2 + 13 + 5;
/**
 * The seconds for which a poll is held; shorter than `grace`, as 60 s are shorter than 75 s in
 * production.
 */
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
  attendees = await joinAll(await site.headersOf("host"));
}, { timeout: 120_000 });
after(async () => {
  await Promise.all(attendees.map((attendee) => attendee.leave()));
  await balancer?.stop();
  for (const replica of serving.values()) await replica.stop();
  await site?.stop();
  await redis?.stop();
  await shared?.remove();
});

/** Starts a replica and adds it to the balancer. */
async function launch(name) {
  // All people have one session here.
  const limits = { streams_per_session: 1_000 };
  const settings = { ...shared.settings, listen, limits, log: { level: "info" } };
  const replica = await startReplica(site, { label: `rolling-${name}`, settings });
  tls.ca.push(replica.tls.ca);
  serving.set(name, replica);
  balancer.add(replica);
}

/** Stops a replica; returns exit code, log and duration. */
async function stopReplica(name, signal) {
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

/**
 * Joins all attendees, at most twelve at a time, since people do not all arrive at one moment.
 */
async function joinAll(headers) {
  const all = Object.entries(people).flatMap(([transport, count]) => Array.from({ length: count }, () => transport));
  const joined = [];
  const numbers = all.keys();
  const joinNext = async () => {
    for (const number of numbers) {
      joined[number] = await attend({
        transport: all[number],
        base: balancer.url,
        tls,
        headers: { ...headers, host: new URL(site.url).host },
        room: `meeting-${number % rooms}`,
        nick: `person_${number}`,
        wait,
      });
    }
  };
  await Promise.all(Array.from({ length: 12 }, joinNext));
  return joined;
}

/**
 * Sends a message in one room after another until the returned function is called, which returns
 * the sent messages by room.
 */
function sendMessages() {
  const sent = new Map();
  let stopped = false;
  const sending = (async () => {
    for (let round = 0; !stopped; round += 1) {
      for (let room = 0; room < rooms; room += 1) {
        const inside = attendees.filter((_, number) => number % rooms === room);
        const sender = inside[round % inside.length];
        const body = `${sender.room} round ${round} from ${sender.nick}`;
        sent.set(body, sender.room);
        sender.sendMessage(body);
        await pause(1_000 / rooms);
      }
    }
  })();
  return async () => {
    stopped = true;
    await sending;
    return sent;
  };
}

/** Waits until every message has been delivered, and then briefly for duplicates. */
async function waitForDelivery(sent) {
  const due = (attendee) => [...sent].filter(([, room]) => room === attendee.room).length;
  const all = () => attendees.every((attendee) => new Set(attendee.reports.received).size >= due(attendee));
  await until(all, { what: "all is heard", within: 30_000 }).catch(() => {});
  await pause(500);
}

/** The messages that were lost or delivered twice, by receiver. */
function deliveryErrors(sent, receivers = attendees) {
  const found = { lost: [], twice: [] };
  for (const { nick, room, kind, reports } of receivers) {
    const counts = new Map();
    for (const body of reports.received) counts.set(body, (counts.get(body) ?? 0) + 1);
    for (const [body, where] of sent) {
      const count = counts.get(body) ?? 0;
      if (where === room && count === 0) found.lost.push(`${nick} by ${kind}: ${body}`);
      if (where === room && count > 1) found.twice.push(`${nick} by ${kind}: ${body}`);
    }
  }
  return found;
}

/** Asserts that no attendee was reported as having left, and that each one's stream is alive. */
async function assertAllPresent() {
  assert.deepEqual(attendees.flatMap(({ reports }) => reports.left), [], "nobody saw anybody leave");
  assert.deepEqual(attendees.flatMap(({ reports }) => reports.problems), []);
  await Promise.all(attendees.map((attendee) => attendee.ping()));
  let inside = 0;
  for (let room = 0; room < rooms; room += 1) inside += site.focus.occupants(`meeting-${room}@muc.meet.jitsi`).length;
  assert.equal(inside, attendees.length);
}

/** Logs the results since the last report and clears them. */
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
    Object.assign(reports, { received: [], resumed: [], attempts: [], rejoined: 0, retried: 0 });
  }
  return summary;
}

test("both replicas are replaced without interruption for 300 people", { timeout: 150_000 }, async (context) => {
  assert.equal(attendees.length, 300);
  await assertAllPresent();
  const stopSending = sendMessages();
  const ends = [];
  for (const [old, next] of [["a", "c"], ["b", "d"]]) {
    await launch(next);
    ends.push({ from: Date.now(), ...(await stopReplica(old, "SIGTERM")) });
  }
  await pause(1_000);
  const sent = await stopSending();
  await waitForDelivery(sent);

  const { lost, twice } = deliveryErrors(sent);
  const broke = attendees.flatMap(({ reports }) => reports.resumed.map((resumed) => resumed.broke)).sort((a, b) => a - b);
  const summary = report(context, "replaced");
  for (const [number, { from, code, seconds, log }] of ends.entries()) {
    const closed = broke.filter((at) => at >= from && at < (ends[number + 1]?.from ?? Infinity));
    const inOneSecond = Math.max(...closed.map((at) => closed.filter((other) => other >= at && other < at + 1_000).length));
    context.diagnostic(`${closed.length} sockets were closed within ${(closed.at(-1) - closed[0]) / 1000} s, at most ${inOneSecond} in a second`);
    assert.ok(closed.at(-1) - closed[0] > 7_000 && inOneSecond < closed.length / 4, "spread over the drain window");
    context.diagnostic(`a replica ended after ${seconds.toFixed(1)} s: ${log.match(/no more connections are accepted.*/)?.[0]}`);
    assert.equal(code, 0);
    assert.ok(seconds < longest, `${seconds} s`);
  }
  context.diagnostic(`${sent.size} messages, each heard once by everyone in its room`);
  assert.deepEqual({ lost, twice }, { lost: [], twice: [] });
  await assertAllPresent();
  assert.equal(summary.rejoined, 0, "every stream was resumed");
  assert.equal(summary.touched, people.websocket, "everybody's socket was at a replica that ended");
  assert.deepEqual(summary.codes, [1001]);
});

test("all streams of a killed replica are resumed", { timeout: 90_000 }, async (context) => {
  const metrics = await (await fetch(`${serving.get("c").admin}/metrics`)).text();
  const sockets = Number(metrics.match(/^jitsi_auth_gateway_streams_open\{kind="websocket"\} (\d+)$/m)[1]);
  const stopSending = sendMessages();
  await pause(1_000);
  const { signal } = await stopReplica("c", "SIGKILL");
  assert.equal(signal, "SIGKILL");
  const back = () => attendees.filter(({ reports }) => reports.resumed.length > 0).length;
  await until(() => back() === sockets, { within: 30_000, what: "all are back" });
  await pause(1_000);
  const sent = await stopSending();
  await waitForDelivery(sent);

  const { lost, twice } = deliveryErrors(sent);
  const byBosh = twice.filter((line) => line.includes(" by bosh: "));
  const summary = report(context, "killed");
  context.diagnostic(`${sent.size} messages; heard twice by BOSH, where Prosody repeats its last answer to a poll that broke off: ${byBosh.length}`);
  assert.deepEqual(lost, []);
  assert.deepEqual(twice.filter((line) => !byBosh.includes(line)), []);
  await assertAllPresent();
  assert.equal(summary.rejoined, 0);
  assert.equal(summary.resumed, sockets);
  assert.ok(sockets > 0);
});
