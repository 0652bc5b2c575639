// Runs what the gateway puts into Jitsi's page and `config.js`, as the golden files have it, in a
// stand-in for a browser: `node --test tests/page/`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

const read = (name) => readFileSync(new URL(name, import.meta.url), "utf8");
const scriptOf = (name) => {
  const element = /^<script>([^<]*(?:<(?!\/script)[^<]*)*)<\/script>$/.exec(read(name));
  assert.ok(element, `${name} is one script element`);
  return element[1];
};
const TOKEN = "aa.bb.cc";
const JWT = "jwt=%22aa.bb.cc%22";

/** A page at an address, with what was saved before signing in. */
function open(address, { saved, config = {}, broken = false, framed = false, frames = [] } = {}) {
  const page = { url: new URL(address), now: 0, timers: new Map(), replaced: 0 };
  const stored = new Map(saved === undefined ? [] : [["gateway.fragment", saved]]);
  const location = {
    get href() { return page.url.href; },
    get origin() { return page.url.origin; },
    get pathname() { return page.url.pathname; },
    get search() { return page.url.search; },
    get hash() { return page.url.hash; },
  };
  const refuse = () => { throw new Error("SecurityError"); };
  const window = {
    location,
    history: {
      state: { kept: true },
      replaceState(state, _, url) {
        if (broken) refuse();
        assert.equal(state, this.state);
        const next = new URL(url, page.url);
        if (next.origin !== page.url.origin) refuse();
        page.url = next;
        page.replaced += 1;
      },
    },
    sessionStorage: {
      getItem: (key) => (broken ? refuse() : stored.get(key) ?? null),
      removeItem: (key) => stored.delete(key),
    },
    setInterval: (run, every) => { page.timers.set(1, { run, every }); return 1; },
    clearInterval: (id) => page.timers.delete(id),
    atob,
    Date: { now: () => page.now },
    addEventListener: (type, listener) => type === "beforeunload" && page.unloads.push(listener),
    setTimeout: (run) => page.later.push(run),
    WebSocket: class extends EventTarget {
      constructor(url, protocol) { super(); Object.assign(this, { url, protocol }); }
      end(init) { this.dispatchEvent(Object.assign(new Event("close"), init)); }
    },
    XMLHttpRequest: class extends EventTarget {
      open(method, url, ...rest) { Object.assign(this, { method, url, rest }); }
      getResponseHeader(name) { return this.headers?.[name] ?? null; }
      answer(headers) { this.headers = headers; this.dispatchEvent(new Event("load")); }
    },
  };
  Object.assign(page, { unloads: [], later: [], left: [] });
  location.replace = (url) => page.left.push(url);
  // The selector of an attribute that contains a text.
  window.document = {
    querySelector: (selector) => {
      const [, text] = /^iframe\[src\*='([^']*)'\]$/.exec(selector);
      return frames.find((src) => src.includes(text)) ?? null;
    },
  };
  window.window = window;
  window.top = framed ? {} : window;
  if (config !== null) window.config = config;
  page.window = vm.createContext(window);
  page.run = (name) => { vm.runInContext(scriptOf(name), page.window); return page; };
  page.tick = () => {
    for (const { run, every } of [...page.timers.values()]) { page.now += every; run(); }
  };
  page.dispatched = [];
  page.appReads = (jwt, user) => {
    const getState = () => ({ "features/base/jwt": { jwt, user } });
    window.APP = { store: { getState, dispatch: (action) => page.dispatched.push({ ...action }) } };
  };
  page.stored = stored;
  return page;
}

const ROOM = "https://meet.example.org/acme/Caf%C3%A9";
const save = (hash, path = "/acme/Caf%C3%A9") => JSON.stringify({ path, hash });

test("the token joins the options, which stay as they are", () => {
  const options = "config.a=%22x%22&userInfo.displayName=%22B%C3%B6%22&&x&config.b={}";
  const page = open(`${ROOM}?lang=de#${options}`).run("signed_in.html");
  assert.equal(page.url.href, `${ROOM}?lang=de#${options}&${JWT}`);
  assert.equal(page.replaced, 1);
});

test("without options the token is the only one", () => {
  assert.equal(open(ROOM).run("signed_in.html").url.href, `${ROOM}#${JWT}`);
  assert.equal(open(`${ROOM}#`).run("signed_in.html").url.href, `${ROOM}#${JWT}`);
});

test("Jitsi reads the token that was put there", () => {
  const page = open(`${ROOM}#config.a=1`).run("hostile.html");
  const [, value] = /(?:^|&)jwt=([^&]*)/.exec(page.url.hash.slice(1));
  assert.equal(JSON.parse(decodeURIComponent(value)), 'aa."</script><!--\u2028é&.cc');
});

