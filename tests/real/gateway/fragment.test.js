// The fragment of a URL is never sent to a server, and survives a sign-in. Jitsi's page has a content security policy
// in a `<meta>` here, which allows only the page's own scripts: whatever the gateway's script does, it does despite it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { waitForState } from "../lib/browser.js";
import { people } from "../lib/provider.js";
import { startSite } from "../lib/site.js";

let site;
before(async () => {
  site = await startSite({ label: "fragment", web: { policy: true } });
});
after(() => site?.stop());

const hash = "#config.startWithAudioMuted=true&config.subject=%22Monday%20%26%20more%22";

async function check({ page }) {
  const { me } = await waitForState(page, "joined");
  assert.equal(me.name, people.first.name, "the display token is there beside the options");
  const { address, config, here } = await page.evaluate(() => ({
    address: window.meeting.address,
    config: window.meeting.config,
    here: window.location.href,
  }));
  assert.equal(config.startWithAudioMuted, true);
  assert.equal(config.subject, "Monday & more");
  const seen = new URL(address);
  assert.equal(seen.pathname, "/planning");
  assert.match(seen.hash, /[#&]config\.startWithAudioMuted=true(&|$)/);
  assert.match(seen.hash, /[#&]jwt=(%22|")/);
  assert.match(new URL(here).hash, /config\.startWithAudioMuted=true/);
}

test("the fragment survives a sign-in", async () => {
  const visitor = await site.visitAs("first", `/planning${hash}`);
  await check(visitor);

  await visitor.page.goto("about:blank");
  await visitor.page.goto(`${site.url}/planning${hash}`);
  await check(visitor);

  await visitor.page.reload();
  await check(visitor);
  assert.deepEqual(visitor.problems, []);
  await visitor.context.close();
});

test("a query survives a sign-in", async () => {
  const visitor = await site.visitAs("first", "/planning?release=release-7&x=a%20b%26c#config.startWithAudioMuted=true");
  await waitForState(visitor.page, "joined");
  const { searchParams } = new URL(visitor.page.url());
  assert.equal(searchParams.get("release"), "release-7");
  assert.equal(searchParams.get("x"), "a b&c");
  await visitor.context.close();
});

test("the policy in Jitsi's page blocks other inline scripts, and not the gateway's", async () => {
  const visitor = await site.visitAs("first", "/planning");
  await waitForState(visitor.page, "joined");
  const found = await visitor.page.evaluate(async () => {
    const { content } = document.querySelector("meta[http-equiv=Content-Security-Policy]");
    const blocked = new Promise((resolve) => {
      document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => resolve(effectiveDirective));
    });
    const script = document.createElement("script");
    script.textContent = "window.inlineScriptRan = true";
    document.head.append(script);
    return { content, blocked: await blocked, ran: window.inlineScriptRan === true, address: window.meeting.address };
  });
  assert.match(found.content, /^script-src 'self'( 'sha256-[^']+'){3}$/, "the page's two scripts, and the gateway's");
  assert.deepEqual([found.blocked, found.ran], ["script-src-elem", false]);
  assert.match(found.address, /[#&]jwt=/);
  await visitor.context.close();
});

test("no request carries the fragment", () => {
  for (const { url } of [...site.web.requests, ...site.provider.requests]) {
    assert.doesNotMatch(url, /startWithAudioMuted/);
  }
});
