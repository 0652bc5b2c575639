// The gateway with a real Keycloak: registration by the commands of the documents, groups and realm roles, refreshing
// with rotation, what an administrator does there, and its absence.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { after, before, describe, test } from "node:test";
import { startFocus } from "../lib/focus.js";
import { planGateway, registerSecret, startGateway } from "../lib/gateway.js";
import { createHttpClient } from "../lib/http.js";
import { startKeycloak } from "../lib/keycloak.js";
import { collectParts } from "../lib/parts.js";
import { until } from "../lib/process.js";
import { names, startProsody } from "../lib/prosody.js";
import { appSecret } from "../lib/tokens.js";
import { startWeb } from "../lib/web.js";
import { enter } from "../lib/xmpp-lite.js";

const label = "keycloak";
/** The shortest that `oidc.revalidate` may be, in ms. */
const interval = 10_000;
/** Another second for the provider's answer and one for the cut; a busy machine needs more. */
const patience = { within: 3 * interval, every: 20 };

const rooms = [
  { match: "board", enter: ["group:/board"] },
  { match: "partners", enter: "member", sign_in: { parameters: { kc_idp_hint: "school" } } },
  { match: "classified", enter: "member", require: { acr: ["1"] } },
  { match: "*", enter: "member", moderators: ["claim:realm_access.roles=meet-host", "group:/staff"] },
];

let site;

/** The JSON file and the commands of the provider's page. */
async function documented() {
  const page = await readFile(fileURLToPath(new URL("../../../docs/providers/keycloak.md", import.meta.url)), "utf8");
  const [, client] = page.match(/<!-- file: jitsi-client\.json -->\n```json\n([^]*?)```/);
  const commands = [...page.matchAll(/^\$ kcadm\.sh (.*)$/gm)].map(([, words]) => words.split(" "));
  return { client, commands };
}

/** Registers the gateway by the documented commands; returns its secret. */
async function register(keycloak, { directory, publicUrl }) {
  const { client, commands } = await documented();
  await writeFile(join(directory, "jitsi-client.json"), client.replaceAll("https://meet.example.org", publicUrl));
  let output;
  for (const words of commands) {
    const own = words.map((word) => word.replace("https://sso.example.org", keycloak.base));
    output = await keycloak.kcadm(own, { cwd: directory });
  }
  return JSON.parse(output)[0].secret;
}

