// An operator's check after an installation: mints test tokens on the command line, opens the
// printed links in three browsers, sees whether they meet, and otherwise runs the doctor.

import assert from "node:assert/strict";
import { symlink, unlink } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { modulesWithout } from "../doctor/deployment.js";
import { waitForState, waitForOthers } from "../lib/browser.js";
import { binary, registerSecret } from "../lib/gateway.js";
import { sendRequest, navigation } from "../lib/http.js";
import { run } from "../lib/process.js";
import { modules } from "../lib/prosody.js";
import { startSite } from "../lib/site.js";
import { appSecret, claims, read, sign } from "../lib/tokens.js";
import { JoinRefused, LoginRefused, enter, login } from "../lib/xmpp-lite.js";

const room = "Release Party";
const node = "release%20party";
const path = "/release%20party";

/** Runs a command of the program with the configuration of the running gateway. */
async function command(site, words, env = {}) {
  const program = await run(binary, [...words, "--config", site.gateway.settingsFile], { env });
  const { code } = await program.exited;
  return { code, output: program.output() };
}

/** Parses the output of `token mint`: name, role, link and token of each user. */
function persons(text) {
  const found = text.matchAll(/^(.+) \((moderator|participant)\)\n  link   (\S+)\n  token  (\S+)$/gm);
  return [...found].map(([, name, role, link, token]) => ({ name, role, link, token }));
}

const variants = {
  websocket: {},
  bosh: { web: { overrides: { websocket: undefined } } },
};

for (const [transport, settings] of Object.entries(variants)) {
  describe(`three test persons over ${transport}`, () => {
    const answers = [];
    const visitors = [];
    let site;
    let minted;

    before(async () => {
      site = await startSite({ label: `story-${transport}`, ...settings });
      const { code, output } = await command(site, [
        "token", "mint", "--room", room, "--count", "3", "--moderator", "first", "--ttl", "10m",
      ]);
      assert.equal(code, 0, output);
      minted = persons(output);
      for (const { link, token } of minted) {
        await registerSecret(`story-${transport}`, token);
        await registerSecret(`story-${transport}`, new URL(link).searchParams.get("jwt"));
      }
      for (const { link } of minted) {
        const visitor = await site.browser.visitor();
        visitor.page.on("response", (answer) => answers.push({ url: answer.url(), status: answer.status() }));
        visitor.page.on("requestfailed", (request) => answers.push({ url: request.url(), status: 0, why: request.failure()?.errorText }));
        visitors.push(visitor);
        await visitor.page.goto(link, { waitUntil: "commit" });
      }
    });
    after(async () => {
      for (const { context } of visitors) await context.close();
      await site?.stop();
    });

    test("one command prints a name, a role, a link and a token for each", () => {
      assert.deepEqual(minted.map(({ name, role }) => [name, role]), [
        ["Test 1", "moderator"], ["Test 2", "participant"], ["Test 3", "participant"],
      ]);
      for (const { link } of minted) assert.ok(link.startsWith(`${site.url}${path}?jwt=`), link);
    });

    test("users of the links meet under the printed names", async () => {
      const names = minted.map(({ name }) => name);
      for (const [index, { page }] of visitors.entries()) {
        const meeting = await waitForState(page, "joined");
        assert.equal(meeting.transport, transport);
        assert.equal(meeting.me.name, names[index]);
        await waitForOthers(page, names.filter((name) => name !== names[index]));
      }
    });

    test("only the first is owner", () => {
      const affiliations = site.focus.occupants(`${node}@muc.meet.jitsi`).map(({ name, affiliation }) => [name, affiliation]);
      assert.deepEqual(Object.fromEntries(affiliations), { "Test 1": "owner", "Test 2": "member", "Test 3": "member" });
    });

    test("no request of a browser was answered with 404, and none to Prosody failed", () => {
      assert.deepEqual(answers.filter(({ status }) => status === 404), []);
      const signalling = answers.filter(({ url }) => /\/(http-bind|xmpp-websocket)/.test(url));
      assert.deepEqual(signalling.filter(({ status }) => ![101, 200].includes(status)), []);
      if (transport === "bosh") assert.ok(signalling.length >= 3 * 5, `${signalling.length} requests to /http-bind`);
    });

    test("Prosody and the browsers saw the same occupants", async () => {
      const { sessions } = await site.prosody.recorded();
      const rooms = sessions.filter(({ kind, token }) => kind === transport && token).map(({ token }) => read(token).room);
      assert.deepEqual(rooms, [node, node, node]);
    });

    test("the printed tokens log in at Prosody, and open no other room", async () => {
      for (const { token } of minted) {
        const headers = { authorization: `Bearer ${token}` };
        const target = { transport, base: site.prosody.url, headers };
        await login(target);
        await assert.rejects(
          enter({ ...target, room: "another-room" }),
          (error) => error instanceof JoinRefused && error.marker === "room-mismatch",
        );
      }
    });

    test("the printed links open no other room", async () => {
      for (const { link } of minted) {
        const other = link.slice(site.url.length).replace(path, "/another-room");
        const answer = await sendRequest({ url: site.url, tls: site.tls }, other, { headers: navigation });
        assert.notEqual(answer.status, 200, "neither the meeting's page");
        assert.doesNotMatch(String(answer.headers["set-cookie"] ?? ""), /pass/, "nor a pass for it");
      }
    });

    test("a forged token is refused", async () => {
      const madeUp = await sign(claims(node), { key: `${appSecret}, or nearly` });
      const head = { authorization: `Bearer ${madeUp}` };
      await assert.rejects(login({ transport, base: site.prosody.url, headers: head }), LoginRefused);
      const base = { transport, base: site.url, tls: site.tls };
      for (const target of [
        { query: { room: node, token: madeUp } },
        { query: { room: node }, headers: { ...head, origin: site.url } },
      ]) {
        // A BOSH client ignores the HTTP status, so the refusal is a BOSH body.
        const refusal = transport === "bosh" ? "StreamEnded" : "HttpRefused";
        await assert.rejects(login({ ...base, ...target }), { name: refusal });
      }
      const visitor = await site.browser.visitor();
      await visitor.page.goto(`${site.url}${path}?jwt=${madeUp}`, { waitUntil: "load" });
      assert.equal(await visitor.page.evaluate(() => window.meeting), undefined, "no meeting begins");
      await visitor.context.close();
      assert.equal(site.focus.occupants(`${node}@muc.meet.jitsi`).length, 3);
    });

    test("the pages ran without errors", () => {
      assert.deepEqual(visitors.flatMap(({ problems }) => problems), []);
    });
  });
}

