// Runs last: searches the trace logs of every gateway of the suite for secrets.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { logDirectory } from "../lib/gateway.js";

/** Patterns that no log line may match, each with an example that the search must find. */
const shapes = {
  "a token": [/eyJ[\w-]{8,}\.[\w-]+\./, "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.x"],
  "an authorization": [/\b(Bearer|Basic) [\w.~+/=-]{8,}/, "authorization: Bearer abcdefgh12"],
  "a cookie of ours": [/__(Host|Secure)-gateway-[\w-]+=[\w-]{8,}/, "__Host-gateway-session=AQIDBAUGBwg"],
  "a query": [/[?&](token|jwt|code|state|room|id_token_hint|code_verifier|client_secret|invite)=[^\s&"]/, "/http-bind?room=planning"],
};

/** The findings in a log, without the secrets themselves. */
function findings(log, secrets) {
  const shaped = Object.entries(shapes).filter(([, [shape]]) => shape.test(log)).map(([name]) => name);
  const known = secrets.flatMap((secret, index) => (log.includes(secret) ? [`secret ${index + 1}`] : []));
  return [...shaped, ...known];
}

const files = await readdir(logDirectory);
const logs = files.filter((name) => name.endsWith(".log"));

test("the search finds a planted secret", () => {
  for (const [name, [, example]] of Object.entries(shapes)) {
    assert.deepEqual(findings(`a line with ${example} in it`, []), [name]);
  }
  assert.deepEqual(findings("a line with hunter2-hunter2 in it", ["hunter2-hunter2"]), ["secret 1"]);
  assert.deepEqual(findings("INFO access: path=\"/http-bind\" room=planning", []), []);
});

test("logs exist at the most detailed level", () => {
  assert.ok(logs.length >= 6, `logs of ${logs}`);
});

describe("no secret is logged", () => {
  for (const name of logs) {
    test(name, async () => {
      const log = await readFile(join(logDirectory, name), "utf8");
      // Hundreds of people at once are too much to trace.
      const crowd = name.startsWith("rolling-");
      assert.match(log, crowd ? /\bINFO\b/ : /\bTRACE\b/, "the log is as full as it can be");
      const kept = await readFile(join(logDirectory, name.replace(/log$/, "secrets")), "utf8");
      const secrets = kept.split("\n").filter(Boolean);
      assert.ok(secrets.length >= 3, "the gateway's secrets are known");
      assert.deepEqual(findings(log, secrets), []);
    });
  }
});