test("tokens of others make way for ours", () => {
  const page = open(`${ROOM}?jwt=q&a=1&token=q&jwtx=2#jwt=%22x.y.z%22&config.a=1&jwt&jwtx=3`);
  assert.equal(page.run("signed_in.html").url.href, `${ROOM}?a=1&jwtx=2#config.a=1&jwtx=3&${JWT}`);
  assert.equal(open(`${ROOM}?jwt=q`).run("signed_in.html").url.href, `${ROOM}#${JWT}`);
});

test("a visitor without a token keeps the address as it is", () => {
  for (const rest of ["", "?jwt=q&a=1#config.a=1&jwt=%22x.y.z%22", "#jwt=%22", "#jwt=1", "#jwt"]) {
    const page = open(ROOM + rest).run("anonymous.html");
    assert.equal(page.url.href, ROOM + rest);
    assert.equal(page.replaced, 0);
    assert.equal(page.timers.size, 0);
  }
});

test("a display token of an earlier session does not outlive it", () => {
  const head = btoa('{"typ":"JWT","alg":"none"}');
  const page = open(`${ROOM}#config.a=1&jwt=%22${head}.e30.x%22&config.b=2`).run("anonymous.html");
  assert.equal(page.url.href, `${ROOM}#config.a=1&config.b=2`);
});

test("the fragment from before signing in comes back", () => {
  for (const [file, rest] of [["signed_in.html", `&${JWT}`], ["anonymous.html", ""]]) {
    const page = open(ROOM, { saved: save("#config.a=%22%C3%A9%22") }).run(file);
    assert.equal(page.url.href, `${ROOM}#config.a=%22%C3%A9%22${rest}`);
    assert.equal(page.stored.size, 0);
  }
});

test("a fragment of another page, or beside an own one, is dropped", () => {
  const elsewhere = open(ROOM, { saved: save("#x=1", "/other") }).run("anonymous.html");
  const own = open(`${ROOM}#y=2`, { saved: save("#x=1") }).run("anonymous.html");
  assert.equal(elsewhere.url.href, ROOM);
  assert.equal(own.url.href, `${ROOM}#y=2`);
  assert.equal(elsewhere.stored.size + own.stored.size, 0);
});

test("nonsense in the storage is dropped", () => {
  const path = "/acme/Caf%C3%A9";
  for (const saved of ["", "{", "null", "1", "[]", "{}", JSON.stringify({ path, hash: 1 }),
    JSON.stringify({ path, hash: "javascript:1" }), JSON.stringify({ path })]) {
    const page = open(ROOM, { saved }).run("anonymous.html");
    assert.equal(page.url.href, ROOM);
    assert.equal(page.stored.size, 0);
  }
});

test("whoever has no e-mail address is logged in by name", () => {
  const action = (authLogin) => [{ type: "AUTH_STATUS_CHANGED", authEnabled: true, authLogin }];
  for (const [user, expected] of [
    [{ id: "42", name: "Zoë" }, action("Zoë")],
    [{ id: "42" }, action("42")],
    // Jitsi takes the address.
    [{ id: "42", name: "Zoë", email: "zoe@example.org" }, []],
    [{ id: "guest:x", name: "Gerda" }, []],
    [undefined, []],
  ]) {
    const page = open(ROOM).run("signed_in.html");
    page.appReads(TOKEN, user);
    page.tick();
    page.tick();
    assert.deepEqual(page.dispatched, expected);
    assert.equal(page.url.href, ROOM);
  }
});

test("recorders get no token and no settings", () => {
  for (const flag of ["config.iAmRecorder=true", "config.iAmSipGateway=true"]) {
    const page = open(`${ROOM}#a=1&${flag}&b=2`).run("signed_in.html");
    assert.equal(page.url.href, `${ROOM}#a=1&${flag}&b=2`);
    assert.deepEqual({ ...page.window.config }, {});
    assert.equal(page.timers.size, 0);
  }
  assert.match(open(`${ROOM}#config.iAmRecorder=false`).run("signed_in.html").url.hash, /jwt=/);
});

test("once the app has read the token it leaves the address", () => {
  const page = open(`${ROOM}?a=1#config.a=1`).run("signed_in.html");
  page.tick();
  page.appReads(undefined);
  page.tick();
  assert.match(page.url.hash, /jwt=/);
  page.appReads(TOKEN);
  page.tick();
  assert.equal(page.url.href, `${ROOM}?a=1#config.a=1`);
  assert.equal(page.timers.size, 0);
});

test("the address that the app has since gone to is respected", () => {
  const page = open(ROOM).run("signed_in.html");
  page.url = new URL(`https://meet.example.org/other#x=1&${JWT}`);
  page.appReads(TOKEN);
  page.tick();
  assert.equal(page.url.href, "https://meet.example.org/other#x=1");
});

test("the wait for the app ends", () => {
  const page = open(ROOM).run("signed_in.html");
  for (let ticks = 0; page.timers.size > 0; ticks += 1) {
    assert.ok(ticks < 1000);
    page.tick();
  }
  assert.equal(page.now, 30000);
});

