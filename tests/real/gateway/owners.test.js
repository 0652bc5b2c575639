// Only the creator of a meeting is its host, on every replica, after restarts and key rotation. The
// meeting's page shows links and calendar entry to hosts only.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import ICAL from "ical.js";
import { waitForState } from "../lib/browser.js";
import { registerSecret } from "../lib/gateway.js";
import { createHttpClient } from "../lib/http.js";
import { people } from "../lib/provider.js";
import { startSite } from "../lib/site.js";
import { enter } from "../lib/xmpp-lite.js";

const label = "owners";
const newKey = () => randomBytes(32).toString("base64");
const keys = [newKey()];

let site;
let writeKeys;
let creator;
before(async () => {
  site = await startSite({
    label,
    async settings(plan) {
      writeKeys = () => plan.file("keys.secret", keys.join("\n"));
      return {
        session: { key_file: await writeKeys() },
        room: [
          { match: "board-*", enter: "group:staff", host: "group:staff" },
          { match: "*", enter: "link", start: "member" },
        ],
      };
    },
  });
  creator = await site.visitAndSignIn("first", "/", { timezoneId: "Europe/Berlin" });
});
after(() => site?.stop());

const target = (room) => ({ transport: "websocket", base: site.url, tls: site.tls, query: { room }, room });
const mucOf = (room) => `${room}@muc.meet.jitsi`;

/** The affiliation in a room of a visitor with these headers. */
async function affiliationIn(room, headers) {
  const { stream, affiliation } = await enter({ ...target(room), headers, nick: randomBytes(6).toString("hex") });
  await stream.close();
  return affiliation;
}

/** A signed-in client without a browser. */
async function member(login) {
  const { cookie } = await site.headersOf(login);
  const person = createHttpClient(site.url);
  for (const pair of cookie.split("; ")) person.cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
  return person;
}

describe("a meeting that a member creates", () => {
  let meeting;
  let room;
  before(async () => {
    meeting = await site.makeMeeting(creator, "Team Call");
    ({ room } = meeting);
  });

  test("has the chosen name and a tag", () => assert.match(room, /^team-call-[0-9a-z]{8}$/));

  test("has random words without a chosen name", async () => {
    assert.match((await site.makeMeeting(creator)).room, /^[a-z]+-[a-z]+-\d{4}-[0-9a-z]{8}$/);
  });

  test("has a name that a rule for other rooms does not match", async () => {
    const { page } = creator;
    await page.goto(site.url, { waitUntil: "commit" });
    await page.getByLabel("Or choose a name").fill("Board Meeting");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.getByText("Meetings with this name cannot be started here.").waitFor();
  });

  test("is opened from its page, with the creator as owner", async () => {
    const { page } = creator;
    await page.goto(site.url + meeting.page, { waitUntil: "commit" });
    await page.getByRole("link", { name: "Open the meeting" }).click();
    const joined = await waitForState(page, "joined");
    assert.equal(joined.room, room);
    assert.equal(joined.me.role, "moderator");
    const [occupant] = site.focus.occupants(mucOf(room));
    assert.equal(occupant.name, people.first.name);
    assert.equal(occupant.affiliation, "owner");
  });

  test("has no other owner", async () => {
    assert.equal(await affiliationIn(room, await site.headersOf("second")), "member");
    assert.equal(await affiliationIn(room, await site.headersOf("host")), "member", "not even staff's");
  });

  test("has no owner under another tag or name", async () => {
    const first = await site.headersOf("first");
    const last = room.at(-1) === "0" ? "1" : "0";
    for (const other of [room.slice(0, -1) + last, `x${room}`, room.replace("team-call", "team-calls"), room.replace("-call", "")]) {
      assert.notEqual(other, room);
      assert.equal(await affiliationIn(other, first), "member", other);
    }
    assert.equal(await affiliationIn(room, first), "owner");
  });

  test("has another room for each creator of the same name", async () => {
    const second = await site.visitAndSignIn("second", "/");
    const { room: other } = await site.makeMeeting(second, "Team Call");
    assert.notEqual(other, room);
    assert.equal(await affiliationIn(other, await site.headersOf("second")), "owner");
    assert.equal(await affiliationIn(other, await site.headersOf("first")), "member");
    await second.context.close();
  });
});

