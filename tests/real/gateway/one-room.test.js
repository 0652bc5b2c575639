// Each person enters the room of their admission and no other: with domain verification on and off, and with a
// domain for guests that Prosody does not have, that it has and the gateway does not use, and that guests use. Prosody's
// settings and the gateway's of the set-ups with domain verification are those of docs/xmpp-domains.md.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { registerSecret } from "../lib/gateway.js";
import { createHttpClient, sendRequest } from "../lib/http.js";
import { names } from "../lib/prosody.js";
import { startSite } from "../lib/site.js";
import { appSecret, now, sign } from "../lib/tokens.js";
import { settingsOfVariables } from "../lib/written-settings.js";
import { authenticate, connect, enter, login } from "../lib/xmpp-lite.js";

const studio = "127.0.0.2";
const apiKey = randomBytes(24).toString("hex");
const schoolSecret = randomBytes(32).toString("hex");
const own = "open-x";
/** A closed room, another room for everybody, and the room of that name of a tenant. Each has somebody inside. */
const others = [
  { room: "board" },
  { room: "open-y" },
  { room: own, tenant: "acme" },
];

const page = await readFile(new URL("../../../docs/xmpp-domains.md", import.meta.url), "utf8");
const variables = [...page.matchAll(/^```env\n([\s\S]*?)^```$/gm)].map(([, text]) => settingsOfVariables(text));
const tables = [...page.matchAll(/^```toml\n([\s\S]*?)^```$/gm)].map(([, text]) => text);
const documented = (key) => tables.some((text) => text.includes(key));

const setUps = {
  "the recommended set-up": { prosody: variables[0], verified: true },
  "a guests' domain that the gateway does not use": { prosody: { ...variables[0], guests: true }, verified: true },
  "a guests' domain that guests use": { prosody: variables[1], verified: true, guestDomain: names.guest },
  "without domain verification": { prosody: { recorders: true } },
  "without domain verification, a guests' domain that the gateway does not use": {
    prosody: { recorders: true, guests: true },
  },
  "without domain verification, a guests' domain that guests use": {
    prosody: { recorders: true, guests: true }, guestDomain: names.guest,
  },
};

test("the set-ups are the documented ones", () => {
  assert.deepEqual(variables, [
    {
      guests: false, recorders: true, verifyDomain: true,
      mucLines: [`token_verification_allowlist = { "${names.hidden}" }`],
    },
    {
      guests: true, recorders: true, verifyDomain: true,
      mucLines: [`token_verification_allowlist = { "${names.hidden}"; "${names.guest}" }`],
    },
  ]);
  const [, lua] = page.match(/^```lua\n([\s\S]*?)^```$/m);
  const words = (text) => text.trim().split(/\s+/).join(" ");
  assert.equal(words(lua), words(`VirtualHost "${names.domain}" enable_domain_verification = ${variables[0].verifyDomain}
    Component "${names.muc}" "muc" ${variables[0].mucLines[0]}`));
  for (const line of [`recorder_domains = ["${names.hidden}"]`, "domain_verification = true", `xmpp_domain = "${names.guest}"`]) {
    assert.ok(documented(line), line);
  }
});

const address = ({ room, tenant }) => `${room}@${tenant ? `muc.${tenant}.${names.domain}` : names.muc}`;
/**
 * Whether a room answers a client that enters it by an address. Prosody's answer may come from the room's
 * other address.
 */
async function isAnswered(stream, room, nick) {
  stream.send(`<presence xmlns="jabber:client" to="${room}/${nick}"><x xmlns="http://jabber.org/protocol/muc"/></presence>`);
  try {
    return (await stream.inbox.take(({ name }) => name === "presence")).attrs.type !== "error";
  } catch (error) {
    assert.equal(error.name, "StreamEnded", error.message);
    return false;
  }
}

const inner = ({ room, tenant }) => `${tenant ? `[${tenant}]` : ""}${room}@${names.muc}`;

