// Odoo with O-Meet, from the documented configuration to the meeting: the organizer moderates at once and by
// name, people without an account take part, the calendar's address works, and so does all of it an hour and
// more than two hours later, when the first tokens are over.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { waitForState, waitForOthers } from "../lib/browser.js";
import { startClock } from "../lib/clock.js";
import { frameOf } from "../lib/embedding.js";
import { registerSecret } from "../lib/gateway.js";
import { startOMeet } from "../lib/o-meet.js";
import { startSite } from "../lib/site.js";
import { appSecret, read } from "../lib/tokens.js";
import { readBlock } from "../lib/toml.js";

const label = "o-meet";
const users = {
  carla: { name: "Carla \"C\" Créatrice", email: "carla@shop.example" },
  paul: { name: "Paul Participant", email: "paul@shop.example" },
};

/** The block of the page on Odoo, with the secret's file and the address of this Odoo. */
async function documented(plan, odoo) {
  const page = await readFile(new URL("../../../docs/integrations/odoo.md", import.meta.url), "utf8");
  const { integration: [integration], room } = readBlock(page.match(/```toml\n(.*?)```/s)[1]);
  assert.equal(integration.app_id, odoo.parameters.appId);
  const file = await plan.file("odoo.secret", odoo.parameters.secret);
  return { integration: [{ ...integration, secret_file: file, embed: [odoo.url] }], room };
}

let clock;
let odoo;
let site;
let meeting;
before(async () => {
  clock = await startClock();
  odoo = await startOMeet({ users, now: clock.now });
  meeting = odoo.create("carla");
  site = await startSite({
    label,
    prosody: () => ({ secret: appSecret, env: clock.env }),
    env: clock.env,
    settings: async (plan) => {
      odoo.parameters.server = plan.publicUrl;
      return documented(plan, odoo);
    },
  });
}, { timeout: 60_000 });
after(async () => {
  await site?.stop();
  await odoo?.stop();
  await clock?.stop();
});

/** Opens the calendar's address, as a user of Odoo or as a stranger; returns the page and its frame. */
async function open(login) {
  const visitor = await site.browser.visitor();
  if (login) await visitor.context.addCookies([odoo.session(login)]);
  await visitor.page.goto(meeting.address);
  await registerSecret(label, odoo.tokens.at(-1));
  return { ...visitor, frame: await frameOf(visitor.page) };
}

const affiliations = () => Object.fromEntries(
  site.focus.occupants(`${meeting.room}@muc.meet.jitsi`).map(({ name, affiliation }) => [name, affiliation]),
);

describe("a meeting of O-Meet", { timeout: 120_000 }, () => {
  const people = {};

  test("makes whoever comes before the organizer wait", async () => {
    people.guest = await open();
    await people.guest.frame.waitForSelector("main");
    assert.equal(await people.guest.frame.evaluate(() => window.meeting), undefined);
    assert.deepEqual((await site.prosody.recorded()).sessions, []);
  });

  test("opens for all when the organizer comes, who moderates at once and by name", async () => {
    people.carla = await open("carla");
    const carla = await waitForState(people.carla.frame, "joined");
    assert.deepEqual([carla.me.name, carla.me.role], [users.carla.name, "moderator"]);
    await waitForState(people.guest.frame, "joined");
    assert.deepEqual(affiliations(), { [users.carla.name]: "owner", Guest: "member" });
    assert.deepEqual(site.provider.requests.filter(({ url }) => url.startsWith("/auth")), [], "nobody signs in anew");
  });

  test("takes a colleague who opens the calendar's entry, by name", async () => {
    people.paul = await open("paul");
    const paul = await waitForState(people.paul.frame, "joined");
    assert.deepEqual([paul.me.name, paul.me.role], [users.paul.name, "none"]);
    await waitForOthers(people.carla.frame, ["Guest", users.paul.name]);
    const { sessions } = await site.prosody.recorded();
    const subjects = sessions.map(({ token }) => read(token).context.user.id);
    assert.equal(new Set(subjects).size, 3, "three people");
  });

  /** The first token of the organizer, as the address of a restored tab has it. */
  const restored = () => {
    const first = odoo.tokens.find((token) => read(token).context.user.moderator === "true");
    return `${site.url}/${meeting.room}?jwt=${first}#config.prejoinPageEnabled=false`;
  };

  test("opens from the calendar an hour later, also for a guest", async () => {
    await clock.advance(3600);
    const late = await open();
    const { me } = await waitForState(late.frame, "joined");
    assert.deepEqual([me.name, me.role], ["Guest", "none"]);
    await late.context.close();
  });

  test("goes on more than two hours later: a frame that is loaded again stays the organizer's, and the calendar's entry opens", async () => {
    await clock.advance(1.5 * 3600);
    const again = await open("carla");
    await Promise.all([people.carla.frame.goto(restored()), again.frame.waitForFunction(() => window.meeting)]);
    for (const frame of [people.carla.frame, again.frame]) {
      const { me } = await waitForState(frame, "joined");
      assert.deepEqual([me.name, me.role], [users.carla.name, "moderator"]);
    }
    await again.context.close();
  });

  test("its first address, in another browser, says to open the meeting again", async () => {
    const { page, context } = await site.browser.visitor();
    const answer = await page.goto(`${site.url}/${meeting.room}?jwt=${odoo.tokens[0]}`);
    assert.equal(answer.status(), 403);
    assert.match(await page.locator("main").textContent(), /Open the meeting again from where you came/);
    await context.close();
  });
});