describe("the page of a meeting", () => {
  const days = 86_400_000;
  let room;
  let path;
  let links;
  before(async () => {
    ({ room, page: path, links } = await site.makeMeeting(creator, "Meeting page"));
  });

  test("shows the address and both links", () => {
    assert.equal(links.all, `${site.url}/${room}`);
    for (const link of [links.guest, links.host]) assert.ok(link.startsWith(`${links.all}?invite=`), link);
    assert.notEqual(links.guest, links.host);
  });

  test("shows the expiry of the links", async () => {
    for (const [id, lifetime] of [["invite", 30 * days], ["host", 7 * days]]) {
      const until = await creator.page.locator(`section:has(#${id}) time`).getAttribute("datetime");
      const off = Date.parse(until) - Date.now() - lifetime;
      assert.ok(Math.abs(off) < 60_000, `${id}: ${until}`);
    }
  });

  test("is for hosts only", async () => {
    for (const login of ["second", "host"]) {
      const other = await member(login);
      for (const shown of [path, `/_gateway/meeting.ics?room=${room}`]) {
        const answer = await other.open(site.gateway, shown);
        assert.equal(answer.status, 403, `${login} at ${shown}`);
        assert.doesNotMatch(answer.text, /invite=/);
      }
    }
    const stranger = createHttpClient(site.url);
    for (const shown of [path, `/_gateway/meeting.ics?room=${room}`]) {
      const answer = await stranger.open(site.gateway, shown);
      assert.equal(answer.status, 303, shown);
      assert.match(answer.headers.location, /^\/_gateway\/login\?/, shown);
    }
  });

  test("is refused to holders of the guest link", async () => {
    const guest = createHttpClient(site.url);
    const invite = new URL(links.guest).searchParams.get("invite");
    assert.equal((await guest.submit(site.gateway, "/_gateway/join", { room, invite, name: "Ann" })).status, 303);
    const host = await enter({ ...target(room), headers: await site.headersOf("first"), nick: "host" });
    const meeting = await guest.open(site.gateway, `/${room}`);
    assert.equal(meeting.status, 200, "the room is open to them");
    const answer = await guest.open(site.gateway, path);
    assert.equal(answer.status, 403);
    assert.doesNotMatch(answer.text, /invite=/);
    await host.stream.close();
  });

  describe("the calendar entry", () => {
    const title = "Plan; one, two \\ “three” – 50 % & more, so that the line is longer than seventy-five octets";
    const start = "2027-01-11T08:30:00.000Z";
    before(async () => {
      const { page } = creator;
      await page.getByText("Add to your calendar").click();
      await page.getByLabel("Title").fill(title);
      await page.getByLabel("Date and time").fill("2027-01-11T09:30");
      await page.getByLabel("Duration in minutes").fill("45");
    });

    /**
     * Asserts that an address from the calendar entry leads a visitor without an account into the
     * meeting.
     */
    async function leadsIn(address) {
      const link = new URL(address);
      assert.equal(link.origin, site.url);
      await registerSecret(label, link.searchParams.get("invite"));
      const host = await enter({ ...target(room), headers: await site.headersOf("first"), nick: "host" });
      const guest = await site.visit(link.pathname + link.search);
      await site.enterGuestName(guest, "Gerda Guest");
      const meeting = await waitForState(guest.page, "joined");
      assert.equal(meeting.room, room);
      assert.equal(meeting.me.name, "Gerda Guest");
      await guest.context.close();
      await host.stream.close();
    }

    test("is a file that a calendar can read", async () => {
      const download = creator.page.waitForEvent("download");
      await creator.page.getByRole("button", { name: "Download for any calendar" }).click();
      const file = await download;
      assert.equal(file.suggestedFilename(), "meeting.ics");
      const text = await readFile(await file.path(), "utf8");
      for (const line of text.split("\r\n")) assert.ok(Buffer.byteLength(line) <= 75 && !line.includes("\n"), line);
      const calendar = new ICAL.Component(ICAL.parse(text));
      const [only, ...more] = calendar.getAllSubcomponents("vevent");
      assert.deepEqual(more, []);
      const event = new ICAL.Event(only);
      assert.equal(event.summary, title);
      assert.equal(event.startDate.toJSDate().toISOString(), start);
      assert.equal(event.duration.toSeconds(), 45 * 60);
      assert.equal(event.uid, `${room}@${new URL(site.url).host}`);
      assert.equal(only.getFirstPropertyValue("url"), event.location);
      assert.ok(event.description.includes(event.location));
      await leadsIn(event.location);
    });

    test("prefills Google's calendar", async () => {
      const address = new URL(await creator.page.getByRole("link", { name: "Add to Google Calendar" }).getAttribute("href"));
      assert.equal(address.origin + address.pathname, "https://calendar.google.com/calendar/render");
      const { action, text, dates, location, details } = Object.fromEntries(address.searchParams);
      assert.deepEqual({ action, text, dates }, { action: "TEMPLATE", text: title, dates: "20270111T083000Z/20270111T091500Z" });
      assert.ok(details.includes(location));
      await leadsIn(location);
    });

    test("prefills Outlook", async () => {
      const address = new URL(await creator.page.getByRole("link", { name: "Add to Outlook" }).getAttribute("href"));
      assert.equal(address.origin, "https://outlook.office.com");
      const { rru, subject, startdt, enddt, location, body } = Object.fromEntries(address.searchParams);
      assert.deepEqual({ rru, subject, startdt, enddt }, {
        rru: "addevent", subject: title, startdt: "2027-01-11T08:30:00Z", enddt: "2027-01-11T09:15:00Z",
      });
      assert.ok(body.includes(location));
      await leadsIn(location);
    });
  });
});

