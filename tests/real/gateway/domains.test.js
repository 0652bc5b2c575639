// The XMPP domain and the SASL mechanism of a stream are those of the person's admission. Prosody has a guests'
// domain (SASL ANONYMOUS without a token) and a hidden one (passwords), as docker-jitsi-meet's has with
// ENABLE_GUESTS=1 and recording (`prosody/rootfs/defaults/conf.d/jitsi-meet.cfg.lua`, VirtualHost "{{ $XMPP_GUEST_DOMAIN }}" and
// "{{ $XMPP_HIDDEN_DOMAIN }}"), with and without domain verification. There a session without a token may join
// any room that exists (`mod_token_verification.lua`); so no pass of the gateway may lead there.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { binary, registerSecret } from "../lib/gateway.js";
import { sendRequest, createHttpClient } from "../lib/http.js";
import { run } from "../lib/process.js";
import { names } from "../lib/prosody.js";
import { startSite } from "../lib/site.js";
import { appSecret } from "../lib/tokens.js";
import { connect, enter, sasl } from "../lib/xmpp-lite.js";

const apiKey = randomBytes(24).toString("hex");
const board = "board";

for (const verifyDomain of [false, true]) {
  describe(`domain verification is ${verifyDomain ? "on" : "off"}`, () => {
    let site;
    let member;
    const label = `domains-${verifyDomain}`;
    const visitors = {
      "a member": async () => member,
      "a guest": async () => {
        const person = createHttpClient(site.url);
        const answer = await person.submit(site.gateway, "/_gateway/join", { room: "open-x", name: "Mallory" });
        assert.equal(answer.status, 303);
        return person.headers();
      },
      "the holder of a link": async () => {
        const answer = await sendRequest(site.gateway, "/_gateway/api/v1/links", {
          method: "POST",
          headers: {
            authorization: `Bearer ${apiKey}`, host: new URL(site.url).host, "content-type": "application/json",
          },
          body: JSON.stringify({ room: "open-x", role: "guest" }),
        });
        assert.equal(answer.status, 201, answer.text);
        const invite = new URL(JSON.parse(answer.text).url).searchParams.get("invite");
        await registerSecret(label, invite);
        const person = createHttpClient(site.url);
        assert.equal((await person.submit(site.gateway, "/_gateway/join", { room: "open-x", invite, name: "Mia" })).status, 303);
        return person.headers();
      },
      "an app without anything": async () => ({ origin: site.url, host: new URL(site.url).host }),
    };

    before(async () => {
      await registerSecret(label, apiKey);
      await registerSecret(label, names.recorderPassword);
      site = await startSite({
        label,
        prosody: async () => ({ secret: appSecret, guests: true, recorders: true, verifyDomain }),
        settings: async (plan) => ({
          room: [
            { match: "open-*", enter: ["guest", "link"], start: "anyone" },
            { match: "*", enter: ["group:staff"] },
          ],
          integration: [{
            id: "desk", rooms: ["open-*"],
            api_key: [{ id: "main", key_file: await plan.file("api.secret", apiKey) }],
          }],
        }),
      });
      const chair = await site.headersOf("host");
      member = await site.headersOf("second");
      const room = { base: site.url, tls: site.tls, headers: chair, query: { room: board }, room: board };
      await enter({ ...room, transport: "websocket", nick: "chair" });
    }, { timeout: 60_000 });
    after(() => site?.stop());

    for (const [who, headersOf] of Object.entries(visitors)) {
      for (const transport of ["websocket", "bosh"]) {
        describe(`${who}, over ${transport}`, () => {
          const target = async (more = {}) => ({
            transport, base: site.url, tls: site.tls, headers: await headersOf(), query: { room: "open-x" }, ...more,
          });

          test("meets in the room of the admission", async () => {
            const visit = await enter({ ...(await target()), room: "open-x", nick: randomBytes(4).toString("hex") });
            assert.equal(visit.jid.split("/")[0].split("@")[1], names.domain);
            await visit.stream.close();
          });

          for (const domain of [names.guest, names.hidden, names.auth, names.muc, "meet.jitsi.example"]) {
            test(`has no stream to ${domain}`, async () => {
              await site.prosody.reset();
              const stream = await connect(await target({ domain }));
              await assert.rejects(stream.open(), { name: "StreamEnded" });
              await stream.close();
              const sent = JSON.stringify(await site.prosody.recorded());
              assert.doesNotMatch(sent, new RegExp(`to=\\\\?["']${domain.replaceAll(".", "\\.")}\\\\?["']`), "Prosody was not asked");
            });
          }

          test("tries no password", async () => {
            const stream = await connect(await target());
            await stream.open();
            const credentials = { user: "recorder", password: "guess" };
            await assert.rejects(sasl(stream, credentials), { name: "StreamEnded" });
            await stream.close();
          });

          test("authenticates at no other domain by an attribute of SASL", async () => {
            const stream = await connect(await target());
            await stream.open();
            stream.send(`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="ANONYMOUS" to="${names.guest}"/>`);
            await assert.rejects(stream.inbox.take(({ name }) => name === "success"), { name: "StreamEnded" });
            await stream.close();
          });

          test("changes no domain when the stream is opened again", async () => {
            const stream = await connect(await target());
            await stream.open();
            await sasl(stream);
            stream.send(transport === "websocket"
              ? `<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="${names.guest}" version="1.0"/>`
              : "");
            if (transport === "bosh") {
              const restart = `xmpp:restart="true" xmlns:xmpp="urn:xmpp:xbosh" to="${names.guest}"`;
              const answer = await stream.exchange(restart);
              assert.equal(answer.attrs.type, "terminate");
            } else {
              await assert.rejects(stream.inbox.take(() => true), { name: "StreamEnded" });
            }
            await stream.close();
          });
        });
      }
    }
  });
}

describe("rules that differ by tenant", () => {
  let site;
  const settings = {
    token: { domain_verification: true },
    room: [{ match: "*", tenant: "acme", enter: ["group:staff"] }, { match: "*", enter: "member" }],
  };
  before(async () => {
    site = await startSite({
      label: "domains-tenants", prosody: async () => ({ secret: appSecret, verifyDomain: true }), settings: () => settings,
    });
  }, { timeout: 60_000 });
  after(() => site?.stop());

  for (const transport of ["websocket", "bosh"]) {
    test(`a token for a room opens no room of that name in another tenant, over ${transport}`, async () => {
      const [chair, member] = [await site.headersOf("host"), await site.headersOf("second")];
      const target = { transport, base: site.url, tls: site.tls, room: "planning", query: { room: "planning" } };
      const acme = { ...target, tenant: "acme", muc: "muc.acme.meet.jitsi" };
      const host = await enter({ ...acme, headers: chair, nick: "chair" });
      await assert.rejects(enter({ ...acme, headers: member, nick: "mallory" }));
      // Admitted to the room without a tenant, the client joins the one of the tenant.
      await assert.rejects(enter({ ...target, muc: acme.muc, headers: member, nick: "mallory" }), { name: "JoinRefused" });
      const visit = await enter({ ...target, headers: member, nick: "mallory" });
      await visit.stream.close();
      await host.stream.close();
    });
  }

  test("are refused where Prosody does not tell tenants apart", async () => {
    const env = { GATEWAY__TOKEN__DOMAIN_VERIFICATION: "false" };
    const program = await run(binary, ["check", "--config", site.gateway.settingsFile], { env });
    const { code } = await program.exited;
    assert.notEqual(code, 0);
    const output = program.output();
    assert.match(output, /room\[1\]\.tenant: Prosody does not tell tenants apart/);
  });
});
