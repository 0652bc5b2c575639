// Rooms with a lobby: the set-ups of the documentation as configurations of Prosody, and what Jitsi's client does at
// a lobby (lib-jitsi-meet, `modules/xmpp/Lobby`).

import { readFile } from "node:fs/promises";
import { names, roomModules } from "./prosody.js";
import { authenticate, connect, join, mucItem, requestConference } from "./xmpp-lite.js";

/** The component of lobbies. */
export const lobbyDomain = `lobby.${names.domain}`;

const page = new URL("../../../docs/people-and-rooms.md", import.meta.url);
const heading = "### Lobby and number of people";
const ns = {
  mucUser: "http://jabber.org/protocol/muc#user",
  mucAdmin: "http://jabber.org/protocol/muc#admin",
};

/** The text of the one block of a language in the section about lobbies. */
async function documented(language) {
  const text = await readFile(page, "utf8");
  const section = text.slice(text.indexOf(`\n${heading}\n`)).slice(1).split(/\n##/)[0];
  const blocks = [...section.matchAll(/```(\w+)\n([^]*?)```/g)].filter(([, found]) => found === language);
  if (blocks.length !== 1) throw new Error(`${blocks.length} blocks of ${language} below ${heading}`);
  return blocks[0][2];
}

/** What `.env` makes of Prosody's host and rooms (docker-jitsi-meet stable-11146, `jitsi-meet.cfg.lua`). */
function fromEnvironment(text) {
  const env = Object.fromEntries(text.trim().split("\n").map((line) => {
    const [, name, value] = line.match(/^([A-Z_]+)=(.*)$/);
    return [name, value.replace(/^'(.*)'$/, "$1")];
  }));
  const list = (value) => (value ?? "").split(",").filter(Boolean);
  const reserved = env.PROSODY_RESERVATION_ENABLED === "true";
  const limit = env.MAX_PARTICIPANTS;
  return {
    host: {
      modules: ["muc_lobby_rooms", ...list(env.XMPP_MODULES), ...(reserved ? ["reservations"] : [])],
      lines: [
        `main_muc = "${names.muc}"`,
        `lobby_muc = "${lobbyDomain}"`,
        ...(reserved ? [`reservations_api_prefix = "${env.PROSODY_RESERVATION_REST_BASE_URL}"`] : []),
        ...list(env.XMPP_CONFIGURATION),
      ],
    },
    rooms: {
      modules: [...list(env.XMPP_MUC_MODULES), ...(limit ? ["muc_max_occupants"] : [])],
      lines: limit ? [`muc_max_occupants = "${limit}"`, `muc_access_whitelist = { "${names.focusUser}" }`] : [],
    },
  };
}

/** The host and the rooms of a fragment of Prosody's own configuration. */
function fromLua(text) {
  const named = text
    .replaceAll("conference.meet.example.org", names.muc)
    .replaceAll("meet.example.org", names.domain);
  const part = (header) => {
    const own = named.split(/\n(?=VirtualHost|Component)/).find((section) => section.startsWith(header));
    const [list, modules] = own.match(/modules_enabled = \{([^}]*)\}/);
    const lines = own.replace(list, "").split("\n").slice(1);
    return {
      modules: [...modules.matchAll(/"(\w+)"/g)].map(([, module]) => module),
      lines: lines.map((line) => line.trim()).filter(Boolean),
    };
  };
  return { host: part(`VirtualHost "${names.domain}"`), rooms: part(`Component "${names.muc}" "muc"`) };
}

/** Inserts modules and lines into the section of a configuration that has these modules. */
function extend(configuration, present, { modules, lines }) {
  const before = `modules_enabled = { ${present.map((module) => `"${module}"`).join("; ")} };`;
  if (!configuration.includes(before)) throw new Error(`the configuration has no ${before}`);
  const all = [...new Set([...present, ...modules])].map((module) => `"${module}"`).join("; ");
  return configuration.replace(before, [`modules_enabled = { ${all} };`, ...lines].join("\n  "));
}

const setups = {
  "docker-jitsi-meet": ["env", fromEnvironment],
  "Prosody's own file": ["lua", fromLua],
};

/**
 * A documented set-up as an `edit` of the configuration in `prosody.js`.
 * @param {"docker-jitsi-meet" | "Prosody's own file"} setup
 * @param {{address: string, secret: string}} reservation of the gateway, in place of those in the documentation
 * @param {(text: string) => string} [change] of the block, to leave something out
 */
export async function documentedSetup(setup, { address, secret }, change = (text) => text) {
  const [language, parse] = setups[setup];
  const { host, rooms } = parse(change(await documented(language))
    .replaceAll("10.0.0.5:9091", address)
    .replaceAll("Bearer SECRET", `Bearer ${secret}`));
  const lobby = `
Component "${lobbyDomain}" "muc"
  restrict_room_creation = true;
  muc_room_locking = false;
  muc_room_default_public_jids = true;
`;
  // The first host with these modules is that of the domain.
  return (configuration) => (
    extend(extend(configuration, ["smacks"], host), roomModules, rooms) + lobby
  );
}

/**
 * Connects, requests the conference and joins its room. Throws `JoinRefused`, as `join` does, with the person whom
 * the room refused as `person`.
 */
export async function arrive({ room, nick, name, ...target }) {
  const stream = await connect({ ...target, query: { room } });
  const person = {
    room, nick, name, stream,
    address: `${room}@${names.muc}`,
    lobby: `${room}@${lobbyDomain}`,
    async join() {
      return mucItem(await join(stream, person.address, nick, name));
    },
    close: () => stream.close(),
  };
  try {
    person.jid = await authenticate(stream);
    await requestConference(stream, person.address);
  } catch (error) {
    await stream.close();
    throw error;
  }
  try {
    return { ...person, ...(await person.join()) };
  } catch (error) {
    throw Object.assign(error, { person });
  }
}

/** Enters the lobby of the room. */
export async function wait(person) {
  return mucItem(await join(person.stream, person.lobby, person.nick, person.name));
}

/** Returns the person whom a moderator in the lobby sees waiting. */
export async function seeWaiting(moderator, nick) {
  const seen = await moderator.stream.inbox.take(
    ({ name, attrs }) => name === "presence" && attrs.from === `${moderator.lobby}/${nick}` && !attrs.type,
  );
  return mucItem(seen);
}

/** Sends an invitation into the room. */
export function invite({ stream, address }, jid) {
  stream.send(`<message xmlns="jabber:client" to="${address}"><x xmlns="${ns.mucUser}"><invite to="${jid}"/></x></message>`);
}

/** A moderator lets a waiting person in; the person enters. */
export async function admit(moderator, waiting) {
  invite(moderator, waiting.jid);
  await waiting.stream.inbox.take(
    (element) => element.name === "message" && element.attrs.from === waiting.address
      && element.getChild("x", ns.mucUser)?.getChild("invite"),
  );
  return waiting.join();
}

/** A moderator refuses a waiting person, who is put out of the lobby. */
export async function refuse(moderator, waiting) {
  // The lobby's answer does not reach clients.
  moderator.stream.send(`<iq xmlns="jabber:client" type="set" id="kick" to="${moderator.lobby}"><query xmlns="${ns.mucAdmin}"><item nick="${waiting.nick}" role="none"/></query></iq>`);
  await waiting.stream.inbox.take(
    ({ name, attrs }) => name === "presence" && attrs.from === `${waiting.lobby}/${waiting.nick}` && attrs.type === "unavailable",
  );
}
