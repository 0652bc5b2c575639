// Faults of a deployment, and the expected first finding of each.

import { randomBytes } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "../lib/certificate.js";
import { startClock } from "../lib/clock.js";
import { planGateway, startGateway } from "../lib/gateway.js";
import { documentedSetup } from "../lib/lobby.js";
import { freePort } from "../lib/process.js";
import { names, startProsody } from "../lib/prosody.js";
import { startProvider } from "../lib/provider.js";
import { startRedis } from "../lib/redis.js";
import { appSecret, rsaKey, startKeyServer } from "../lib/tokens.js";
import { startWeb } from "../lib/web.js";
import { startFocus } from "../lib/focus.js";
import { brokenDomains, healthyDomains } from "./domains.js";
import {
  behindProxy, idleTimeoutProxy, modifyingProxy, modulesWithout, startFixedResponse, startPathProxy, startBalancer, startRoutingProxy, startModifyingProxy,
} from "./deployment.js";

const replaced = (from, to) => (text) => {
  if (!text.includes(from)) throw new Error(`the configuration has no ${from}`);
  return text.replaceAll(from, to);
};
const without = (module) => replaced(`"${module}";`, "");
const secret = { secret: appSecret };

/** Deployments that work, and what is advised there. */
export const advised = {
  "the web server proxies BOSH, as docker-jitsi-meet's does": ["W3.signalling", async (keep, { web: page, prosody: own }) => {
    const nginx = keep(await startPathProxy((url) => (url.startsWith("/http-bind") ? own.url : page.url)));
    return { changed: { web: nginx.url } };
  }],
  "config.js sends conference requests over HTTP": ["W5.removed", async (keep, { plan }) => {
    const overrides = { conferenceRequestUrl: `${plan.publicUrl}/conference-request/v1` };
    const part = keep(await startWeb({ publicUrl: plan.publicUrl, overrides }));
    return { changed: { web: part.url } };
  }],
};

/** Starts a Prosody, with a focus unless it cannot log in anyway. */
const prosody = (settings, { focus = true } = {}) => async (keep) => {
  const part = keep(await startProsody({ ...secret, ...settings }));
  if (focus) keep(await startFocus(part));
  return { changed: { xmpp: part.url } };
};

const atAnotherTime = (seconds) => async (keep) => {
  const { env } = keep(await startClock(seconds));
  return prosody({ env })(keep);
};

const lacking = (module) => async (keep) => {
  const { edit, stop } = await modulesWithout(module);
  keep({ stop });
  return prosody({ edit })(keep);
};

const web = (overrides) => async (keep, { plan }) => {
  const part = keep(await startWeb({ publicUrl: plan.publicUrl, overrides }));
  return { changed: { web: part.url } };
};

const nobody = async () => `http://127.0.0.1:${await freePort()}`;

/** Tokens signed with a key; Prosody gets the keys that `publish` returns. */
const withKey = (publish, settings = {}) => async (keep, { plan }) => {
  const own = rsaKey();
  const keys = keep(await startKeyServer(publish(own)));
  const part = keep(await startProsody({ asapKeyServer: keys.url, ...settings }));
  keep(await startFocus(part));
  const file = await plan.file("doctor.pem", own.privatePem);
  return {
    changed: { xmpp: part.url },
    settings: { token: { secret_file: undefined, key: [{ kid: "2026-11", file }] } },
    // The running gateway has other keys.
    args: ["--deep", "--only", "B,A,J,S1"],
  };
};

const redis = (url, more = {}) => async (keep, { plan }) => {
  const server = keep(await startRedis({ password: "the store's own", labels: ["doctor"], ...more }));
  return { settings: { store: { kind: "redis", url_file: await plan.file("redis.secret", url(server)) } } };
};

const jicofo = async (keep, bridges) => (
  keep(await startFixedResponse(200, "application/json", JSON.stringify({ bridge_selector: bridges })))
);

/** Two gateways with one store; the second has a different configuration. */
const replicas = async (keep, { neighbours, plan: doctors }, { settings = {}, otherKey = false } = {}) => {
  const server = keep(await startRedis({ password: "the store's own", labels: ["doctor"] }));
  const store = { kind: "redis", url_file: await doctors.file("redis.secret", server.url) };
  for (const second of [false, true]) {
    const plan = await planGateway({ label: `doctor-replica-${second ? 2 : 1}`, publicUrl: doctors.publicUrl });
    if (!(second && otherKey)) plan.sessionKey = doctors.sessionKey;
    keep(await startGateway(plan, { neighbours, settings: { store, ...(second && settings) } }));
  }
  return { settings: { store }, args: ["--only", "R"] };
};