describe("the form to join a meeting", () => {
  let room;
  let link;
  before(async () => {
    ({ room, links: { guest: link } } = await site.makeMeeting(creator, "Ånd så videre"));
  });

  test("accepts a pasted link", async () => {
    const guest = await site.visit("/");
    await guest.page.getByLabel("Name or link of the meeting").fill(`  ${link}`);
    await guest.page.getByRole("button", { name: "Join", exact: true }).click();
    await guest.page.getByRole("heading", { name: "Join as a guest" }).waitFor();
    assert.equal(guest.page.url(), link);
    await guest.context.close();
  });

  test("accepts a name", async () => {
    const { page } = creator;
    await page.goto(site.url, { waitUntil: "commit" });
    await page.getByLabel("Name or link of the meeting").fill("Weekly Review");
    await page.getByRole("button", { name: "Join", exact: true }).click();
    assert.equal((await waitForState(page, "joined")).room, "weekly%20review");
  });

  test("accepts addresses in every copied form", async () => {
    const { host } = new URL(site.url);
    for (const [typed, location] of Object.entries({
      [`${site.url}/${room}`]: `/${room}`,
      [`${site.url}/${room}#config.x=1`]: `/${room}`,
      [`${host}/${room}`]: `/${room}`,
      [`http://${host}/${room}`]: `/${room}`,
      [`HTTPS://LOCALHOST${host.slice("localhost".length)}/${room}`]: `/${room}`,
      [`${site.url}/acme/Café`]: "/acme/Caf%C3%A9",
      [link]: link.slice(site.url.length),
      [room]: `/${room}`,
      "Team Call": "/Team%20Call",
      "acme/Team": "/acme/Team",
    })) {
      const answer = await createHttpClient(site.url).open(site.gateway, `/_gateway/go?${new URLSearchParams({ room: typed })}`);
      assert.equal(answer.status, 303, typed);
      assert.equal(answer.headers.location, location, typed);
    }
  });

  test("explains invalid input", async () => {
    for (const visitor of [await site.visit("/"), creator]) {
      await visitor.page.goto(site.url, { waitUntil: "commit" });
      const field = visitor.page.getByLabel("Name or link of the meeting");
      await field.fill("https://elsewhere.example/x");
      await visitor.page.getByRole("button", { name: "Join", exact: true }).click();
      await visitor.page.getByText("This link leads to another site.").waitFor();
      assert.equal(await field.inputValue(), "https://elsewhere.example/x");
      assert.equal(await visitor.page.locator("[aria-invalid]").count(), 1);
      if (visitor !== creator) await visitor.context.close();
    }
  });

  test("leads to no other site", async () => {
    const { host } = new URL(site.url);
    for (const typed of [
      "https://evil.example/room", `${site.url}.evil.example/room`, `${site.url}@evil.example/room`,
      `https://x@${host}/room`,
      `${site.url}/_gateway/logout`, site.url, "?", "", "javascript:alert(1)//",
    ]) {
      const answer = await createHttpClient(site.url).open(site.gateway, `/_gateway/go?${new URLSearchParams({ room: typed })}`);
      assert.equal(answer.status, 422, `${typed} leads to ${answer.headers.location}`);
    }
    // Repeated slashes mean nothing, and browsers take a backslash for a slash: rooms of this site.
    for (const typed of [`${site.url}//evil.example`, `${site.url}/\\evil.example`, "//evil.example/x"]) {
      const answer = await createHttpClient(site.url).open(site.gateway, `/_gateway/go?${new URLSearchParams({ room: typed })}`);
      assert.equal(answer.status, 303, typed);
      assert.match(answer.headers.location, /^\/[a-z]/, typed);
      assert.equal(new URL(answer.headers.location, site.url).origin, new URL(site.url).origin);
    }
  });
});

describe("the creator is still host", () => {
  let room;
  before(async () => {
    ({ room } = await site.makeMeeting(creator));
  });

  test("after a restart of the gateway", async () => {
    await site.gateway.restart();
    assert.equal(await affiliationIn(room, await site.headersOf("first")), "owner");
    assert.equal(await affiliationIn(room, await site.headersOf("second")), "member");
  });

  test("after a key rotation, which keeps the sessions", async () => {
    const before = await site.headersOf("first");
    keys.unshift(newKey());
    await writeKeys();
    await site.gateway.restart();
    assert.equal(await affiliationIn(room, before), "owner");
    assert.equal(await affiliationIn(room, await site.headersOf("first")), "owner");
    assert.equal(await affiliationIn(room, await site.headersOf("second")), "member");
  });

  test("until the key of the meeting is removed", async () => {
    keys.pop();
    await writeKeys();
    await site.gateway.restart();
    assert.equal(await affiliationIn(room, await site.headersOf("first")), "member");
  });
});
