// The login probe of a running gateway, in /readyz and metrics: a Prosody that is healthy, accepts
// every login, refuses every login, or is down.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { planGateway, startGateway } from "../lib/gateway.js";
import { freePort, until } from "../lib/process.js";
import { startProsody } from "../lib/prosody.js";
import { startProvider } from "../lib/provider.js";
import { appSecret } from "../lib/tokens.js";
import { startWeb } from "../lib/web.js";

const started = [];
const keep = (part) => {
  started.unshift(part);
  return part;
};

let gateway;
let good;
before(async () => {
  const plan = await planGateway({ label: "probe" });
  const { publicUrl } = plan;
  good = keep(await startProsody({ secret: appSecret }));
  const open = keep(await startProsody({ secret: appSecret, allowEmptyToken: true }));
  const strict = keep(await startProsody({ secret: "another secret than the gateway's, long enough" }));
  const web = keep(await startWeb({ publicUrl }));
  const provider = keep(await startProvider({ publicUrl, ca: plan.certificate.pem }));
  const places = { good: good.url, open: open.url, strict: strict.url, away: `http://127.0.0.1:${await freePort()}` };
  gateway = keep(await startGateway(plan, {
    neighbours: { web: web.url, xmpp: good.url, issuer: provider.issuer },
    settings: {
      upstream: { web: undefined, xmpp: undefined },
      shard: Object.entries(places).map(([name, xmpp]) => ({ name, web: web.url, xmpp })),
      probe: { enabled: true, every: "5s" },
    },
  }));
});
after(async () => {
  for (const part of started) await part.stop();
});

const ready = async () => (await fetch(`${gateway.admin}/readyz`)).json();
const metrics = async () => (await fetch(`${gateway.admin}/metrics`)).text();

test("each state of Prosody has its verdict, and none makes the gateway unready", async () => {
  const { backends, reasons } = await until(async () => {
    const told = await ready();
    return Object.keys(told.backends).length === 4 && told;
  }, { what: "all four are probed", within: 30_000 });
  assert.deepEqual(backends, { good: "ok", open: "open", strict: "refused", away: "unreachable" });
  const said = (backend) => reasons.filter((reason) => reason.startsWith(`${backend}:`));
  assert.deepEqual(said("good"), []);
  assert.match(said("open")[0], /admits clients without a token/);
  assert.match(said("strict")[0], /login at Prosody fails/);
  assert.equal((await fetch(`${gateway.admin}/readyz`)).status, 200);

  const text = await metrics();
  for (const [backend, reason, ok] of [["good", "ok", 1], ["open", "open", 0], ["strict", "refused", 0], ["away", "unreachable", 0]]) {
    const line = `jitsi_auth_gateway_backend_probe_ok{backend="${backend}",reason="${reason}"} ${ok}`;
    assert.ok(text.split("\n").includes(line), `${line} in\n${text}`);
  }
});

test("a Prosody that stops is reported at the next probe", async () => {
  await good.stop();
  await until(async () => (await ready()).backends.good === "unreachable", { what: "its end is seen", within: 20_000 });
  const lines = (await metrics()).split("\n").filter((line) => line.startsWith('jitsi_auth_gateway_backend_probe_ok{backend="good"'));
  assert.deepEqual(lines, ['jitsi_auth_gateway_backend_probe_ok{backend="good",reason="unreachable"} 0']);
});