const withLobby = (match) => [{ match, enter: "member", lobby: true }];

/** A gateway and a Prosody with the documented set-up of a lobby; `change` leaves something of that out. */
const lobby = (rules, change) => async (keep, { neighbours, plan: doctors }) => {
  const address = `127.0.0.1:${await freePort()}`;
  const own = randomBytes(24).toString("hex");
  const plan = await planGateway({ label: "doctor-lobby", publicUrl: doctors.publicUrl });
  const settings = {
    reservation: { listen: address, secret_file: await plan.file("reservation.secret", own) },
    room: [...rules, { match: "*", enter: "member" }],
  };
  const edit = await documentedSetup("docker-jitsi-meet", { address, secret: own }, change);
  const { changed } = await prosody({ edit })(keep);
  keep(await startGateway(plan, { neighbours: { ...neighbours, ...changed }, settings }));
  return { changed, settings, args: ["--deep", "--only", "J"] };
};

/** Healthy deployments. */
export const healthy = {
  ...healthyDomains,
  "a shared secret": async () => ({}),
  "without --deep": async () => ({ args: [] }),
  "a key server": withKey((own) => ({ "2026-11": own.publicPem })),
  "domain verification": prosody({ verifyDomain: true }),
  "an empty app id beside named issuers": prosody({ edit: replaced('app_id = "gateway"', 'app_id = ""') }),
  "BOSH alone": async (keep, deployment) => {
    const { changed: bare } = await web({ websocket: undefined })(keep, deployment);
    const { changed } = await prosody({ edit: without("websocket") })(keep);
    return { changed: { ...bare, ...changed } };
  },
  "a store": redis((server) => server.url),
  "rooms with a lobby": lobby(withLobby("exam-*")),
  "a lobby in the room of all other checks": lobby(withLobby("gateway-doctor-*")),
  "rooms that are open to everybody": async (keep, deployment) => (
    behindProxy(keep, deployment, modifyingProxy({}), { settings: { room: [{ match: "*", enter: "open" }] } })
  ),
  "a balancer that ends TLS and is trusted": async (keep, deployment) => (
    behindProxy(keep, deployment, modifyingProxy({
      change: ({ url, headers }) => ({ url, headers: { ...headers, "x-forwarded-proto": "https" } }),
    }), { plain: true, settings: { listen: { trusted_proxies: ["127.0.0.1"] } } })
  ),
  "a proxy with a long idle timeout": async (keep, deployment) => (
    behindProxy(keep, deployment, idleTimeoutProxy(10_000), { args: ["--slow=3s"] })
  ),
  "a bridge": async (keep) => (
    { args: ["--jicofo", (await jicofo(keep, { bridge_count: 2, operational_bridge_count: 1 })).url] }
  ),
  "two replicas": async (keep, deployment) => replicas(keep, deployment),
};

