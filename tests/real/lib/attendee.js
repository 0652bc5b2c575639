import { setTimeout as pause } from "node:timers/promises";
import { Inbox } from "./xmpp/inbox.js";
import { authenticate, connect, join, ping, requestConference, sasl } from "./xmpp-lite.js";

const resumption = "urn:xmpp:sm:3";
const stanzas = new Set(["message", "presence", "iq"]);

/**
 * When Jitsi's client resumes its stream after the socket broke, in ms; after the third failure it
 * gives up (lib-jitsi-meet, `ResumeTask.ts`).
 */
const delays = [[1_500, 3_000], [3_000, 9_000], [4_500, 27_000]];

/** An inbox with a filter: elements for which it returns `true` are not stored. */
class FilteringInbox extends Inbox {
  #intercept;

  /** @param {(element: import("ltx").Element) => boolean} intercept */
  constructor(intercept) {
    super();
    this.#intercept = intercept;
  }

  push(element) {
    if (!this.#intercept(element)) super.push(element);
  }
}

/**
 * An occupant that stays in a room: over a WebSocket the stream is resumed when it breaks
 * (XEP-0198), over BOSH requests are repeated.
 * @param {object} target as for `connect`, with `room` and `nick`
 */
export async function attend({ room, nick, muc = "muc.meet.jitsi", ...target }) {
  const address = `${room}@${muc}`;
  const reports = { received: [], left: [], resumed: [], attempts: [], rejoined: 0, retried: 0, problems: [] };
  const counted = { enabled: false, handled: 0, sent: 0, unacknowledged: [], id: undefined };
  let joined = false;
  let closing = false;
  let stream;

  const acknowledge = (h) => {
    // The server has handled all stanzas except the last ones.
    const left = counted.sent - Number(h);
    counted.unacknowledged = left > 0 ? counted.unacknowledged.slice(-left) : [];
  };

  const intercept = (element) => {
    if (counted.enabled && stanzas.has(element.name)) counted.handled += 1;
    if (element.name === "r") {
      stream.send(`<a xmlns="${resumption}" h="${counted.handled}"/>`);
      return true;
    }
    if (element.name === "a") {
      acknowledge(element.attrs.h);
      return true;
    }
    if (element.name === "enabled") {
      Object.assign(counted, { enabled: true, id: element.attrs.id, sent: 0 });
      return false;
    }
    if (element.name === "message") {
      const body = element.getChildText("body");
      if (body && element.attrs.type === "groupchat") reports.received.push(body);
      if (element.attrs.type === "error") reports.problems.push(`${element}`);
      return true;
    }
    if (element.name === "presence" && joined) {
      if (element.attrs.type === "unavailable") reports.left.push(element.attrs.from);
      if (element.attrs.type === "error") reports.problems.push(`${element}`);
      return true;
    }
    return false;
  };

  const open = (query) => connect({
    ...target,
    query,
    inbox: new FilteringInbox(intercept),
    onRetry: (error) => {
      reports.retried += 1;
      reports.attempts.push(error.code ?? error.message);
    },
  });
  const query = { room };

  async function enter() {
    stream = await open(query);
    joined = false;
    await authenticate(stream);
    if (target.transport === "websocket") {
      stream.send(`<enable xmlns="${resumption}" resume="true"/>`);
      await stream.inbox.take(({ name }) => name === "enabled");
      watch(stream);
    }
    await requestConference(withAcknowledgements(stream), address);
    await join(withAcknowledgements(stream), address, nick);
    joined = true;
  }

  /** A stream that keeps stanzas until the server acknowledges them. */
  const withAcknowledgements = (connection) => ({ ...connection, inbox: connection.inbox, send });

  function send(xml) {
    if (counted.enabled) {
      counted.sent += 1;
      counted.unacknowledged.push(xml);
    }
    stream.send(xml);
    if (counted.enabled) stream.send(`<r xmlns="${resumption}"/>`);
  }

  function watch(connection) {
    void connection.closed.then(async ({ code }) => {
      if (closing) return;
      const broke = Date.now();
      for (const [least, most] of delays) {
        await pause(least + Math.random() * (most - least));
        if (closing) return;
        const began = Date.now();
        try {
          await resume();
          reports.resumed.push({ code, broke, took: Date.now() - broke, waited: began - broke });
          watch(stream);
          return;
        } catch (error) {
          reports.attempts.push(error.message);
        }
      }
      reports.rejoined += 1;
      counted.enabled = false;
      await enter().catch((error) => reports.problems.push(error.message));
    });
  }

  async function resume() {
    const next = await open({ ...query, previd: counted.id });
    try {
      await next.open();
      await sasl(next);
      await next.open();
      next.send(`<resume xmlns="${resumption}" previd="${counted.id}" h="${counted.handled}"/>`);
      const { name, attrs } = await next.inbox.take((element) => element.name === "resumed" || element.name === "failed");
      if (name === "failed") throw new Error("the server does not know the stream any more");
      stream = next;
      acknowledge(attrs.h);
      for (const xml of counted.unacknowledged) next.send(xml);
    } catch (error) {
      await next.close();
      throw error;
    }
  }

  await enter();
  return {
    room, nick, address, reports,
    kind: target.transport,
    sendMessage: (body) => send(`<message xmlns="jabber:client" type="groupchat" to="${address}"><body>${body}</body></message>`),
    ping: () => ping(withAcknowledgements(stream), { within: 20_000 }),
    async leave() {
      closing = true;
      await stream.close();
    },
  };
}