test("settings are merged into an existing configuration only", () => {
  const config = { hosts: { domain: "d", anonymousdomain: "g" }, prejoinConfig: { x: 1, enabled: true } };
  const { window } = open(ROOM, { config }).run("signed_in.html");
  assert.deepEqual(JSON.parse(JSON.stringify(window.config)), {
    hosts: { domain: "d" },
    prejoinConfig: { x: 1, enabled: false },
    defaultLanguage: "</script>\u2028é",
    tokenAuthUrl: "https://meet.example.org/_gateway/login?state={state}",
    tokenLogoutUrl: "https://meet.example.org/_gateway/logout",
  });
  const bare = open(ROOM, { config: null }).run("signed_in.html");
  assert.equal("config" in bare.window, false);
  assert.match(bare.url.hash, /jwt=/);
});

test("a browser that refuses everything still gets the settings", () => {
  const page = open(ROOM, { broken: true }).run("signed_in.html");
  assert.equal(page.url.href, ROOM);
  assert.match(page.window.config.tokenAuthUrl, /^https:/);
});

test("a path that looks like a host stays a path", () => {
  const page = open("https://meet.example.org//evil.test/x").run("signed_in.html");
  assert.equal(page.url.href, `https://meet.example.org//evil.test/x#${JWT}`);
});

test("config.js gets the same settings without a page around it", () => {
  const worker = vm.createContext({});
  vm.runInContext(`var config = { prejoinConfig: 1 } // end${read("config.js")}`, worker);
  const config = JSON.parse(JSON.stringify(worker.config));
  assert.deepEqual(config.prejoinConfig, { enabled: false });
  assert.equal(config.tokenLogoutUrl, "https://meet.example.org/_gateway/logout");
  vm.runInContext(read("config.js"), vm.createContext({}));
});

// What Strophe does with its transports (jitsi/strophejs v1.5-jitsi-3: `src/websocket.js`, `_connect`; `src/bosh.js`,
// `Strophe.Request` and `_processRequest`), at the addresses of lib-jitsi-meet (v2193, `modules/xmpp/XmppConnection.ts`).
const transports = {
  websocket: (page, path = "/acme/xmpp-websocket?room=caf%C3%A9") => {
    const socket = new page.window.WebSocket(`wss://meet.example.org${path}`, "xmpp");
    socket.onclose = () => {};
    assert.equal(socket.protocol, "xmpp");
    return ({ reason, code = 1008 }) => socket.end({ code, reason });
  },
  bosh: (page, path = "/http-bind?room=caf%C3%A9") => {
    const xhr = new page.window.XMLHttpRequest();
    xhr.onreadystatechange = () => {};
    xhr.open("POST", `https://meet.example.org${path}`, true);
    assert.deepEqual([xhr.method, xhr.rest], ["POST", [true]]);
    return ({ reason }) => xhr.answer(reason ? { "x-gateway-ended": reason } : {});
  },
};
const SIGNED_OUT = "/_gateway/signed-out?return_to=%2Facme%2FCaf%25C3%25A9";

for (const [name, connect] of Object.entries(transports)) {
  test(`who is signed out elsewhere is told at once, over ${name}`, () => {
    for (const file of ["signed_in.html", "anonymous.html", "guest.html"]) {
      const page = open(`${ROOM}?x#config.a=1`).run(file);
      const end = connect(page);
      assert.deepEqual(page.left, []);
      end({ reason: "signed-out" });
      assert.deepEqual(page.left, [SIGNED_OUT]);
    }
  });

  test(`other ends are left to Jitsi, over ${name}`, () => {
    const page = open(ROOM).run("signed_in.html");
    connect(page)({ reason: "" });
    connect(page)({ reason: "", code: 1006 });
    connect(page, "/other?xmpp-websocket/http-bind")({ reason: "signed-out" });
    const framed = open(ROOM, { framed: true }).run("signed_in.html");
    connect(framed)({ reason: "signed-out" });
    assert.deepEqual([page.left, framed.left], [[], []]);
  });

  test(`a page that logs out in a frame waits for it, over ${name}`, () => {
    const page = open(ROOM, { frames: ["https://meet.example.org/_gateway/logout?id_token_hint=x"] }).run("signed_in.html");
    connect(page)({ reason: "signed-out" });
    assert.deepEqual(page.left, []);
    const other = open(ROOM, { frames: ["https://meet.example.org/etherpad/p/x"] }).run("signed_in.html");
    connect(other)({ reason: "signed-out" });
    assert.deepEqual(other.left, [SIGNED_OUT]);
  });

  test(`a page that its person leaves is not led elsewhere, over ${name}`, () => {
    const page = open(ROOM).run("signed_in.html");
    const [first, second] = [connect(page), connect(page)];
    for (const unload of page.unloads) unload();
    first({ reason: "signed-out" });
    assert.deepEqual(page.left, []);
    // They stayed.
    for (const run of page.later) run();
    second({ reason: "signed-out" });
    assert.deepEqual(page.left, [SIGNED_OUT]);
  });
}
