import { client, xml } from "@xmpp/client";
import { names } from "./prosody.js";
import { until } from "./process.js";

const ns = {
  focus: "http://jitsi.org/protocol/focus",
  muc: "http://jabber.org/protocol/muc",
  mucUser: "http://jabber.org/protocol/muc#user",
  mucAdmin: "http://jabber.org/protocol/muc#admin",
  nick: "http://jabber.org/protocol/nick",
};

/** A room's address as the MUC component has it; the focus gets those of tenants as clients use them. */
function inner(address) {
  const [, node, tenant] = address.match(new RegExp(`^(.+)@muc\\.([^.]+)\\.${names.domain}$`)) ?? [];
  return tenant ? `[${tenant}]${node}@${names.muc}` : address;
}

/**
 * Stands in for Jicofo: opens the rooms that clients request, and reports them ready. It owns each
 * room, so it sees the affiliation of every occupant.
 * @param {{c2sPort: number}} prosody
 */
export async function startFocus({ c2sPort }) {
  const xmpp = client({
    service: `xmpp://127.0.0.1:${c2sPort}`,
    domain: names.auth,
    username: names.focusUser.split("@")[0],
    password: names.focusPassword,
    resource: "focus",
  });
  xmpp.reconnect.stop();
  const problems = [];
  xmpp.on("error", (error) => problems.push(error));
  const rooms = new Map();
  const seen = new Set();

  xmpp.on("stanza", (stanza) => {
    if (!stanza.is("presence")) return;
    const [room, nick] = stanza.attrs.from.split("/");
    seen.add(room);
    const occupants = rooms.get(inner(room));
    if (!occupants) return;
    if (stanza.attrs.type) {
      occupants.delete(nick);
      return;
    }
    const x = stanza.getChild("x", ns.mucUser);
    occupants.set(nick, {
      nick,
      ...x?.getChild("item")?.attrs,
      name: stanza.getChildText("nick", ns.nick) ?? undefined,
    });
  });

  async function open(address) {
    const room = inner(address);
    if (!rooms.has(room)) {
      rooms.set(room, new Map());
      await xmpp.send(xml("presence", { to: `${address}/focus` }, xml("x", { xmlns: ns.muc })));
    }
    await until(() => rooms.get(room).has("focus"), { what: `the focus in ${room}`, every: 10 });
  }

  xmpp.iqCallee.set(ns.focus, "conference", async ({ element }) => {
    const { room } = element.attrs;
    await open(room);
    return xml("conference", { xmlns: ns.focus, room, ready: "true", focusjid: names.focusUser });
  });

  await xmpp.start();
  await xmpp.send(xml("presence", { to: names.focus }));

  return {
    problems,
    /** Opens a room that no client has requested. */
    open,
    /** The addresses of the requested rooms, as the MUC component has them. */
    rooms: () => [...rooms.keys()],
    /** The addresses from which presences came. */
    seen: () => [...seen],
    /** The occupants of a room without the focus: nick, name, affiliation, role, jid. */
    occupants: (room) => [...(rooms.get(room)?.values() ?? [])].filter(({ nick }) => nick !== "focus"),
    /** The JIDs with one affiliation, queried from the room itself. */
    async affiliated(room, affiliation) {
      const answer = await xmpp.iqCaller.get(
        xml("query", { xmlns: ns.mucAdmin }, xml("item", { affiliation })),
        room,
      );
      return answer.getChildren("item").map(({ attrs }) => attrs.jid);
    },
    stop: () => xmpp.stop(),
  };
}
