// The API against its description: Schemathesis reads config/openapi.json, sends valid and invalid
// requests in any order, and checks the responses.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { registerSecret, logDirectory, planGateway, startGateway } from "../lib/gateway.js";
import { run } from "../lib/process.js";
import { startProvider } from "../lib/provider.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const schemathesis = process.env.SCHEMATHESIS ?? here("../python/bin/schemathesis");
const label = "api";
const key = randomBytes(32).toString("hex");

let plan;
let provider;
let gateway;
before(async () => {
  plan = await planGateway({ label });
  provider = await startProvider({ publicUrl: plan.publicUrl, ca: plan.certificate.pem });
  await registerSecret(label, key);
  gateway = await startGateway(plan, {
    // No redirects.
    neighbours: { web: "http://127.0.0.1:9", xmpp: "http://127.0.0.1:9", issuer: provider.issuer },
    settings: {
      integration: [{
        id: "fuzzed",
        // Random room names must pass the first checks.
        rooms: ["*"],
        insecure_all_rooms: true,
        api_requests_per_minute: 100_000,
        api_key: [{ id: "main", key }],
      }],
    },
  });
});
after(async () => {
  await gateway?.stop();
  await provider?.stop();
});

test("every response conforms to the description", async () => {
  const program = await run(schemathesis, [
    "--config-file", here("../schemathesis.toml"), "run", here("../../../config/openapi.json"),
    "--url", `${gateway.url}/_gateway/api/v1`,
    "--tls-verify", plan.certificate.certificate,
  ], { cwd: logDirectory, env: { API_KEY: key }, logFile: join(logDirectory, "schemathesis.out") });
  const { code } = await program.exited;
  gateway.mustRun();
  assert.equal(code, 0, program.output().slice(-8_000));
  // Guards against a run in which every request was refused.
  const log = gateway.log();
  for (const call of ["create_meeting", "create_link", "revoke_link", "room"]) {
    const times = log.split(`call="${call}"`).length - 1;
    assert.ok(times >= 20, `${call} ended well ${times} times`);
  }
});
