// A meeting in Jitsi's native app, by the rules of its libraries.
//
// It follows lib-jitsi-meet at 01daa07c (2026-08-20) and jitsi-meet of the same month:
// - modules/xmpp/xmpp.ts, `connectionHandler`: a SASL failure (`AUTHFAIL`, line 1105) is
//   "password required", anything else that ends a connection attempt is another error (line 1040);
// - jitsi-meet react/features/authentication/middleware.ts, `CONNECTION_FAILED`: "password required"
//   leads to `tokenAuthUrl`, unless there is a token already; other errors lead to a reload;
// - modules/xmpp/xmpp.ts, lines 387 to 397: a client that wants to resume first looks at the `exp` of
//   its token, and gives up if that has passed;
// - modules/xmpp/ResumeTask.ts, `resumeConnection`: the id of the stream goes into the address, as
//   `previd`, beside the token that the address has already;
// - modules/xmpp/strophe.stream-management.ts, `_handleResumeFailed`: a stream that the server does
//   not know leads to a disconnection, and so to a reload;
// - jitsi-meet react/features/app/actions.any.ts, `maybeRedirectToTokenAuthUrl`: a reload with a token
//   whose `exp` has passed goes to `tokenAuthUrl`, any other connects anew.

import { until } from "./process.js";
import { read } from "./tokens.js";
import { enableResumption, enter, ping, resume } from "./xmpp-lite.js";

/**
 * Opens a room in an app.
 * @param {object} app from `startApp`
 * @param {object} options
 * @param {string} options.room as it stands in the room's address
 * @param {"websocket" | "bosh"} options.transport
 * @param {() => number} [options.now] milliseconds
 */
export async function openInApp(app, { room, transport, now = Date.now }) {
  const config = await app.configure(room);
  let token;
  let tls = {};
  let visit;
  let resumption;
  let joins = 0;

  const expired = () => token !== undefined && now() >= read(token).exp * 1000;
  const target = () => {
    joins += 1;
    const connection = app.connection(room.toLowerCase(), token, { transport, nick: `${app.kind}${joins}` });
    return { ...connection, tls: { ...connection.tls, ...tls }, wait: 1 };
  };

  /** Connects and joins. Returns what the app does next: "joined", "sign in", or "reload". */
  async function connect() {
    if (expired()) return "sign in";
    try {
      visit = await enter(target());
      resumption = transport === "websocket" ? await enableResumption(visit.stream) : undefined;
      return "joined";
    } catch (error) {
      const passwordRequired = error.name === "LoginRefused";
      return passwordRequired && !token && config.tokenAuthUrl ? "sign in" : "reload";
    }
  }

  return {
    connect,
    get jid() { return visit.jid; },
    get affiliation() { return visit.affiliation; },
    get stream() { return visit.stream; },
    loginAddress: () => app.loginAddress(config, room),
    /** The app is opened by a deep link. */
    follow(link) {
      ({ token } = app.parseLink(link));
    },
    /** The network is lost; whoever is reached from now on sees another address. */
    async lose(localAddress) {
      tls = { localAddress };
      if (transport === "websocket") {
        visit.stream.cut();
        return;
      }
      // Between two polls: Prosody does not take a request again whose successor came first.
      visit.stream.rest();
      await until(() => visit.stream.idle, { what: "the poll is answered", every: 10 });
      visit.stream.move(localAddress);
    },
    /** The network is back. Returns "went on", "joined" (anew), "sign in" or "gave up". */
    async comeBack() {
      if (transport === "bosh") {
        const goesOn = await ping(visit.stream).then(() => true, () => false);
        if (goesOn) return "went on";
      }
      if (resumption) {
        if (expired()) return "gave up";
        try {
          visit = { ...visit, stream: await resume(resumption, target()) };
          return "went on";
        } catch {
          resumption = undefined;
        }
      }
      return connect();
    },
    ping: () => ping(visit.stream),
    close: () => visit?.stream.close(),
  };
}