async function startKeycloakSite() {
  const { keep, stop } = collectParts();
  try {
    const plan = await planGateway({ label });
    const keycloak = keep(await startKeycloak({ truststore: plan.certificate.certificate }));
    const secret = await register(keycloak, plan);
    await registerSecret(label, secret);
    for (const name of ["staff", "board"]) await keycloak.call("POST", "/groups", { name });
    await keycloak.call("POST", "/roles", { name: "meet-host" });
    const prosody = keep(await startProsody({ secret: appSecret }));
    const focus = keep(await startFocus(prosody));
    const web = keep(await startWeb({ publicUrl: plan.publicUrl }));
    const gateway = keep(await startGateway(plan, {
      neighbours: { web: web.url, xmpp: prosody.url, issuer: keycloak.issuer },
      settings: {
        oidc: {
          client_secret_file: await plan.file("keycloak.secret", secret), revalidate: `${interval / 1000}s`,
          // Keycloak's first answers take long on a busy machine, and it accepts each token once.
          timeout: "30s",
        },
        room: rooms,
      },
    }));
    return { keycloak, prosody, focus, web, gateway, url: plan.publicUrl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The address of Keycloak that a page of the gateway leads to. */
function addressOf(page) {
  const [, address] = page.text.match(/content="0; url=([^"]+)"/) ?? [];
  assert.ok(address, `${page.status} ${page.text}`);
  return address.replaceAll("&#38;", "&");
}

/** Posts the form that Keycloak answers with; a browser sends no cookies with it. Returns where that leads. */
async function post(text, { url, gateway }) {
  const [, action] = text.match(/<form[^>]* action="([^"]+)"/i);
  const fields = [...text.matchAll(/<input[^>]* name="([^"]+)"[^>]* value="([^"]*)"/gi)].map(([, name, value]) => [name, value]);
  const answer = await createHttpClient(url).open(gateway, action.replaceAll("&amp;", "&"), {
    method: "POST", body: new URLSearchParams(fields).toString(),
    headers: { origin: site.keycloak.base, "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "cross-site" },
  });
  assert.equal(answer.status, 303, answer.text);
  return answer.headers.location;
}

/** Signs a person in who exists at Keycloak, on the way to a page; `browser` keeps the session at Keycloak. */
async function signIn(login, {
  url, gateway, log = label, page = "/static/close.html", browser = site.keycloak.createBrowser(),
} = site) {
  const person = createHttpClient(url);
  const begun = await person.open(gateway, `/_gateway/login?return_to=${encodeURIComponent(page)}`);
  const answered = await browser.login(addressOf(begun), login);
  const back = answered.location ?? await post(answered.text, { url, gateway });
  const answer = await person.open(gateway, back);
  assert.equal(answer.status, 303, answer.text);
  for (const value of person.cookies.values()) await registerSecret(log, value);
  return person;
}

/** A further gateway with a client of its own; `change` completes the documented registration. */
async function startFurtherGateway(context, name, change, oidc) {
  const log = `${label}-${name}`;
  const plan = await planGateway({ label: log });
  const { client } = await documented();
  const registration = JSON.parse(client.replaceAll("https://meet.example.org", plan.publicUrl));
  registration.clientId = `jitsi-${name}`;
  const more = await change(registration, plan);
  const id = await site.keycloak.call("POST", "/clients", registration);
  const settings = { client_id: registration.clientId, revalidate: `${interval / 1000}s`, ...oidc, ...more };
  if (settings.client_auth === undefined) {
    const { value } = await site.keycloak.call("GET", `/clients/${id}/client-secret`);
    await registerSecret(log, value);
    settings.client_secret_file = await plan.file("keycloak.secret", value);
  }
  const gateway = await startGateway(plan, {
    neighbours: { web: site.web.url, xmpp: site.prosody.url, issuer: site.keycloak.issuer },
    settings: { oidc: settings, room: rooms },
  });
  context.after(() => gateway.stop());
  return { gateway, url: plan.publicUrl, log };
}

const joined = (person, room, nick, transport = "websocket") => enter({
  transport, room, nick, base: site.url, tls: site.gateway.tls, query: { room }, headers: person.headers(),
});

const isInside = (room, nick) => site.focus.occupants(`${room}@${names.muc}`).some((occupant) => occupant.nick === nick);

/** Waits until somebody is in a room no more. */
async function assertPutOut(room, nick, options = patience) {
  await until(() => !isInside(room, nick), { what: `${nick} is put out of ${room}`, ...options });
}

const metrics = async () => (await fetch(`${site.gateway.admin}/metrics`)).text();
const counter = async (line) => {
  const found = (await metrics()).split("\n").find((text) => text.startsWith(`jitsi_auth_gateway_${line} `));
  return Number(found?.split(" ").at(-1) ?? 0);
};
const revalidations = (result) => counter(`session_revalidations_total{result="${result}"}`);

/** A person who is signed in and in a room, by both transports. */
async function attendant(nick, { room = nick, ...rights } = {}) {
  const id = await site.keycloak.createPerson(nick, rights);
  const person = await signIn(nick);
  const inside = await joined(person, room, nick);
  await until(() => isInside(room, nick), { what: `${nick} is in ${room}` });
  return { id, nick, room, person, ...inside };
}

before(async () => {
  site = await startKeycloakSite();
// The first time fetches and builds Keycloak, while others have the processor first.
}, { timeout: 1_700_000 });
after(() => site?.stop());

test("groups and realm roles of the documented client make moderators", async () => {
  await site.keycloak.createPerson("plain");
  await site.keycloak.createPerson("grouped", { groups: ["/staff"] });
  await site.keycloak.createPerson("entitled", { roles: ["meet-host"] });
  for (const [nick, affiliation] of [["plain", "member"], ["grouped", "owner"], ["entitled", "owner"]]) {
    const person = await signIn(nick);
    const inside = await joined(person, "first", nick);
    assert.equal(inside.affiliation === "owner", affiliation === "owner", `${nick} is ${inside.affiliation}`);
    await inside.stream.close();
  }
  await assert.rejects(joined(await signIn("grouped"), "board", "grouped"), { status: 403 });
});

describe("while a meeting runs", { concurrency: true }, () => {
  test("a session is refreshed again and again, although each token is accepted once", async () => {
    const here = await attendant("steady");
    const before = await revalidations("unchanged");
    await until(async () => (await revalidations("unchanged")) >= before + 3, { what: "three refreshes", within: 10 * interval });
    assert.ok(isInside(here.room, here.nick));
    const page = await here.person.open(site.gateway, `/${here.room}`);
    assert.equal(page.status, 200);
    await here.stream.close();
  });

  for (const transport of ["websocket", "bosh"]) {
    test(`a disabled account is put out, over ${transport}`, async () => {
      const nick = `disabled${transport}`;
      const id = await site.keycloak.createPerson(nick);
      const person = await signIn(nick);
      await joined(person, nick, nick, transport);
      await until(() => isInside(nick, nick), { what: `${nick} is in` });
      const began = Date.now();
      await site.keycloak.call("PUT", `/users/${id}`, { enabled: false });
      await assertPutOut(nick, nick);
      assert.ok(Date.now() - began < 2 * interval, `${Date.now() - began} ms`);
      const page = await person.open(site.gateway, `/${nick}`);
      assert.match(page.headers.location ?? page.text, /\/_gateway\/login/);
    });
  }

  test("a group that is taken away closes its room, and no other", async () => {
    const here = await attendant("former", { room: "board", groups: ["/board"] });
    const elsewhere = await joined(here.person, "former", "formertoo");
    const groups = await site.keycloak.call("GET", `/users/${here.id}/groups`);
    await site.keycloak.call("DELETE", `/users/${here.id}/groups/${groups[0].id}`);
    await assertPutOut("board", "former");
    assert.ok(isInside("former", "formertoo"));
    await assert.rejects(joined(here.person, "board", "former"), { status: 403 });
    await elsewhere.stream.close();
  });

  test("a role that is taken away ends moderation", async () => {
    const here = await attendant("demoted", { roles: ["meet-host"] });
    assert.equal(here.affiliation, "owner");
    const role = await site.keycloak.call("GET", "/roles/meet-host");
    await site.keycloak.call("DELETE", `/users/${here.id}/role-mappings/realm`, [role]);
    await assertPutOut(here.room, here.nick);
    const again = await joined(here.person, here.room, here.nick);
    assert.notEqual(again.affiliation, "owner");
    await again.stream.close();
  });

  test("a back-channel logout ends one session of a person", async () => {
    const here = await attendant("twodevices");
    // Keycloak's times have whole seconds, so that they do not tell the sessions apart.
    const sessions = () => site.keycloak.call("GET", `/users/${here.id}/sessions`);
    const [first] = await sessions();
    const other = await joined(await signIn("twodevices"), here.room, "otherdevice");
    assert.equal((await sessions()).length, 2);
    await site.keycloak.call("DELETE", `/sessions/${first.id}`);
    await assertPutOut(here.room, here.nick, { within: interval / 2, every: 20 });
    assert.ok(isInside(here.room, "otherdevice"));
    await other.stream.close();
  });

  test("a back-channel logout ends all sessions of a person", async () => {
    const here = await attendant("everywhere");
    await joined(await signIn("everywhere"), here.room, "everywhereelse");
    await until(() => isInside(here.room, "everywhereelse"), { what: "both are in" });
    await site.keycloak.call("POST", `/users/${here.id}/logout`);
    for (const nick of ["everywhere", "everywhereelse"]) {
      await assertPutOut(here.room, nick, { within: interval / 2, every: 20 });
    }
  });
});

test("a rotated key signs people in, and refreshes those who are", async () => {
  const here = await attendant("beforerotation");
  const realm = await site.keycloak.call("GET", "");
  await site.keycloak.call("POST", "/components", {
    name: "newer", providerId: "rsa-generated", providerType: "org.keycloak.keys.KeyProvider", parentId: realm.id,
    config: { priority: ["500"], algorithm: ["RS256"] },
  });
  await site.keycloak.createPerson("afterrotation");
  const later = await joined(await signIn("afterrotation"), here.room, "afterrotation");
  const before = await revalidations("unchanged");
  await until(async () => (await revalidations("unchanged")) >= before + 2, { what: "both are refreshed", within: 4 * interval });
  assert.ok(isInside(here.room, here.nick));
  for (const { stream } of [here, later]) await stream.close();
});

/** The key and the certificate of the providers' page, by its commands. */
async function makeClientKey(directory) {
  const page = await readFile(fileURLToPath(new URL("../../../docs/providers/README.md", import.meta.url)), "utf8");
  const [, commands] = page.match(/### A key in place of the secret\n[^]*?```console\n([^]*?)```/);
  await mkdir(join(directory, "config"));
  await promisify(execFile)("sh", ["-ec", commands.replaceAll(/^\$ /gm, "")], { cwd: directory });
  const certificate = await readFile(join(directory, "oidc.crt"), "utf8");
  return { file: join(directory, "config/oidc.key"), certificate: certificate.replaceAll(/-----.*-----|\n/g, "") };
}

test("a client with a key pushes its requests, takes posted answers, and refreshes", async (context) => {
  const further = await startFurtherGateway(context, "key", async (registration, plan) => {
    const key = await makeClientKey(plan.directory);
    registration.clientAuthenticatorType = "client-jwt";
    registration.attributes["jwt.credential.certificate"] = key.certificate;
    registration.attributes["require.pushed.authorization.requests"] = "true";
    return { client_key_file: key.file };
  }, { client_secret_file: undefined, client_auth: "private_key_jwt", response_mode: "form_post" });
  const { gateway, url } = further;
  const begun = await createHttpClient(url).open(gateway, "/_gateway/login");
  assert.deepEqual([...new URL(addressOf(begun)).searchParams.keys()], ["client_id", "request_uri"]);
  await site.keycloak.createPerson("keyholder");
  const person = await signIn("keyholder", further);
  const { stream } = await enter({
    transport: "websocket", room: "keys", nick: "keyholder", base: url, tls: gateway.tls,
    query: { room: "keys" }, headers: person.headers(),
  });
  const refreshed = /session_revalidations_total\{result="unchanged"\} [1-9]/;
  await until(async () => refreshed.test(await (await fetch(`${gateway.admin}/metrics`)).text()), {
    what: "a refresh", within: 4 * interval, every: 200,
  });
  await stream.close();
});

test("sessions without refresh tokens are renewed by the browser, until the account is disabled", async (context) => {
  const further = await startFurtherGateway(context, "silent", (registration) => {
    registration.attributes["use.refresh.tokens"] = "false";
  }, { silent_renewal: true });
  const { gateway, url } = further;
  const id = await site.keycloak.createPerson("silent");
  const browser = site.keycloak.createBrowser();
  const person = await signIn("silent", { ...further, browser });
  const { stream } = await enter({
    transport: "websocket", room: "silent", nick: "silent", base: url, tls: gateway.tls,
    query: { room: "silent" }, headers: person.headers(),
  });
  const session = person.cookies.get("__Host-gateway-session");
  /** Opens the room when the session is due; returns what Keycloak's answer leads to. */
  const renewed = async () => {
    let page;
    await until(async () => (page = await person.open(gateway, "/silent")).status === 303, {
      what: "the session is due", within: 3 * interval, every: 200,
    });
    const way = await person.open(gateway, page.headers.location);
    const answer = await browser.open(addressOf(way));
    assert.ok(answer.location, answer.text);
    return person.open(gateway, answer.location);
  };
  const back = await renewed();
  assert.equal(new URL(back.headers.location, url).pathname, "/silent");
  assert.equal((await person.open(gateway, "/silent")).status, 200);
  assert.notEqual(person.cookies.get("__Host-gateway-session"), session);
  await site.keycloak.call("PUT", `/users/${id}`, { enabled: false });
  const out = await renewed();
  assert.equal(new URL(out.headers.location, url).pathname, "/_gateway/login");
  await assert.rejects(enter({
    transport: "websocket", room: "silent", nick: "again", base: url, tls: gateway.tls,
    query: { room: "silent" }, headers: person.headers(),
  }), { status: 403 });
  await stream.close();
});

test("Keycloak's logout page ends a session through the front channel", async (context) => {
  const further = await startFurtherGateway(context, "front", (registration, { publicUrl }) => {
    registration.frontchannelLogout = true;
    Object.assign(registration.attributes, {
      "frontchannel.logout.url": `${publicUrl}/_gateway/frontchannel-logout`,
      "frontchannel.logout.session.required": "true",
      "backchannel.logout.url": "",
    });
  }, {});
  const { gateway, url } = further;
  await site.keycloak.createPerson("framed");
  const browser = site.keycloak.createBrowser();
  const person = await signIn("framed", { ...further, browser });
  const inside = () => enter({
    transport: "websocket", room: "framed", nick: "framed", base: url, tls: gateway.tls,
    query: { room: "framed" }, headers: person.headers(),
  });
  await (await inside()).stream.close();
  const asked = await browser.open(`${site.keycloak.issuer}/protocol/openid-connect/logout`);
  const fields = [...asked.text.matchAll(/<input[^>]* name="([^"]+)"[^>]* value="([^"]*)"/gi)];
  const page = await browser.submit(asked, fields.map(([, name, value]) => [name, value]));
  const [, frame] = page.text.match(/<iframe[^>]* src="([^"]+)"/i) ?? [];
  assert.ok(frame, page.text.slice(0, 4_000));
  // A frame of another site has no cookies of the gateway.
  const framed = await createHttpClient(url).open(gateway, frame.replaceAll("&amp;", "&"), {
    headers: { "sec-fetch-dest": "iframe", "sec-fetch-site": "cross-site" },
  });
  assert.equal(framed.status, 200, framed.text);
  await assert.rejects(inside(), { status: 403 });
});

test("the parameters of a room lead to its identity provider, and ask for its class of authentication", async () => {
  await site.keycloak.call("POST", "/identity-provider/instances", {
    alias: "school", providerId: "oidc", enabled: true,
    config: {
      clientId: "broker", clientSecret: "none", clientAuthMethod: "client_secret_post",
      authorizationUrl: "https://school.example.org/authorize", tokenUrl: "https://school.example.org/token",
    },
  });
  const browser = site.keycloak.createBrowser();
  const begun = await createHttpClient(site.url).open(site.gateway, "/_gateway/login?return_to=%2Fpartners");
  const answer = await browser.open(addressOf(begun));
  assert.match(answer.location ?? answer.text, /^https:\/\/school\.example\.org\/authorize\?/);

  await site.keycloak.createPerson("classed");
  const classed = await signIn("classed", { ...site, page: "/classified" });
  const page = await classed.open(site.gateway, "/classified");
  assert.equal(page.status, 200, page.text);
  // A session at Keycloak alone is of class 0.
  const { stream } = await joined(classed, "classified", "classed");
  await stream.close();
});

test("nobody is put out while Keycloak is away, and sessions are refreshed when it is back", async () => {
  const here = await attendant("patient");
  await site.keycloak.shutDown();
  const failed = await revalidations("failed");
  await until(async () => (await revalidations("failed")) >= failed + 2, { what: "two failures", within: 4 * interval });
  assert.ok(isInside(here.room, here.nick));
  const page = await here.person.open(site.gateway, `/${here.room}`);
  assert.equal(page.status, 200);
  const refreshed = await revalidations("unchanged");
  await site.keycloak.launch();
  await until(async () => (await revalidations("unchanged")) > refreshed, { what: "a refresh", within: 12 * interval });
  assert.ok(isInside(here.room, here.nick));
  assert.equal(await revalidations("no_grant"), 0);
  await here.stream.close();
});