Object.entries(setUps).forEach(([name, { prosody, verified = false, guestDomain }], index) => {
  describe(name, () => {
    const label = `one-room-${index}`;
    const opened = [];
    let site;
    let member;

    const invited = async () => {
      const answer = await sendRequest(site.gateway, "/_gateway/api/v1/links", {
        method: "POST",
        headers: { authorization: `Bearer ${apiKey}`, host: new URL(site.url).host, "content-type": "application/json" },
        body: JSON.stringify({ room: own, role: "guest" }),
      });
      assert.equal(answer.status, 201, answer.text);
      const invite = new URL(JSON.parse(answer.text).url).searchParams.get("invite");
      await registerSecret(label, invite);
      return submit({ room: own, invite, name: "Mia" });
    };
    const submit = async (fields) => {
      const person = createHttpClient(site.url);
      assert.equal((await person.submit(site.gateway, "/_gateway/join", fields)).status, 303);
      return { headers: person.headers() };
    };
    const people = {
      "a member": { target: async () => ({ headers: member }), domain: names.domain },
      "a guest": { target: () => submit({ room: own, name: "Gerda" }), domain: guestDomain ?? names.domain },
      "the holder of a link": { target: invited, domain: guestDomain ?? names.domain },
      "a person of an integration": {
        async target() {
          const user = { id: "7", name: "Ida" };
          const token = await sign(
            { iss: "school-app", aud: "school-app", sub: "localhost", room: own, iat: now(), exp: now() + 600, context: { user } },
            { key: schoolSecret },
          );
          await registerSecret(label, token);
          return { headers: { origin: site.url, host: new URL(site.url).host }, token };
        },
        domain: names.domain,
      },
      "a recorder": {
        target: async () => ({
          tls: { ...site.tls, localAddress: studio, family: 4 },
          credentials: { user: names.recorderUser.split("@")[0], password: names.recorderPassword },
        }),
        domain: names.hidden,
        everyRoom: true,
      },
    };

    before(async () => {
      for (const secret of [apiKey, names.recorderPassword, schoolSecret]) await registerSecret(label, secret);
      site = await startSite({
        label,
        prosody: async () => ({ secret: appSecret, ...prosody }),
        settings: async (plan) => ({
          listen: { recorders: [`${studio}/32`] },
          token: { domain_verification: verified },
          guests: { xmpp_domain: guestDomain },
          room: [
            { match: "open-*", enter: ["guest", "link", "integration"], start: "anyone" },
            { match: "*", enter: ["group:staff"] },
          ],
          integration: [{
            id: "school", app_id: "school-app", secret_file: await plan.file("school.secret", schoolSecret),
            rooms: ["open-*"], api_key: [{ id: "main", key_file: await plan.file("api.secret", apiKey) }],
          }],
        }),
      });
      const chair = await site.headersOf("host");
      member = await site.headersOf("second");
      for (const { room, tenant } of others) {
        opened.push(await enter({
          transport: "websocket", base: site.url, tls: site.tls, headers: chair, tenant, room, query: { room },
          muc: address({ room, tenant }).split("@")[1], nick: "chair",
        }));
      }
    }, { timeout: 60_000 });
    after(async () => {
      for (const { stream } of opened) await stream.close();
      await site?.stop();
    });

    for (const [who, { target, domain, everyRoom = false }] of Object.entries(people)) {
      for (const transport of ["websocket", "bosh"]) {
        describe(`${who}, over ${transport}`, () => {
          const nick = `n${randomBytes(4).toString("hex")}`;
          const connection = async (more = {}) => {
            const { token, ...person } = await target();
            return {
              transport, base: site.url, tls: site.tls, domain, ...person, ...more,
              query: { room: own, ...(token && { token }), ...more.query },
            };
          };

          test("enters the room of the admission", async () => {
            const visit = await enter({ ...(await connection()), room: own, nick });
            assert.equal(visit.jid.split("/")[0].split("@")[1], domain);
            assert.notEqual(visit.affiliation, "owner");
            await visit.stream.close();
          });

          // Recorders' passwords are for every room (docs/xmpp-domains.md), but for one domain.
          if (everyRoom) {
            for (const other of [names.domain, names.auth, names.guest]) {
              test(`has no stream to ${other}`, async () => {
                await site.prosody.reset();
                const stream = await connect({ ...(await connection()), domain: other });
                await assert.rejects(stream.open(), { name: "StreamEnded" });
                await stream.close();
                const to = new RegExp(`to=\\\\?["']${other.replaceAll(".", "\\.")}`);
                assert.doesNotMatch(JSON.stringify(await site.prosody.recorded()), to, "Prosody was not asked");
              });
            }
            return;
          }
          for (const other of others) {
            test(`enters not ${inner(other)}`, async () => {
              // Without tokens' tenants, a token for a room opens the room of that name in every tenant; `check`
              // refuses rules with tenants then.
              const apart = verified || domain !== names.domain || !other.tenant;
              const { credentials, ...rest } = await connection();
              for (const spelling of new Set([address(other), inner(other)])) {
                const stream = await connect(rest);
                await authenticate(stream, credentials);
                assert.equal(await isAnswered(stream, spelling, nick), !apart, spelling);
                await stream.close();
              }
              if (!apart) return;
              const inside = site.focus.occupants(inner(other)).map((occupant) => occupant.nick);
              assert.deepEqual(inside, ["chair"]);
            });
          }

          test("has no connection for a closed room", async () => {
            const refused = ({ name: kind }) => ["HttpRefused", "StreamEnded"].includes(kind);
            await assert.rejects(login(await connection({ query: { room: "board" } })), refused);
          });
        });
      }
    }
  });
});
