// Runs the script of the page between a room and the identity provider.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

const source = readFileSync(new URL("../../src/pages/src/scripts/continue.js", import.meta.url), "utf8");
const PROVIDER = "https://sso.test/auth?state=x";

function open({ path, hash, saved, broken = false }) {
  const stored = new Map(saved === undefined ? [] : [["gateway.fragment", saved]]);
  const refuse = () => { throw new Error("SecurityError"); };
  let opened;
  vm.runInNewContext(source, {
    URL,
    document: { currentScript: { dataset: { provider: PROVIDER, path } } },
    location: { origin: "https://meet.example.org", hash, replace: (to) => { opened = to; } },
    sessionStorage: {
      getItem: (key) => (broken ? refuse() : stored.get(key) ?? null),
      setItem: (key, value) => (broken ? refuse() : stored.set(key, value)),
      removeItem: (key) => stored.delete(key),
    },
  });
  assert.equal(opened, PROVIDER);
  return stored.get("gateway.fragment");
}

test("the fragment is kept for the page to come back to", () => {
  const kept = open({ path: "/acme/Caf%C3%A9?lang=de", hash: "#config.a=%22x%22&b" });
  assert.deepEqual(JSON.parse(kept), { path: "/acme/Caf%C3%A9", hash: "#config.a=%22x%22&b" });
});

test("a second try keeps the fragment of the first, another room does not", () => {
  const saved = JSON.stringify({ path: "/x", hash: "#a" });
  assert.equal(open({ path: "/x", hash: "", saved }), saved);
  assert.equal(open({ path: "/y", hash: "", saved }), undefined);
  const other = open({ path: "/y", hash: "#b", saved });
  assert.deepEqual(JSON.parse(other), { path: "/y", hash: "#b" });
});

test("nothing in the way stops the sign-in", () => {
  open({ path: "/x", hash: "#a", broken: true });
  open({ path: "/x", hash: "", saved: "{" });
  open({ path: "//", hash: "#a" });
});
