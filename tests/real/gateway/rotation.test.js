// Rotation of signing keys while people join: no refusals, because a key is published
// before it signs.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { startKeyRelay } from "../lib/key-relay.js";
import { until } from "../lib/process.js";
import { startSite } from "../lib/site.js";
import { readHeader, rsaKey } from "../lib/tokens.js";
import { enter } from "../lib/xmpp-lite.js";

const keys = { k1: rsaKey(), k2: rsaKey() };

let site;
let relay;
let headers;
let signedBy;
before(async () => {
  site = await startSite({
    label: "rotation",
    async prosody(plan) {
      relay = await startKeyRelay(plan);
      const files = {};
      for (const [kid, { privatePem }] of Object.entries(keys)) files[kid] = await plan.file(`${kid}.pem`, privatePem);
      /** The `[token]` section in which `first` signs and the other is only published. */
      signedBy = (first) => ({
        token: {
          secret_file: undefined,
          algorithm: "RS256",
          key: [first, ...Object.keys(keys).filter((kid) => kid !== first)].map((kid) => ({ kid, file: files[kid] })),
        },
      });
      return { asapKeyServer: relay.url };
    },
    settings: () => signedBy("k1"),
  });
  headers = await site.headersOf("first");
});
after(async () => {
  await site?.stop();
  await relay?.stop();
});

async function visit(number) {
  const transport = number % 2 ? "bosh" : "websocket";
  const { stream } = await enter({
    transport, base: site.url, tls: site.tls, headers, query: { room: "planning" }, room: "planning", nick: `guest${number}`,
  });
  await stream.close();
}

const kidsSeen = async () => (await site.prosody.recorded()).sessions.map(({ token }) => readHeader(token).kid);

test("both keys are published", async () => {
  for (const [kid, { publicPem }] of Object.entries(keys)) {
    const name = createHash("sha256").update(kid).digest("hex");
    const answer = await fetch(`${relay.url}/${name}.pem`);
    assert.equal(answer.status, 200);
    assert.equal((await answer.text()).trim(), publicPem.trim());
  }
  assert.equal((await fetch(`${relay.url}/${"0".repeat(64)}.pem`)).status, 404);
});

test("twenty people join while the key changes", async () => {
  await site.prosody.reset();
  await visit(0);
  assert.deepEqual(await kidsSeen(), ["k1"]);

  const joins = [];
  for (let number = 1; number <= 20; number += 1) {
    joins.push(visit(number));
    if (number === 8) await site.gateway.reconfigure(signedBy("k2"));
    // Four at a time, so that the rotation happens between and during joins.
    if (number % 4 === 0) await Promise.all(joins);
  }
  await Promise.all(joins);
  site.gateway.mustRun();

  let number = 21;
  await until(async () => {
    await visit(number);
    number += 1;
    return (await kidsSeen()).at(-1) === "k2";
  }, { what: "a token of the new key", within: 15_000, every: 200 });
  assert.ok((await kidsSeen()).includes("k1"));
});

test("Prosody still accepts a token of the old key", async () => {
  const { sessions } = await site.prosody.recorded();
  const old = sessions.find(({ token }) => readHeader(token).kid === "k1");
  const { stream } = await enter({
    transport: "websocket", base: site.prosody.url, headers: { authorization: `Bearer ${old.token}` },
    room: "planning", nick: "old",
  });
  await stream.close();
});
