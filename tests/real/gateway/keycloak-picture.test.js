// The picture of a person at a real Keycloak, from a user attribute to the token for Prosody.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { decodeJwt } from "jose";
import { startFocus } from "../lib/focus.js";
import { planGateway, registerSecret, startGateway } from "../lib/gateway.js";
import { createHttpClient } from "../lib/http.js";
import { startKeycloak } from "../lib/keycloak.js";
import { collectParts } from "../lib/parts.js";
import { startProsody } from "../lib/prosody.js";
import { gatewayClient } from "../lib/provider.js";
import { appSecret } from "../lib/tokens.js";
import { startWeb } from "../lib/web.js";
import { enter } from "../lib/xmpp-lite.js";

const label = "keycloak-picture";
const picture = "https://pictures.example.org/people/ann.png?size=96";

let site;

async function startPictureSite() {
  const { keep, stop } = collectParts();
  try {
    const plan = await planGateway({ label });
    const keycloak = keep(await startKeycloak());
    await keycloak.call("POST", "/clients", {
      clientId: gatewayClient.id, secret: gatewayClient.secret, protocol: "openid-connect", publicClient: false,
      redirectUris: [`${plan.publicUrl}/_gateway/callback`],
    });
    // Attributes that the user profile does not define are dropped, unless an administrator may write them.
    const profile = await keycloak.call("GET", "/users/profile");
    await keycloak.call("PUT", "/users/profile", { ...profile, unmanagedAttributePolicy: "ADMIN_EDIT" });
    const prosody = keep(await startProsody({ secret: appSecret }));
    keep(await startFocus(prosody));
    const web = keep(await startWeb({ publicUrl: plan.publicUrl }));
    const gateway = keep(await startGateway(plan, {
      neighbours: { web: web.url, xmpp: prosody.url, issuer: keycloak.issuer },
    }));
    return { keycloak, prosody, gateway, url: plan.publicUrl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Signs a person in at Keycloak and enters a room; returns the user in the token that Prosody gets. */
async function userAtProsody(login) {
  const person = createHttpClient(site.url);
  const begun = await person.open(site.gateway, "/_gateway/login?return_to=%2Fstatic%2Fclose.html");
  const [, address] = begun.text.match(/content="0; url=([^"]+)"/);
  const { location } = await site.keycloak.createBrowser().login(address.replaceAll("&#38;", "&"), login);
  const answer = await person.open(site.gateway, location);
  assert.equal(answer.status, 303, answer.text);
  for (const value of person.cookies.values()) await registerSecret(label, value);
  await site.prosody.reset();
  const { stream } = await enter({
    transport: "websocket", room: login, nick: login, base: site.url, tls: site.gateway.tls,
    query: { room: login }, headers: person.headers(),
  });
  const { sessions } = await site.prosody.recorded();
  const [token] = sessions.map((session) => session.token).filter(Boolean);
  await registerSecret(label, token);
  await stream.close();
  return decodeJwt(token).context.user;
}

before(async () => {
  site = await startPictureSite();
// The first time fetches and builds Keycloak, while others have the processor first.
}, { timeout: 1_700_000 });
after(() => site?.stop());

test("the attribute picture is the avatar in the token for Prosody", async () => {
  await site.keycloak.createPerson("ann", { attributes: { picture: [picture] } });
  const user = await userAtProsody("ann");
  assert.equal(user.avatar, picture);
  assert.equal(user.name, "ann Example");
});

for (const [name, login, attributes] of [
  ["without the attribute", "plain", {}],
  ["whose attribute is no address of a picture", "scripted", { picture: ["javascript:alert(1)"] }],
]) {
  test(`a person ${name} has no avatar`, async () => {
    await site.keycloak.createPerson(login, { attributes });
    const user = await userAtProsody(login);
    assert.equal(user.avatar, undefined);
    assert.equal(user.name, `${login} Example`);
  });
}
