// The test modules of Prosody answer as Jitsi's plugins do. Clients connect to Prosody
// directly, as the control for refusals in the tests of the gateway.

import assert from "node:assert/strict";
import { connect as dial } from "node:net";
import { after, before, describe, test } from "node:test";
import { startFocus } from "../lib/focus.js";
import { pluginFolder } from "../lib/jitsi-plugins.js";
import { startProsody } from "../lib/prosody.js";
import { appSecret, claims, now, rsaKey, sign, startKeyServer, unsigned } from "../lib/tokens.js";
import { authenticate, connect, enter, join, login, prepareBosh, sasl } from "../lib/xmpp-lite.js";

const bearer = (token) => ({ authorization: `Bearer ${token}` });
const good = (changes, options) => sign(claims("planning", changes), options);
const refused = (condition, text) => ({ name: "LoginRefused", condition, text });
const mismatch = {
  name: "JoinRefused",
  condition: "not-allowed",
  text: "Room does not match the room from token",
  marker: "room-mismatch",
};

for (const transport of ["websocket", "bosh"]) {
  describe(`Prosody with a shared secret, over ${transport}`, () => {
    let prosody;
    let focus;
    const to = (rest) => ({ transport, base: prosody.url, ...rest });

    before(async () => {
      prosody = await startProsody({ secret: appSecret });
      focus = await startFocus(prosody);
    });
    after(async () => {
      await focus?.stop();
      await prosody?.stop();
    });

    const query = async (token) => ({ query: { room: "planning", token: await token } });
    const header = async (token) => ({ query: { room: "planning" }, headers: bearer(await token) });

    const accepted = {
      "a good token in the query": () => query(good()),
      "a good token in the Authorization header": () => header(good()),
      "any seven characters before the token": async () => ({ headers: { authorization: `Gateway${await good()}` } }),
      "a token without exp": () => query(good({ exp: undefined })),
      "a query token that beats a bad header": async () => ({ ...(await query(good())), headers: bearer("x.y.z") }),
      "the last of two query tokens": async () => ({ query: `token=bad&token=${await good()}` }),
      "an encoded parameter name": async () => ({ query: `%74oken=${await good()}` }),
      "the claim `room` in capitals": () => query(sign(claims("PLANNING"))),
      "a float for exp": () => query(good({ exp: now() + 60.5 })),
      "a subject of elsewhere": () => query(good({ sub: "elsewhere" })),
    };
    for (const [name, target] of Object.entries(accepted)) {
      test(`accepts ${name}`, async () => {
        assert.match(await login(to(await target())), /^[a-z0-9_-]+@meet\.jitsi\//);
      });
    }

    const denied = {
      "no token": [() => ({ query: { room: "planning" } }), "token required"],
      "an expired token": [() => query(good({ exp: now() - 61 })), /^Not acceptable by exp \(6[1-3]\.0 sec since expired\)$/],
      "an expired token with iat": [
        () => query(good({ iat: now() - 121, exp: now() - 61 })),
        /^Not acceptable by exp \(6[1-3]\.0 sec since expired, valid for:60\.0 sec\)$/,
      ],
      "a token that expires this second": [() => query(good({ exp: now() })), /^Not acceptable by exp/],
      "a token of the future": [() => query(good({ nbf: now() + 60 })), "Not acceptable by nbf"],
      "exp as text": [() => query(good({ exp: "tomorrow" })), "exp must be number"],
      "nbf as text": [() => query(good({ nbf: "yesterday" })), "nbf must be number"],
      "a wrong key": [() => query(good({}, { key: "x".repeat(64) })), "Invalid signature"],
      "another algorithm": [() => query(good({}, { header: { alg: "HS512" } })), "Invalid or incorrect alg"],
      "no algorithm": [() => query(unsigned(claims("planning"))), "Invalid token"],
      "no type in the header": [() => query(good({}, { header: { typ: undefined } })), "Invalid typ"],
      "the type in small letters": [() => query(good({}, { header: { typ: "jwt" } })), "Invalid typ"],
      "another issuer": [() => query(good({ iss: "mallory" })), "invalid 'iss' claim"],
      "no issuer": [() => query(good({ iss: undefined })), "'iss' claim is missing"],
      "another audience": [() => query(good({ aud: "elsewhere" })), "invalid 'aud' claim"],
      "no audience": [() => query(good({ aud: undefined })), "'aud' claim is missing"],
      "a list of audiences": [() => query(good({ aud: ["jitsi"] })), "invalid 'aud' claim"],
      "no room": [() => query(good({ room: undefined })), "room claim is missing", "not-authorized"],
      "no subject": [() => query(good({ sub: undefined })), "sub claim is missing", "not-authorized"],
      "not a token at all": [() => query("abc"), "Invalid token"],
      "a Basic header": [() => ({ headers: { authorization: "Basic dXNlcjpwYXNz" } }), "Invalid token"],
      "a bad query token beside a good header": [
        async () => ({ query: { token: await good({}, { key: "x".repeat(64) }) }, headers: bearer(await good()) }),
        "Invalid signature",
      ],
      "an empty query token beside a good header": [
        async () => ({ query: "token=", headers: bearer(await good()) }), "Invalid token",
      ],
      "an encoded parameter name beside a good header": [
        async () => ({ query: "%74oken=bad", headers: bearer(await good()) }), "Invalid token",
      ],
      "a good token before a bad one": [async () => ({ query: `token=${await good()}&token=bad` }), "Invalid token"],
    };
    for (const [name, [target, text, condition = "not-allowed"]] of Object.entries(denied)) {
      test(`refuses ${name}`, async () => {
        await assert.rejects(login(to(await target())), refused(condition, text));
      });
    }

    test("joins the room of the token as a member", async () => {
      const visit = await enter(to({ ...(await header(good())), room: "planning", nick: `member_${transport}` }));
      assert.equal(visit.affiliation, "member");
      await visit.stream.close();
    });

    test("makes a moderator of the token an owner", async () => {
      const token = good({ context: { user: { id: "h", affiliation: "owner" } } });
      const visit = await enter(to({ ...(await header(token)), room: "planning", nick: `host_${transport}` }));
      assert.equal(visit.affiliation, "owner");
      assert.equal(visit.role, "moderator");
      await visit.stream.close();
    });

    test("refuses another room than the token's", async () => {
      const target = { query: { room: "secret" }, headers: bearer(await good()) };
      await assert.rejects(enter(to({ ...target, room: "secret" })), mismatch);
    });

    test("refuses a room that the focus has not opened", async () => {
      const stream = await connect(to(await header(sign(claims("unopened")))));
      await authenticate(stream);
      await assert.rejects(join(stream, "unopened@muc.meet.jitsi", "early"), {
        name: "JoinRefused",
        text: "Room does not exist",
        marker: "room-does-not-exist",
      });
      await stream.close();
    });

    test("compares the claim with the encoded room name", async () => {
      for (const room of ["caf%c3%a9", "CAF%C3%A9"]) {
        const visit = await enter(to({ ...(await header(sign(claims(room)))), room: "caf%c3%a9", nick: "name" }));
        await visit.stream.close();
      }
      await assert.rejects(
        enter(to({ ...(await header(sign(claims("café")))), room: "caf%c3%a9", nick: "name" })),
        mismatch,
      );
    });

    test("maps a tenant's room to its internal name", async () => {
      const visit = await enter(to({
        ...(await header(good())), room: "planning", muc: "muc.acme.meet.jitsi", nick: `tenant_${transport}`,
      }));
      assert.match(visit.presence.attrs.from, /^planning@muc\.acme\.meet\.jitsi\//);
      assert.ok(focus.rooms().includes("[acme]planning@muc.meet.jitsi"));
      assert.ok(focus.seen().includes("planning@muc.acme.meet.jitsi"), "the focus sees the room as its clients do");
      assert.ok(!focus.seen().some((room) => room.startsWith("[")));
      await visit.stream.close();
    });

    test("takes letters, digits and underscores as a nick, and no other", async () => {
      const invalid = { name: "JoinRefused", condition: "not-allowed", text: "Invalid resource", marker: undefined };
      for (const nick of ["a-b", "_a", "a.b", "\u00e9"]) {
        await assert.rejects(enter(to({ ...(await header(good())), room: "planning", nick })), invalid, nick);
      }
      const visit = await enter(to({ ...(await header(good())), room: "planning", nick: "A_1" }));
      await visit.stream.close();
    });

    test("reports received requests to the probe", async () => {
      await prosody.reset();
      const token = await good();
      await login(to({
        query: "room=planning&prefix=acme&previd=p&customusername=c",
        headers: { ...bearer(token), "x-proxy-region": "moon" },
      }));
      const { sessions } = await prosody.recorded();
      assert.equal(sessions.length, 1);
      const { kind, token: read, room, prefix, previd, customusername, region, ip } = sessions[0];
      assert.deepEqual(
        { kind, read, room, prefix, previd, customusername, region, ip },
        {
          kind: transport, read: token, room: "planning", prefix: "acme", previd: "p", customusername: "c",
          region: "moon", ip: "127.0.0.1",
        },
      );
    });
  });
}

describe("Prosody over BOSH", () => {
  let prosody;
  before(async () => {
    prosody = await startProsody({ secret: appSecret });
  });
  after(() => prosody?.stop());

  test("reads the token with the session's first request only", async () => {
    const headers = {};
    const stream = prepareBosh({ url: `${prosody.url}/http-bind`, domain: "meet.jitsi", headers });
    await stream.open();
    Object.assign(headers, bearer(await good()));
    await assert.rejects(sasl(stream), refused("not-allowed", "token required"));
    await stream.close();

    const others = bearer(await good());
    const second = prepareBosh({ url: `${prosody.url}/http-bind`, domain: "meet.jitsi", headers: others });
    await second.open();
    others.authorization = "Bearer bad";
    await sasl(second);
    await second.close();
  });

  test("counts each parsed request, whatever its path", async () => {
    await prosody.reset();
    const socket = dial(prosody.httpPort, "127.0.0.1");
    const line = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
    socket.end(`POST /http-bind HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${line}`);
    await new Promise((resolve) => socket.resume().once("close", resolve));
    const { requests, streams } = await prosody.recorded();
    assert.deepEqual(requests.map(({ method, path }) => `${method} ${path}`), ["POST /http-bind", "GET /nowhere"]);
    assert.equal(streams.length, 1);
    assert.ok(streams[0].bytes.endsWith(line));
  });
});

describe("Prosody with a key server", () => {
  const [known, unknown] = [rsaKey(), rsaKey()];
  let keys;
  let prosody;
  const rs256 = (kid, { privateKey }, alg = "RS256") => sign(claims("planning"), {
    key: privateKey,
    header: { alg, kid },
  });
  const tryOut = async (token) => login({ transport: "websocket", base: prosody.url, headers: bearer(await token) });

  before(async () => {
    keys = await startKeyServer({ "main/2026": known.publicPem });
    prosody = await startProsody({ asapKeyServer: keys.url });
  });
  after(async () => {
    await prosody?.stop();
    await keys?.stop();
  });

  test("accepts a token of a published key, and fetches the key once", async () => {
    await tryOut(rs256("main/2026", known));
    await tryOut(rs256("main/2026", known));
    assert.equal(keys.requestedPaths.length, 1);
  });

  const denied = {
    "an unpublished key": [() => rs256("other", unknown), "could not obtain public key"],
    "another key under a published name": [() => rs256("main/2026", unknown), "Invalid signature"],
    "another algorithm": [() => rs256("main/2026", known, "RS512"), "Invalid or incorrect alg"],
    "no kid": [() => rs256(undefined, known), "'kid' claim is missing"],
    "the public key as a shared secret": [
      () => sign(claims("planning"), { key: known.publicPem, header: { kid: "main/2026" } }),
      "'kid' claim only support with RS family",
    ],
    "no algorithm": [() => unsigned(claims("planning")), "'kid' claim is missing"],
  };
  for (const [name, [token, text]] of Object.entries(denied)) {
    test(`refuses ${name}`, async () => {
      await assert.rejects(tryOut(token()), refused("not-allowed", text));
    });
  }
});

for (const [algorithm, key] of [["HS384"], ["HS512"], ["RS384", rsaKey()], ["RS512", rsaKey()]]) {
  test(`Prosody verifies ${algorithm}`, async () => {
    const keys = key && (await startKeyServer({ k: key.publicPem }));
    const prosody = await startProsody({ algorithm, secret: key ? undefined : appSecret, asapKeyServer: keys?.url });
    try {
      const token = await sign(claims("planning"), {
        key: key?.privateKey ?? appSecret,
        header: { alg: algorithm, kid: key && "k" },
      });
      await login({ transport: "websocket", base: prosody.url, headers: bearer(token) });
      const forged = token.slice(0, -8) + "AAAAAAAA";
      await assert.rejects(
        login({ transport: "websocket", base: prosody.url, headers: bearer(forged) }),
        refused("not-allowed", "Invalid signature"),
      );
    } finally {
      await prosody.stop();
      await keys?.stop();
    }
  });
}

describe("Prosody with domain verification", () => {
  let prosody;
  let focus;
  before(async () => {
    prosody = await startProsody({ secret: appSecret, verifyDomain: true });
    focus = await startFocus(prosody);
  });
  after(async () => {
    await focus?.stop();
    await prosody?.stop();
  });

  const visit = async (token, rest = {}) => {
    const target = { transport: "websocket", base: prosody.url, headers: bearer(await token), room: "planning", ...rest };
    const { stream } = await enter(target);
    await stream.close();
  };

  test("accepts the domain as subject, and the tenant for a tenant's room", async () => {
    await visit(good());
    await visit(good({ sub: "acme" }), { muc: "muc.acme.meet.jitsi" });
  });

  test("refuses another subject", async () => {
    const refusal = { name: "JoinRefused", condition: "not-allowed", text: "Room and token mismatched", marker: undefined };
    await assert.rejects(visit(good({ sub: "elsewhere" })), refusal);
    await assert.rejects(visit(good(), { muc: "muc.acme.meet.jitsi" }), refusal);
  });
});

// All tests of this file, and of the gateway, then run with them.
const without = !pluginFolder && "JITSI_PLUGINS names no folder of Jitsi's plugins; the stand-ins were tested";
test("Jitsi's own plugins take the place of their stand-ins", { skip: without }, async () => {
  const prosody = await startProsody({ secret: appSecret, guests: true, logLevel: "debug" });
  try {
    const log = prosody.log();
    for (const loaded of [
      "client_proxy .*loaded proxy on focus", "muc_domain_mapper .*First load", "muc_resource_validate .*module loaded",
      "token_verification .*starting MUC token verifier", "user provider 'jitsi-anonymous'",
    ]) assert.match(log, new RegExp(loaded));
    assert.doesNotMatch(log, /modulemanager\s+error|Error initializing|Unable to load/);
  } finally {
    await prosody.stop();
  }
});
