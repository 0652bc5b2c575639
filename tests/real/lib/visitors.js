import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { registerSecret } from "./gateway.js";
import { createHttpClient, sendRequest } from "./http.js";
import { until } from "./process.js";
import { names } from "./prosody.js";
import { signInByForms } from "./sign-in.js";
import { startSite } from "./site.js";
import { appSecret, now, sign } from "./tokens.js";

/** Where recorders connect from. */
const studio = "127.0.0.2";

/** Rooms by their prefix, for each kind of visitor. */
export const rooms = [
  { match: "open-*", enter: "guest", start: "anyone" },
  { match: "link-*", enter: "link", start: "anyone" },
  { match: "shop-*", enter: "integration:shop", start: "anyone" },
  { match: "*", enter: "member" },
];

/**
 * A deployment with a visitor of each kind, none of whom needs a browser, and each of whom has a room of their own.
 * @param {object} options
 * @param {string} options.label names the gateway's log
 * @param {boolean} [options.verifyDomain] of Prosody
 * @param {object} [options.prosody] further settings of Prosody
 * @param {object} [options.settings] laid over those of the gateway
 */
export async function startVisitorSite({ label, verifyDomain = false, prosody = {}, settings = {} }) {
  const accounts = {};
  const [shopSecret, apiKey] = [randomBytes(32).toString("hex"), randomBytes(24).toString("hex")];
  for (const secret of [apiKey, names.recorderPassword]) await registerSecret(label, secret);
  const site = await startSite({
    label,
    // Recorders have no token.
    prosody: async () => ({
      secret: appSecret, guests: true, recorders: true, verifyDomain, allowlist: [names.hidden], ...prosody,
    }),
    provider: { accounts, backchannelLogout: true },
    settings: async (plan) => ({
      listen: { recorders: [`${studio}/32`] },
      room: rooms,
      integration: [
        { id: "shop", rooms: ["shop-*"], secret_file: await plan.file("shop.secret", shopSecret) },
        {
          id: "desk", rooms: ["link-*"], api_requests_per_minute: 10_000,
          api_key: [{ id: "main", key_file: await plan.file("api.secret", apiKey) }],
        },
      ],
      ...settings,
    }),
  });

  let count = 0;
  const anybody = (prefix) => {
    count += 1;
    return { room: `${prefix}-${count}`, nick: `nick${count}` };
  };
  const enterName = async (person, fields) => {
    const answer = await person.submit(site.gateway, "/_gateway/join", fields);
    assert.equal(answer.status, 303, answer.text);
  };
  const target = (room, headers, more = {}) => ({ base: site.url, tls: site.tls, query: { room }, headers, ...more });

  const token = async (room, id) => {
    const exp = now() + 3_600;
    const signed = await sign({ iss: "shop", room, iat: now(), exp, context: { user: { id } } }, { key: shopSecret });
    await registerSecret(label, signed);
    return signed;
  };

  const signedIn = async ({ room, nick }) => {
    accounts[nick] = { name: nick };
    const person = createHttpClient(site.url);
    const { endSession } = await signInByForms(person, site, nick);
    return { room, nick, person, endSession, target: target(room, person.headers()) };
  };

  const kinds = {
    member: () => signedIn(anybody("team")),
    "member in a room with a limit": () => signedIn(anybody("short")),
    async guest() {
      const { room, nick } = anybody("open");
      const person = createHttpClient(site.url);
      await enterName(person, { room, name: nick });
      return { room, nick, person, target: target(room, person.headers()) };
    },
    async "holder of a link"() {
      const { room, nick } = anybody("link");
      const answer = await sendRequest(site.gateway, "/_gateway/api/v1/links", {
        method: "POST",
        headers: {
          authorization: `Bearer ${apiKey}`, host: new URL(site.url).host, "content-type": "application/json",
        },
        body: JSON.stringify({ room, role: "guest", ttl_seconds: 60 }),
      });
      assert.equal(answer.status, 201, answer.text);
      const { id: link, url } = JSON.parse(answer.text);
      const invite = new URL(url).searchParams.get("invite");
      await registerSecret(label, invite);
      const person = createHttpClient(site.url);
      await enterName(person, { room, invite, name: nick });
      return { room, nick, person, link, target: target(room, person.headers()) };
    },
    async "user of an integration"() {
      const { room, nick } = anybody("shop");
      const person = createHttpClient(site.url);
      const answer = await person.open(site.gateway, `/${room}?jwt=${await token(room, nick)}`);
      assert.equal(answer.status, 303, answer.text);
      return { room, nick, person, target: target(room, person.headers()) };
    },
    async "user of an integration without cookies"() {
      const { room, nick } = anybody("shop");
      const query = { room, token: await token(room, nick) };
      return { room, nick, target: target(room, { host: new URL(site.url).host }, { query }) };
    },
    async recorder() {
      const { room, nick } = anybody("team");
      const credentials = { user: names.recorderUser.split("@")[0], password: names.recorderPassword };
      const tls = { ...site.tls, localAddress: studio, family: 4 };
      const headers = { host: new URL(site.url).host };
      return { room, nick, credentials, target: target(room, headers, { tls, domain: names.hidden }) };
    },
  };

  const occupants = (room) => site.focus.occupants(`${room}@${names.muc}`);
  const revoke = async (body) => {
    const answer = await fetch(`${site.gateway.admin}/revoke`, { method: "POST", body: JSON.stringify(body) });
    assert.equal(answer.status, 200);
  };

  const isInside = ({ room, nick }) => occupants(room).some((occupant) => occupant.nick === nick);

  return {
    ...site,
    kinds,
    isInside,
    /** Waits until somebody is in their room no more; returns how many ms after `began` that was by Prosody's clock. */
    async goneAfter(here, began, { within } = {}) {
      await until(() => !isInside(here), { what: `${here.nick} has left`, every: 5, within });
      return Math.round(await site.prosody.leftAt(here.nick) - began);
    },
    /** The last audit line of an event in somebody's room: its fields. */
    audited(event, { room }) {
      const line = site.gateway.log().split("\n").findLast((text) => text.includes(` event="${event}"`) && text.includes(` room=${room} `));
      return line && Object.fromEntries([...line.matchAll(/ (\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
    },
    revoke,
    get focus() {
      return site.focus;
    },
  };
}