/** Faults: the change, and the id of the first finding. */
export const broken = {
  ...brokenDomains,
  "the auth module is not mounted": ["B4.no-mechanism", lacking("auth_token")],
  "there is no app id": ["B4.no-mechanism", prosody({ edit: replaced('app_id = "gateway";', "") })],
  "the app id is empty, and names no issuer": ["A1.issuer", prosody({
    edit: (text) => replaced('asap_accepted_issuers = { "gateway" };', "")(replaced('app_id = "gateway"', 'app_id = ""')(text)),
  })],
  "AUTH_TYPE is internal": [
    "B4.passwords", prosody({ edit: replaced('authentication = "token"', 'authentication = "internal_plain"') }),
  ],
  "AUTH_TYPE is anonymous": [
    "A3.forged", prosody({ edit: replaced('authentication = "token"', 'authentication = "anonymous"') }),
  ],
  "the MUC module is not mounted": ["J3.open", lacking("token_verification")],
  "the MUC name has a hyphen": ["J3.muc-name", async (keep, { plan }) => {
    const muc = `my-${names.muc}`;
    const hosts = { domain: names.domain, muc, focus: names.focus };
    const page = keep(await startWeb({ publicUrl: plan.publicUrl, overrides: { hosts } }));
    const edit = (text) => replaced('muc_mapper_domain_prefix = "muc"', 'muc_mapper_domain_prefix = "my-muc"')(
      replaced(`Component "${names.muc}"`, `Component "${muc}"`)(text),
    );
    const { changed } = await prosody({ edit })(keep);
    return { changed: { ...changed, web: page.url } };
  }],
  "another app id": ["A1.issuer", prosody({ appId: "jitsi" })],
  "another accepted issuer": [
    "A1.issuer", prosody({ edit: replaced('asap_accepted_issuers = { "gateway" }', 'asap_accepted_issuers = { "x" }') }),
  ],
  "any issuer": [
    "A6.any-issuer", prosody({ edit: replaced('asap_accepted_issuers = { "gateway" }', 'asap_accepted_issuers = { "*" }') }),
  ],
  "another secret": ["A1.secret", prosody({ secret: `${appSecret}\n` })],
  "another audience": ["A1.audience", prosody({ audiences: ["meet"] })],
  "any audience": ["A7.any-audience", prosody({ audiences: ["*"] })],
  "another algorithm": ["A1.algorithm", prosody({ algorithm: "HS512" })],
  "a key server where a secret is shared": ["A1.algorithm", async (keep) => {
    const keys = keep(await startKeyServer({}));
    return prosody({ secret: undefined, asapKeyServer: keys.url })(keep);
  }],
  "neither a secret nor a key server": ["B4.no-mechanism", prosody({ secret: undefined })],
  "the key server does not have the key": ["A1.key-server", withKey(() => ({}))],
  "the key server is not reached": ["A1.key-server", async (keep, deployment) => (
    withKey(() => ({}), { asapKeyServer: await nobody() })(keep, deployment)
  )],
  "another key under the same id": ["A1.secret", withKey(() => ({ "2026-11": rsaKey().publicPem }))],
  "the gateway that runs has other keys": ["K1.unpublished", async (keep, deployment) => ({
    ...(await withKey((own) => ({ "2026-11": own.publicPem }))(keep, deployment)), args: ["--deep"],
  })],
  "Prosody's clock is 5 minutes ahead": ["C3.prosody", atAnotherTime(300)],
  "Prosody's clock is 5 minutes behind": ["C3.prosody", atAnotherTime(-300)],
  "allow_empty_token": ["A2.empty-token", prosody({ allowEmptyToken: true })],
  "another XMPP domain": ["B2.domain", async () => ({ settings: { upstream: { xmpp_domain: "meet.example.org" } } })],
  "another Host": ["B1.host", async (keep) => ({
    ...(await prosody({
      edit: (text) => replaced('modules_enabled = { "smacks" }', 'modules_enabled = { "smacks", "bosh", "websocket" }')(
        without("websocket")(without("bosh")(replaced(`http_default_host = "${names.domain}";`, "")(text))),
      ),
    })(keep)),
    settings: { upstream: { xmpp_domain: "meet.example.org" } },
  })],
  "WebSocket is off": ["S1.off", prosody({ edit: without("websocket") })],
  "BOSH is off": ["B1.module", prosody({ edit: without("bosh") })],
  "two Prosodys behind one address": ["B3.several", async (keep) => {
    const both = [keep(await startProsody(secret)), keep(await startProsody(secret))];
    const balancer = keep(await startBalancer(both.map(({ httpPort }) => httpPort)));
    return { changed: { xmpp: balancer.url } };
  }],
  "Prosody is down": ["B1.refused", async () => ({ changed: { xmpp: await nobody() } })],
  "Prosody's name does not resolve": ["B1.name", async () => ({ changed: { xmpp: "http://prosody.invalid:5280" } })],
  "the web container in Prosody's place": ["B1.web", async (keep) => {
    const page = keep(await startFixedResponse(200, "text/html", "<!DOCTYPE html><title>Jitsi Meet</title>"));
    return { changed: { xmpp: page.url } };
  }],
  "a proxy before Prosody that is down": ["B1.down", async (keep) => (
    { changed: { xmpp: keep(await startFixedResponse(502, "text/html", "Bad Gateway")).url } }
  )],
  "a proxy that drops Authorization": ["A1.lost", async (keep, { neighbours }) => {
    const meddler = keep(await startModifyingProxy(neighbours.xmpp, ({ url, headers: { authorization, ...headers } }) => (
      { url, headers }
    )));
    return { changed: { xmpp: meddler.url } };
  }],
  "another subject, with domain verification": ["J2.subject", async (keep) => ({
    ...(await prosody({ verifyDomain: true })(keep)), settings: { token: { subject: "meet.example.org" } },
  })],
  "Jicofo is absent": ["J1.absent", prosody({}, { focus: false })],
  "the reservations module has another secret": [
    "J1.reservation", lobby(withLobby("exam-*"), replaced("Bearer SECRET", "Bearer another")),
  ],
  "the reservations module knows no lobby": [
    "J8.none", lobby(withLobby("exam-*"), replaced("reservations_enable_lobby_support=true,", "")),
  ],
  "nothing lets moderators through a lobby": [
    "J8.moderators", lobby(withLobby("exam-*"), replaced(",token_lobby_bypass", "")),
  ],
  "nothing reads roles from tokens": ["J4.nobody", lacking("token_affiliation")],
  "config.js names another MUC": ["J2.muc", web({
    hosts: { domain: names.domain, muc: `elsewhere.${names.domain}`, focus: names.focus },
  })],
  "the web container is down": ["W1.refused", async () => ({ changed: { web: await nobody() } })],
  "nginx in the web container's place": ["W1.other", async (keep) => (
    { changed: { web: keep(await startFixedResponse(200, "text/html", "<!DOCTYPE html>Welcome to nginx!")).url } }
  )],
  "config.js is a page": ["W2.missing", async (keep) => (
    { changed: { web: keep(await startFixedResponse(200, "text/html", "<!DOCTYPE html>Jitsi Meet")).url } }
  )],
  "PUBLIC_URL is not set": ["W2.localhost", web({ websocket: "wss://localhost:8443/xmpp-websocket" })],
  "PUBLIC_URL is in quotes": ["W2.quotes", web({ bosh: "https://'meet.example.org'/http-bind" })],
  "file sharing has no location": ["W4.missing", web({ fileSharing: { enabled: true, apiUrl: "/file-service/v1/documents" } })],
  "PUBLIC_URL is another": ["W2.address", web({ bosh: "https://meet.example.org/http-bind" })],
  "web has another XMPP domain": ["W2.domain", web({
    hosts: { domain: "meet.example.org", muc: names.muc, focus: names.focus },
  })],
  "the provider does not know the client": ["C4.client", async () => ({ settings: { oidc: { client_id: "jitsi-meet" } } })],
  "the client's secret is another": ["C4.secret", async (keep, { plan }) => ({
    settings: { oidc: { client_secret_file: await plan.file("other.secret", "not the client's secret") } },
  })],
  "the redirect address is not registered": ["C4.redirect", async (keep, { plan }) => {
    const part = keep(await startProvider({ publicUrl: "https://meet.example.org" }));
    return { changed: { issuer: part.issuer } };
  }],
  "the issuer has another name": ["C4.issuer", async (keep, { provider }) => (
    { changed: { issuer: provider.issuer.replace("127.0.0.1", "localhost") } }
  )],
  "the issuer's path is wrong": ["C4.description", async (keep, { provider }) => (
    { changed: { issuer: `${provider.issuer}/realms/main` } }
  )],
  "the provider is down": ["C4.unreached", async () => ({ changed: { issuer: await nobody() } })],
  "a rule demands a class that the provider does not list": ["C6.acr", async (keep, { plan }) => {
    const part = keep(await startProvider({ publicUrl: plan.publicUrl, backchannelLogout: true, acrValues: ["silver"] }));
    const room = [{ match: "*", enter: "member", require: { acr: ["gold"] } }];
    return { changed: { issuer: part.issuer }, settings: { room } };
  }],
  "Redis wants another password": ["R1.password", redis((server) => server.urlWith("wrong"))],
  "Redis wants a password": ["R1.password", redis((server) => server.url.replace(/:[^/]*@/, ""))],
  "Redis is down": ["R1.unreached", async (keep, { plan }) => ({
    settings: { store: { kind: "redis", url_file: await plan.file("redis.secret", `redis://127.0.0.1:${await freePort()}`) } },
  })],
  "nobody trusts the certificate": ["C2.trust", async () => ({ trusted: false })],
  "the authority of the gateway has issued no certificate": ["C2.unissued", async () => {
    const storage = await mkdtemp(join(tmpdir(), "gateway-doctor-"));
    const acme = { accept_terms: true, directory: "https://127.0.0.1:9/dir", storage };
    return { trusted: false, settings: { tls: { certificate: undefined, key: undefined, acme } } };
  }],
  "the gateway shows another certificate than the file": ["C2.stale", async (keep) => {
    const { certificate, key } = await makeCertificate(await mkdtemp(join(tmpdir(), "gateway-doctor-")));
    return { settings: { tls: { certificate, key } } };
  }],
  "the public address leads to the web container": ["P1.elsewhere", async (keep, { plan, web: page }) => {
    const proxy = keep(await startRoutingProxy(plan.certificate, () => page.url));
    return { settings: { public_url: proxy.url }, args: ["--only", "P"] };
  }],
  "the public address leads past the gateway": ["P2.bypass", async (keep, { plan, prosody: own }) => {
    const target = (url) => (url.startsWith("/http-bind") ? own.url : `http://127.0.0.1:${plan.ports.http}`);
    const proxy = keep(await startRoutingProxy(plan.certificate, target));
    return { settings: { public_url: proxy.url }, args: ["--only", "P"] };
  }],
  "a balancer loses the query": ["S4.hop", async (keep, deployment) => behindProxy(keep, deployment, modifyingProxy({
    change: ({ url, headers }) => ({ url: url.startsWith("/http-bind") ? "/http-bind" : url, headers }),
  }))],
  "a balancer ends TLS and is not trusted": ["S4.proxy", async (keep, deployment) => (
    behindProxy(keep, deployment, modifyingProxy({}), { plain: true })
  )],
  "the gateway that runs has another key for sessions": ["S4.gateway", async (keep, { plan }) => ({
    settings: { session: { key_file: await plan.file("other.secret", Buffer.alloc(32, "a key of its own").toString("base64")) } },
  })],
  "a balancer sends whoever has a token past the gateway": ["S6.token", async (keep, deployment) => (
    behindProxy(keep, deployment, modifyingProxy({
      route: (url, headers) => (headers.authorization?.startsWith("Bearer ey") ? deployment.prosody.url : undefined),
    }))
  )],
  "a balancer sends tenants elsewhere": ["S6.changed", async (keep, deployment) => {
    const other = keep(await startFixedResponse(404, "text/html", "no such backend"));
    const route = (url) => (url.includes("prefix=elsewhere") ? other.url : undefined);
    return behindProxy(keep, deployment, modifyingProxy({ route }));
  }],
  "a balancer cuts quiet WebSockets": ["S2.cut", async (keep, deployment) => (
    behindProxy(keep, deployment, idleTimeoutProxy(1_000), { args: ["--slow=3s"], only: "S2" })
  )],
  "a balancer cuts waiting requests": ["S3.cut", async (keep, deployment) => (
    behindProxy(keep, deployment, idleTimeoutProxy(1_000), { args: ["--slow=3s"], only: "S3" })
  )],
  "a hop adds large cookies": ["R3.size", async (keep, deployment) => (
    behindProxy(keep, deployment, modifyingProxy({ adds: { "set-cookie": `balancer=${"x".repeat(4000)}` } }))
  )],
  "no bridge": ["J5.none", async (keep) => (
    { args: ["--jicofo", (await jicofo(keep, { bridge_count: 1, operational_bridge_count: 0 })).url] }
  )],
  "Jicofo tells nothing": ["J5.refused", async () => ({ args: ["--jicofo", await nobody()] })],
  "the provider sends nobody back after signing out": ["C5.redirect", async (keep, { plan }) => {
    const client = { post_logout_redirect_uris: ["https://elsewhere.example.org/"] };
    const part = keep(await startProvider({ publicUrl: plan.publicUrl, backchannelLogout: true, client }));
    return { changed: { issuer: part.issuer } };
  }],
  "Redis may forget what has to be remembered": ["R1.eviction", redis((server) => server.url, {
    options: ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"],
  })],
  "replicas have different keys for sessions": ["R2.cookie-keys", async (keep, deployment) => (
    replicas(keep, deployment, { otherKey: true })
  )],
  "replicas have different rules": ["R2.settings", async (keep, deployment) => (
    replicas(keep, deployment, { settings: { room: [{ match: "*", enter: "guest" }] } })
  )],
  "replicas lead to different Prosodys": ["R2.ring", async (keep, deployment) => (
    replicas(keep, deployment, { settings: { upstream: { xmpp: await nobody() } } })
  )],
};
