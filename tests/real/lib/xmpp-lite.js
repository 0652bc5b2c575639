import { JoinRefused, LoginRefused } from "./xmpp/errors.js";
import { prepareBosh } from "./xmpp/bosh.js";
import { openWebSocket } from "./xmpp/websocket.js";

export * from "./xmpp/errors.js";
export { post } from "./xmpp/bosh.js";
export { openWebSocket, prepareBosh };

const paths = { websocket: "/xmpp-websocket", bosh: "/http-bind" };
const ns = {
  sasl: "urn:ietf:params:xml:ns:xmpp-sasl",
  bind: "urn:ietf:params:xml:ns:xmpp-bind",
  muc: "http://jabber.org/protocol/muc",
  mucUser: "http://jabber.org/protocol/muc#user",
  nick: "http://jabber.org/protocol/nick",
  stanzas: "urn:ietf:params:xml:ns:xmpp-stanzas",
  jitsi: "http://jitsi.org/jitmeet",
  resumption: "urn:xmpp:sm:3",
};

/** The text of a query string: an object, or a string that is used unchanged. */
function queryText(query) {
  return typeof query === "string" ? query : new URLSearchParams(query).toString();
}

/**
 * Connects without logging in.
 * @param {object} target
 * @param {"websocket" | "bosh"} target.transport
 * @param {string} target.base e.g. `http://127.0.0.1:5280`
 * @param {string} [target.tenant]
 * @param {object | string} [target.query] a string is sent as it is
 * @param {object} [target.headers]
 * @param {object} [target.tls]
 * @param {string} [target.domain]
 */
export async function connect({ transport, base, tenant, path, query = "", domain = "meet.jitsi", ...rest }) {
  const text = queryText(query);
  const url = base + (tenant ? `/${tenant}` : "") + (path ?? paths[transport]) + (text ? `?${text}` : "");
  return transport === "websocket"
    ? openWebSocket({ url, domain, ...rest })
    : prepareBosh({ url, domain, ...rest });
}

/**
 * SASL on an open stream: ANONYMOUS, or PLAIN with credentials. Throws `LoginRefused`.
 * @param {{user: string, password: string}} [credentials] `user` is the part before the `@`
 */
export async function sasl(stream, credentials) {
  const plain = credentials && Buffer.from(`\0${credentials.user}\0${credentials.password}`).toString("base64");
  stream.send(plain
    ? `<auth xmlns="${ns.sasl}" mechanism="PLAIN">${plain}</auth>`
    : `<auth xmlns="${ns.sasl}" mechanism="ANONYMOUS"/>`);
  const answer = await stream.inbox.take((element) => element.getNS() === ns.sasl);
  if (answer.name === "failure") {
    const condition = answer.children.find((child) => child.name && child.name !== "text");
    throw new LoginRefused(condition?.name, answer.getChildText("text"));
  }
}

/** Opens the stream, logs in and binds a resource. Returns the full JID. */
export async function authenticate(stream, credentials) {
  await stream.open();
  await sasl(stream, credentials);
  await stream.open();
  const bound = await request(stream, `<bind xmlns="${ns.bind}"/>`);
  return bound.getChild("bind", ns.bind).getChildText("jid");
}

let lastId = 0;

/** Sends an IQ and returns its result or error. */
export async function request(stream, content, { type = "set", to, within } = {}) {
  const id = `lite${++lastId}`;
  const address = to ? ` to="${to}"` : "";
  stream.send(`<iq xmlns="jabber:client" type="${type}" id="${id}"${address}>${content}</iq>`);
  return stream.inbox.take((element) => element.name === "iq" && element.attrs.id === id, within);
}

/** Enables stream resumption (XEP-0198) and returns the id of the stream. */
export async function enableResumption(stream) {
  stream.send(`<enable xmlns="${ns.resumption}" resume="true"/>`);
  const answer = await stream.inbox.take((element) => element.getNS() === ns.resumption && element.name !== "r");
  if (answer.name !== "enabled") throw new Error(`no resumption: ${answer}`);
  return answer.attrs.id;
}

/**
 * Connects to resume a broken stream, as Jitsi's client does: the address has the id of the stream,
 * and the login is repeated. Throws if the server does not know the stream.
 */
