// Only the creator of a meeting is its host, on every replica, after restarts and key rotation. The
// meeting's page shows links and calendar entry to hosts only.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import ICAL from "ical.js";
import { reaches } from "../lib/browser.js";
import { keepOutOfLogs } from "../lib/gateway.js";
import { somebody } from "../lib/http.js";
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
  creator = await site.signInAt("first", "/", { timezoneId: "Europe/Berlin" });
});
after(() => site?.stop());

const target = (room) => ({ transport: "websocket", base: site.url, tls: site.tls, query: { room }, room });
const mucOf = (room) => `${room}@muc.meet.jitsi`;

/** What somebody is in a room, by their headers. */
async function standing(room, headers) {
  const { stream, affiliation } = await enter({ ...target(room), headers, nick: randomBytes(6).toString("hex") });
  await stream.close();
  return affiliation;
}

/** Somebody who signed in, without a browser. */
async function member(login) {
  const { cookie } = await site.headersOf(login);
  const person = somebody(site.url);
  for (const pair of cookie.split("; ")) person.cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
  return person;
}

describe("a meeting that a member makes", () => {
  let meeting;
  let room;
  before(async () => {
    meeting = await site.makeMeeting(creator, "Team Call");
    ({ room } = meeting);
  });

  test("has the name, and a tag", () => assert.match(room, /^team-call-[0-9a-z]{8}$/));

  test("has words for a name if none is wished for", async () => {
    assert.match((await site.makeMeeting(creator)).room, /^[a-z]+-[a-z]+-\d{4}-[0-9a-z]{8}$/);
  });

  test("has a name that a rule for others' rooms does not cover", async () => {
    const { page } = creator;
    await page.goto(site.url, { waitUntil: "commit" });
    await page.getByLabel("Or choose a name").fill("Board Meeting");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.getByText("This name is taken.").waitFor();
  });

  test("is opened from its page, with the creator as owner", async () => {
    const { page } = creator;
    await page.goto(site.url + meeting.page, { waitUntil: "commit" });
    await page.getByRole("link", { name: "Open the meeting" }).click();
    const joined = await reaches(page, "joined");
    assert.equal(joined.room, room);
    assert.equal(joined.me.role, "moderator");
    const [occupant] = site.focus.occupants(mucOf(room));
    assert.equal(occupant.name, people.first.name);
    assert.equal(occupant.affiliation, "owner");
  });

  test("is nobody else's", async () => {
    assert.equal(await standing(room, await site.headersOf("second")), "member");
    assert.equal(await standing(room, await site.headersOf("host")), "member", "not even staff's");
  });

  test("is not the creator's under another tag or name", async () => {
    const first = await site.headersOf("first");
    const last = room.at(-1) === "0" ? "1" : "0";
    for (const other of [room.slice(0, -1) + last, `x${room}`, room.replace("team-call", "team-calls"), room.replace("-call", "")]) {
      assert.notEqual(other, room);
      assert.equal(await standing(other, first), "member", other);
    }
    assert.equal(await standing(room, first), "owner");
  });

  test("of the same name is another one when another member makes it", async () => {
    const second = await site.signInAt("second", "/");
    const { room: other } = await site.makeMeeting(second, "Team Call");
    assert.notEqual(other, room);
    assert.equal(await standing(other, await site.headersOf("second")), "owner");
    assert.equal(await standing(other, await site.headersOf("first")), "member");
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

  test("says until when they are good", async () => {
    for (const [id, lifetime] of [["guest", 30 * days], ["host", 7 * days]]) {
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
    const stranger = somebody(site.url);
    const answer = await stranger.open(site.gateway, path);
    assert.equal(answer.status, 303);
    assert.match(answer.headers.location, /^\/_gateway\/login\?/);
    assert.equal((await stranger.open(site.gateway, `/_gateway/meeting.ics?room=${room}`)).status, 401);
  });

  test("is not for whoever holds the guest link", async () => {
    const guest = somebody(site.url);
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

  describe("has a calendar entry", () => {
    const title = "Plan; one, two \\ “three” – 50 % & more, so that the line is longer than seventy-five octets";
    const start = "2027-01-11T08:30:00.000Z";
    before(async () => {
      const { page } = creator;
      await page.getByLabel("Title").fill(title);
      await page.getByLabel("Date and time").fill("2027-01-11T09:30");
      await page.getByLabel("Duration in minutes").fill("45");
    });

    /** Somebody without an account, who comes by an address in the entry, gets into the meeting. */
    async function leadsIn(address) {
      const link = new URL(address);
      assert.equal(link.origin, site.url);
      await keepOutOfLogs(label, link.searchParams.get("invite"));
      const host = await enter({ ...target(room), headers: await site.headersOf("first"), nick: "host" });
      const guest = await site.knock(link.pathname + link.search);
      await site.sayName(guest, "Gerda Guest");
      const meeting = await reaches(guest.page, "joined");
      assert.equal(meeting.room, room);
      assert.equal(meeting.me.name, "Gerda Guest");
      await guest.context.close();
      await host.stream.close();
    }

    test("to be downloaded, which a calendar can read", async () => {
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

    test("for Google's calendar", async () => {
      const address = new URL(await creator.page.getByRole("link", { name: "Add to Google Calendar" }).getAttribute("href"));
      assert.equal(address.origin + address.pathname, "https://calendar.google.com/calendar/render");
      const { action, text, dates, location, details } = Object.fromEntries(address.searchParams);
      assert.deepEqual({ action, text, dates }, { action: "TEMPLATE", text: title, dates: "20270111T083000Z/20270111T091500Z" });
      assert.ok(details.includes(location));
      await leadsIn(location);
    });

    test("for Outlook", async () => {
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

  test("takes a link as it was pasted", async () => {
    const guest = await site.knock("/");
    await guest.page.getByLabel("Name or link of the meeting").fill(`  ${link}`);
    await guest.page.getByRole("button", { name: "Join", exact: true }).click();
    await guest.page.getByRole("heading", { name: "Join as a guest" }).waitFor();
    assert.equal(guest.page.url(), link);
    await guest.context.close();
  });

  test("takes a name", async () => {
    const { page } = creator;
    await page.goto(site.url, { waitUntil: "commit" });
    await page.getByLabel("Name or link of the meeting").fill("Weekly Review");
    await page.getByRole("button", { name: "Join", exact: true }).click();
    assert.equal((await reaches(page, "joined")).room, "weekly%20review");
  });

  test("takes addresses as people copy them", async () => {
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
      "Team Call": "/team%20call",
      "acme/Team": "/acme/team",
    })) {
      const answer = await somebody(site.url).open(site.gateway, `/_gateway/go?${new URLSearchParams({ room: typed })}`);
      assert.equal(answer.status, 303, typed);
      assert.equal(answer.headers.location, location, typed);
    }
  });

  test("says what is wrong with what was typed", async () => {
    for (const visitor of [await site.knock("/"), creator]) {
      await visitor.page.goto(site.url, { waitUntil: "commit" });
      const field = visitor.page.getByLabel("Name or link of the meeting");
      await field.fill("https://elsewhere.example/x");
      await visitor.page.getByRole("button", { name: "Join", exact: true }).click();
      await visitor.page.getByText("This name has characters that cannot be used.").waitFor();
      assert.equal(await field.inputValue(), "https://elsewhere.example/x");
      assert.equal(await visitor.page.locator("[aria-invalid]").count(), 1);
      if (visitor !== creator) await visitor.context.close();
    }
  });

  test("leads nowhere else", async () => {
    const { host } = new URL(site.url);
    for (const typed of [
      "https://evil.example/room", `${site.url}.evil.example/room`, `${site.url}@evil.example/room`,
      `https://x@${host}/room`, `${site.url}//evil.example`, `${site.url}/\\evil.example`,
      `${site.url}/_gateway/logout`, site.url, "javascript:alert(1)//", "//evil.example/x", "?", "",
    ]) {
      const answer = await somebody(site.url).open(site.gateway, `/_gateway/go?${new URLSearchParams({ room: typed })}`);
      assert.equal(answer.status, 422, `${typed} leads to ${answer.headers.location}`);
    }
  });
});

describe("the creator is still host", () => {
  let room;
  before(async () => {
    ({ room } = await site.makeMeeting(creator));
  });

  test("on a gateway that was started anew", async () => {
    await site.gateway.restart();
    assert.equal(await standing(room, await site.headersOf("first")), "owner");
    assert.equal(await standing(room, await site.headersOf("second")), "member");
  });

  test("when another key has taken over, and other sessions go on", async () => {
    const before = await site.headersOf("first");
    keys.unshift(newKey());
    await writeKeys();
    await site.gateway.restart();
    assert.equal(await standing(room, before), "owner");
    assert.equal(await standing(room, await site.headersOf("first")), "owner");
    assert.equal(await standing(room, await site.headersOf("second")), "member");
  });

  test("until the key is gone that the meeting was made with", async () => {
    keys.pop();
    await writeKeys();
    await site.gateway.restart();
    assert.equal(await standing(room, await site.headersOf("first")), "member");
  });
});
