// Two certified providers in Chromium: the page that asks which, the choice that is suggested the next time, and a sign-out
// that leads to the provider of the session.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { signIn, waitForOthers, waitForState } from "../lib/browser.js";
import { gatewayClient, startProvider } from "../lib/provider.js";
import { registerSecret } from "../lib/gateway.js";
import { startSite } from "../lib/site.js";

const label = "several-providers";
const names = { school: "Example School", firm: "Example \"Ltd\" <b>&</b> Co." };
// The same login, and so the same `sub`, at both: two people.
const accounts = {
  school: { ann: { name: "Ann Pupil", email: "ann@school.example.org" } },
  firm: { ann: { name: "Ann Clerk", email: "ann@firm.example.com" } },
};

let site;
const providers = {};

before(async () => {
  site = await startSite({
    label,
    // Its people have no prefix, and its addresses are those of an only provider.
    provider: { accounts: accounts.school },
    async settings(plan, school) {
      const client = { redirect_uris: [`${plan.publicUrl}/_gateway/callback/firm`] };
      const firm = await startProvider({ publicUrl: plan.publicUrl, accounts: accounts.firm, client });
      Object.assign(providers, { school, firm });
      const entry = async (id, more) => ({
        id, name: names[id], issuer: providers[id].issuer, client_id: gatewayClient.id,
        client_secret_file: await plan.file(`${id}.secret`, gatewayClient.secret),
        insecure_http_issuer: true, scopes: ["openid", "profile", "email"], ...more,
      });
      return {
        oidc: [await entry("school", { keeps_subjects: true }), await entry("firm", { email_domains: ["firm.example.com"] })],
      };
    },
  });
}, { timeout: 120_000 });
after(async () => {
  await site?.stop();
  await providers.firm?.stop();
});

const otherOf = { school: "firm", firm: "school" };
const isAt = (url, id) => new URL(url).origin === new URL(providers[id].issuer).origin;
const requestsFor = (id, path) => providers[id].requests.filter(({ url }) => url.startsWith(path)).length;

/** The names of the offered providers, in the order of the page. */
async function offered(page) {
  await page.waitForURL((url) => url.pathname === "/_gateway/login");
  return page.locator(".choices a").allInnerTexts();
}

/** Chooses a provider on the page and signs in there; returns when the room's page has joined the meeting. */
async function choose(visitor, id) {
  const { page, context } = visitor;
  const elsewhere = requestsFor(otherOf[id], "/auth");
  await page.getByRole("link", { name: names[id], exact: true }).click();
  await signIn(page, "ann", providers[id]);
  await page.waitForURL((url) => !url.pathname.startsWith("/_gateway/"));
  const cookies = await context.cookies(site.url);
  for (const { name, value } of cookies) {
    if (name !== "__Host-gateway-provider") await registerSecret(label, value);
  }
  assert.equal(requestsFor(otherOf[id], "/auth"), elsewhere, "the other provider was asked");
  assert.equal(cookies.find(({ name }) => name === "__Host-gateway-provider")?.value, id);
  return waitForState(page, "joined");
}

/** Signs out, and confirms it at the provider of the session. */
async function signOut({ page }, id) {
  const elsewhere = requestsFor(otherOf[id], "/session/end");
  await page.goto(`${site.url}/_gateway/logout`);
  assert.ok(isAt(page.url(), id), page.url());
  await page.locator("button[name=logout]").click();
  await page.waitForURL((url) => url.pathname === "/_gateway/signed-out");
  assert.equal(new URL(page.url()).origin, site.url);
  assert.equal(requestsFor(otherOf[id], "/session/end"), elsewhere, "the other provider was asked");
}

for (const id of ["firm", "school"]) {
  test(`a person chooses ${id}, finds it suggested the next time, and is signed out there`, async () => {
    const visitor = await site.visit(`/choice-of-${id}`);
    const { page, context, problems } = visitor;
    assert.deepEqual(await offered(page), [names.school, names.firm]);
    assert.equal(await page.locator("#last").count(), 0);
    const meeting = await choose(visitor, id);
    assert.equal(meeting.me.name, accounts[id].ann.name);
    await signOut(visitor, id);

    await page.goto(`${site.url}/choice-of-${id}`);
    assert.deepEqual(await offered(page), [names[id], names[otherOf[id]]]);
    const suggested = page.getByRole("link", { name: names[id], exact: true });
    assert.equal(await suggested.getAttribute("aria-describedby"), "last");
    // The other one is no less possible, and is suggested from then on. The session at the first has ended, too.
    const again = await choose(visitor, otherOf[id]);
    assert.equal(again.me.name, accounts[otherOf[id]].ann.name);
    await signOut(visitor, otherOf[id]);
    await page.goto(`${site.url}/choice-of-${id}`);
    assert.deepEqual(await offered(page), [names[otherOf[id]], names[id]]);
    assert.deepEqual(problems, []);
    await context.close();
  });
}

test("people of both providers with the same subject are two people of one meeting", async () => {
  const visitors = [];
  for (const id of ["school", "firm"]) {
    const visitor = await site.visit("/together");
    await offered(visitor.page);
    await choose(visitor, id);
    visitors.push(visitor);
  }
  const [pupil, clerk] = visitors;
  await waitForOthers(pupil.page, [accounts.firm.ann.name]);
  await waitForOthers(clerk.page, [accounts.school.ann.name]);
  // A sign-out of one is none of the other.
  await signOut(clerk, "firm");
  await waitForOthers(pupil.page, []);
  await pupil.page.reload();
  const meeting = await waitForState(pupil.page, "joined");
  assert.equal(meeting.me.name, accounts.school.ann.name);
  for (const { context } of visitors) await context.close();
});

test("an address of the firm leads there, without a list to choose from", async () => {
  const visitor = await site.visit("/by-address");
  const { page, context } = visitor;
  await offered(page);
  await page.locator("input[type=email]").fill(accounts.firm.ann.email);
  await page.locator("main form button").click();
  await page.locator("input[name=login]").waitFor();
  assert.ok(isAt(page.url(), "firm"), page.url());
  await context.close();
});