export async function resume(id, { query, credentials, ...target }) {
  const stream = await connect({ ...target, query: { ...query, previd: id } });
  try {
    await stream.open();
    await sasl(stream, credentials);
    await stream.open();
    stream.send(`<resume xmlns="${ns.resumption}" previd="${id}" h="0"/>`);
    const answer = await stream.inbox.take(({ name }) => name === "resumed" || name === "failed");
    if (answer.name === "failed") throw new Error(`not resumed: ${answer}`);
    return stream;
  } catch (error) {
    await stream.close();
    throw error;
  }
}

/** An XMPP ping to the server. */
export async function ping(stream, { domain = "meet.jitsi", within } = {}) {
  const answer = await request(stream, '<ping xmlns="urn:xmpp:ping"/>', { type: "get", to: domain, within });
  if (answer.attrs.type !== "result") throw new Error(`ping: ${answer}`);
}

/** Requests the conference from the focus, as Jitsi's client does before it joins. */
export async function requestConference(stream, room, { domain = "meet.jitsi" } = {}) {
  const answer = await request(
    stream,
    `<conference xmlns="http://jitsi.org/protocol/focus" room="${room}" machine-uid="lite"/>`,
    { to: `focus.${domain}` },
  );
  if (answer.attrs.type !== "result") throw new Error(`conference request: ${answer}`);
  return answer.getChild("conference", "http://jitsi.org/protocol/focus").attrs;
}

/** The room that Jitsi's features find for a client, of which none is told the address. */
export async function featuresRoom(stream, { domain = "meet.jitsi" } = {}) {
  const asked = '<room xmlns="urn:test:room-features"/>';
  const answer = await request(stream, asked, { type: "get", to: `features.${domain}` });
  if (answer.attrs.type !== "result") throw new Error(`room features: ${answer}`);
  return answer.getChild("room", "urn:test:room-features").attrs;
}

/**
 * Joins a room. Returns the occupant's own presence, or throws `JoinRefused`.
 * @param {string} [name] the display name
 */
export async function join(stream, room, nick, name) {
  const shown = name ? `<nick xmlns="${ns.nick}">${name}</nick>` : "";
  stream.send(`<presence xmlns="jabber:client" to="${room}/${nick}"><x xmlns="${ns.muc}"/>${shown}</presence>`);
  const answer = await stream.inbox.take(
    (element) => element.name === "presence"
      && element.attrs.from?.startsWith(room)
      && (element.attrs.type === "error" || isOwnPresence(element)),
  );
  if (answer.attrs.type === "error") {
    const error = answer.getChild("error");
    const condition = error.children.find((child) => child.getNS?.() === ns.stanzas && child.name !== "text");
    const marker = error.children.find((child) => child.getNS?.() === ns.jitsi)
      ?? answer.children.find((child) => child.getNS?.() === ns.jitsi);
    throw new JoinRefused(condition?.name, error.getChildText("text"), marker?.name);
  }
  return answer;
}

function isOwnPresence(presence) {
  return presence.getChild("x", ns.mucUser)?.getChildren("status").some(({ attrs }) => attrs.code === "110");
}

/** The affiliation, role and JID in a presence from a room. */
export function mucItem(presence) {
  const { affiliation, role, jid } = presence.getChild("x", ns.mucUser).getChild("item").attrs;
  return { affiliation, role, jid };
}

/**
 * Connects, logs in, requests the conference and joins. Returns the stream and the presence; closes
 * the stream if a step is refused.
 */
export async function enter({ room, nick = "lite", muc = "muc.meet.jitsi", credentials, ...target }) {
  const stream = await connect(target);
  try {
    const jid = await authenticate(stream, credentials);
    const address = `${room}@${muc}`;
    await requestConference(stream, address);
    const presence = await join(stream, address, nick);
    return { stream, jid, presence, ...mucItem(presence) };
  } catch (error) {
    await stream.close();
    throw error;
  }
}

/** Logs in and closes the stream again; throws if the token is refused. */
export async function login({ credentials, ...target }) {
  const stream = await connect(target);
  try {
    return await authenticate(stream, credentials);
  } finally {
    await stream.close();
  }
}
