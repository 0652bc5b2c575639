// The doctor against a real Prosody, OpenID provider and Redis, each with typical faults: the
// cause is the first finding, and a healthy deployment has none.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startDeployment } from "./deployment.js";
import { advised, broken, healthy } from "./states.js";

let deployment;
const table = [];

before(async () => {
  deployment = await startDeployment();
});
after(async () => {
  await deployment?.stop();
  const width = Math.max(...table.map(({ name }) => name.length));
  for (const { name, ids } of table) console.log(`${name.padEnd(width)}  ${ids.join(" ") || "nothing"}`);
});

async function examine(name, prepare) {
  const started = [];
  const keep = (part) => {
    started.unshift(part);
    return part;
  };
  try {
    const report = await deployment.examine(await prepare(keep, deployment));
    table.push({ name, ids: report.ids });
    return report;
  } finally {
    for (const part of started) await part.stop();
  }
}

describe("healthy deployments have no findings", () => {
  for (const [name, prepare] of Object.entries(healthy)) {
    test(name, async () => {
      const report = await examine(name, prepare);
      assert.deepEqual(report.findings, []);
      assert.equal(report.healthy, true);
      assert.equal(report.code, 0);
    });
  }
});

describe("advice leaves a deployment healthy", () => {
  for (const [name, [expected, prepare]] of Object.entries(advised)) {
    test(name, async () => {
      const report = await examine(name, prepare);
      assert.deepEqual(report.ids, [expected]);
      assert.equal(report.healthy, true);
      assert.equal(report.code, 0);
    });
  }
});

describe("the cause of each fault is the first finding", () => {
  for (const [name, [expected, prepare]] of Object.entries(broken)) {
    test(name, async () => {
      const report = await examine(name, prepare);
      assert.deepEqual(report.ids, [expected], JSON.stringify(report, undefined, 1));
      assert.equal(report.code, 1);
      for (const finding of report.findings) {
        for (const key of ["sent", "got", "meaning", "remedy"]) assert.ok(finding[key], `${key} of ${finding.id}`);
        assert.doesNotMatch(finding.remedy, /VERIFICATION=(0|false)|domain_verification = false/, "it would open tenants");
      }
    });
  }
});
