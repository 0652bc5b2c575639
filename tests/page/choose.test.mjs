// Runs the script of the page that asks which provider.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

const source = readFileSync(new URL("../../src/pages/src/scripts/choose.js", import.meta.url), "utf8");

function open(hash) {
  const links = ["school", "firm"].map((id) => new URL(`https://meet.example.org/_gateway/login?provider=${id}`));
  const form = { action: "https://meet.example.org/_gateway/login" };
  const document = { querySelectorAll: () => links, forms: [form] };
  vm.runInNewContext(source, { document, location: { hash } });
  return [...links.map(String), form.action];
}

test("each way on keeps the options of Jitsi's page in the fragment", () => {
  for (const address of open("#config.a=%22x%22&b")) {
    assert.equal(new URL(address).hash, "#config.a=%22x%22&b");
  }
});

test("without options the addresses stay as they are", () => {
  for (const address of open("")) {
    assert.ok(!address.includes("#"), address);
  }
});