describe("a deployment without the token plugins", () => {
  let site;
  let mounted;
  const mount = (name) => symlink(join(modules, `mod_${name}.lua`), join(mounted.path, `mod_${name}.lua`));
  const doctor = () => command(site, ["doctor", "--deep"], {
    SSL_CERT_FILE: site.gateway.certificateFile, SSL_CERT_DIR: "/nonexistent",
  });

  before(async () => {
    mounted = await modulesWithout("auth_token");
    await unlink(join(mounted.path, "mod_token_verification.lua"));
    site = await startSite({ label: "story-doctor", prosody: async () => ({ secret: appSecret, edit: mounted.edit }) });
  });
  after(async () => {
    await site?.stop();
    await mounted?.stop();
  });

  test("the doctor first names the plugin for logins", async () => {
    const { code, output } = await doctor();
    assert.equal(code, 1, output);
    assert.match(output, /^error B4\.no-mechanism\n/);
    assert.match(output, /mount mod_auth_token\.lua/);
    assert.match(output, /one thing is wrong/);
  });

  test("then, as a danger, the plugin for rooms", async () => {
    await mount("auth_token");
    await site.prosody.restart();
    await site.reconnectFocus();
    const { code, output } = await doctor();
    assert.equal(code, 1, output);
    assert.match(output, /^danger J3\.open\n/);
    assert.match(output, /mount mod_token_verification\.lua/);
  });

  test("with both plugins it has no findings", async () => {
    await mount("token_verification");
    await site.prosody.restart();
    await site.reconnectFocus();
    const { code, output } = await doctor();
    assert.equal(code, 0, output);
    assert.match(output, /\nnothing is wrong\n$/);
  });
});
