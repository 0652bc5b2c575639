// Runs the start page's script with each spelling of tests/page/room-names.json in the list of recent meetings.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

const read = (name) => readFileSync(new URL(name, import.meta.url), "utf8");
const source = read("../../src/pages/src/scripts/start.js");
const table = JSON.parse(read("room-names.json"));
const ORIGIN = "https://meet.example.org";

/** The links of the page for visits of these addresses, the latest first. */
function recent(...addresses) {
  const links = [];
  const element = () => ({
    append(...children) { this.children = [...(this.children ?? []), ...children]; },
    addEventListener() {},
  });
  const section = { ...element(), querySelector: (what) => (what === "ul" ? { append: (item) => links.push(item.children[0]) } : element()) };
  const visits = addresses.map((conference, index) => ({ conference, date: 1e12 - index }));
  vm.runInNewContext(source, {
    URL,
    Intl,
    location: { origin: ORIGIN, hash: "" },
    localStorage: { getItem: (key) => (key === "gateway.rooms" ? JSON.stringify(visits) : null) },
    document: { documentElement: { lang: "en" }, getElementById: () => section, createElement: element },
  });
  return links.map(({ href, children: [name] }) => ({ href, name: name.textContent }));
}

/** A path with escapes in upper case, and none of what needs none. */
const canonical = (path) => path.replace(/%[0-9a-f]{2}/gi, (escape) => {
  const letter = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
  return /[\w.~-]/.test(letter) ? letter : escape.toUpperCase();
});

test("each spelling leads to the page of its room", () => {
  const rooms = table.filter(([, key]) => key !== null);
  assert.ok(rooms.length >= 120);
  for (const [address, , page] of rooms) {
    const [link, ...more] = recent(`${ORIGIN}${address}?jwt=secret#x`);
    assert.equal(canonical(link.href), canonical(page), address);
    assert.equal(more.length, 0);
  }
});

test("spellings of one room are one meeting, those of others are not", () => {
  const byKey = new Map();
  for (const row of table.filter(([, key]) => key !== null)) byKey.set(row[1], [...(byKey.get(row[1]) ?? []), row]);
  for (const [key, rows] of byKey) {
    const [first] = rows;
    const links = recent(...rows.map(([address]) => ORIGIN + address));
    assert.equal(links.length, 1, `${key}: ${links.map(({ href }) => href)}`);
    assert.equal(canonical(links[0].href), canonical(first[2]));
  }
  const all = [...byKey.values()].map(([[address]]) => ORIGIN + address);
  // The page shows six.
  for (let begin = 0; begin < all.length; begin += 6) {
    const some = all.slice(begin, begin + 6);
    assert.equal(recent(...some).length, some.length);
  }
});

test("addresses without a name are not listed, and none leads to another site", () => {
  for (const [address, , reason] of table.filter(([, key]) => key === null)) {
    const links = recent(ORIGIN + address);
    if (reason === "empty") assert.ok(links.every(({ name }) => name.trim() === "" && name !== ""), address);
    for (const { href } of links) assert.equal(new URL(href, ORIGIN).origin, ORIGIN, address);
  }
});

test("other sites and the gateway's own paths are not listed", () => {
  for (const address of ["https://elsewhere.example/x", `${ORIGIN}/_gateway/logout`, `${ORIGIN}//_Gateway/login`, `${ORIGIN}/`, "x"]) {
    assert.deepEqual(recent(address), [], address);
  }
});
