// A stand-in for Jitsi's web application, from the page load to the joined room, with the
// same library and no user interface. `window.meeting` has its state.
(() => {
  "use strict";

  const overridable = ["enableWebsocketResume", "iAmRecorder", "preferBosh", "startWithAudioMuted", "startWithVideoMuted", "subject"];
  const pageAddress = new URL(window.location.href);

  const meeting = {
    state: "starting",
    address: pageAddress.href,
    participants: {},
    messages: [],
    errors: [],
    /** When each state was reached, in ms since the epoch. */
    since: {},
  };
  window.meeting = meeting;

  function show() {
    const lines = [
      `${meeting.state}: ${meeting.room ?? ""}`,
      ...[meeting.me, ...Object.values(meeting.participants)]
        .filter(Boolean)
        .map(({ name, role }) => `${name ?? "somebody"} (${role ?? "?"})`),
      ...meeting.messages.map(({ text }) => `> ${text}`),
      ...meeting.errors,
    ];
    document.getElementById("react").replaceChildren(
      ...lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })),
    );
  }

  function enter(state) {
    meeting.state = state;
    meeting.since[state] = Date.now();
    show();
  }

  function fail(...what) {
    meeting.errors.push(what.map((part) => part?.message ?? String(part)).join(" "));
    enter("failed");
  }

  // Hash values are JSON; what does not parse is ignored.
  function hashParameters() {
    const found = {};
    for (const part of pageAddress.hash.slice(1).split("&")) {
      const at = part.indexOf("=");
      if (at <= 0) continue;
      try {
        found[decodeURIComponent(part.slice(0, at))] = JSON.parse(decodeURIComponent(part.slice(at + 1)));
      } catch {
        // as in Jitsi: an unquoted value is no value
      }
    }
    return found;
  }

  function applyOverrides(parameters) {
    for (const name of overridable) {
      const value = parameters[`config.${name}`];
      if (value !== undefined) window.config[name] = value;
    }
  }

  function readClaims(jwt) {
    const middle = jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(middle), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  }

  const cleaned = (part) => part.replace(/[:?#[\]@!$&'()*+,;=></"]/g, "");

  // The name of the room at Prosody, and in the JWT.
  function backendName(part) {
    let decoded = part;
    try {
      decoded = decodeURIComponent(part);
    } catch {
      // a stray percent sign stays as it is
    }
    return encodeURIComponent(decoded.normalize("NFKC").toLowerCase()).toLowerCase();
  }

  function readPlace() {
    const parts = pageAddress.pathname.split("/").filter(Boolean);
    const room = parts.pop();
    return {
      room: room && backendName(cleaned(room)),
      tenant: parts.length ? backendName(cleaned(parts.join("/"))) : undefined,
    };
  }

  function serviceUrl(room) {
    const { websocket, bosh, preferBosh } = window.config;
    const url = new URL(websocket && !preferBosh ? websocket : bosh, pageAddress);
    url.searchParams.append("room", decodeURIComponent(room));
    return url.href;
  }

  function follow(conference) {
    const { conference: events } = JitsiMeetJS.events;
    const roleOf = (id) => (id === conference.myUserId() ? conference.getRole() : conference.getParticipantById(id)?.getRole());

    conference.on(events.CONFERENCE_JOINED, () => {
      Object.assign(meeting.me, { id: conference.myUserId(), role: conference.getRole() });
      enter("joined");
    });
    conference.on(events.USER_JOINED, (id, user) => {
      meeting.participants[id] = { id, name: user.getDisplayName(), role: user.getRole() };
      show();
    });
    conference.on(events.USER_LEFT, (id) => {
      delete meeting.participants[id];
      show();
    });
    conference.on(events.DISPLAY_NAME_CHANGED, (id, name) => {
      if (meeting.participants[id]) meeting.participants[id].name = name;
      show();
    });
    conference.on(events.USER_ROLE_CHANGED, (id) => {
      const who = meeting.participants[id] ?? meeting.me;
      who.role = roleOf(id);
      show();
    });
    conference.on(events.MESSAGE_RECEIVED, (from, text) => {
      meeting.messages.push({ from, text });
      show();
    });
    conference.on(events.CONFERENCE_FAILED, (...what) => fail("conference", ...what));
    meeting.say = (text) => conference.sendTextMessage(text);
    meeting.leave = () => conference.leave();
  }

  function join(connection) {
    const conference = connection.initJitsiConference(meeting.room, { p2p: { enabled: false }, ...window.config });
    follow(conference);
    if (meeting.me.name) conference.setDisplayName(meeting.me.name);
    enter("joining");
    conference.join();
  }

  function connect(jwt) {
    const { connection: events } = JitsiMeetJS.events;
    const url = serviceUrl(meeting.room);
    meeting.transport = url.startsWith("ws") ? "websocket" : "bosh";
    const connection = new JitsiMeetJS.JitsiConnection(null, jwt, { ...window.config, serviceUrl: url });
    connection.addEventListener(events.CONNECTION_ESTABLISHED, () => join(connection));
    connection.addEventListener(events.CONNECTION_FAILED, (...what) => fail("connection", ...what));
    connection.addEventListener(events.CONNECTION_DISCONNECTED, () => enter("disconnected"));
    meeting.hangUp = () => connection.disconnect();
    enter("connecting");
    connection.connect(credentials());
  }

  // A recorder's browser is started with its password in the page's storage.
  function credentials() {
    if (!window.config.iAmRecorder) return {};
    const kept = JSON.parse(hashParameters()["appData.localStorageContent"] ?? "{}");
    return { id: kept.xmpp_username_override, password: kept.xmpp_password_override };
  }

  function start() {
    const parameters = hashParameters();
    applyOverrides(parameters);
    Object.assign(meeting, readPlace(), { config: window.config });
    if (!meeting.room) {
      enter("welcome");
      return;
    }
    const jwt = parameters.jwt ?? pageAddress.searchParams.get("jwt") ?? undefined;
    meeting.jwt = jwt;
    // The state in which Jitsi keeps the parsed token.
    window.APP = { store: { getState: () => ({ "features/base/jwt": { jwt } }) } };
    let user = {};
    try {
      user = (jwt && readClaims(jwt).context?.user) || {};
    } catch (error) {
      meeting.errors.push(`jwt: ${error.message}`);
    }
    meeting.me = {
      name: user.name ?? parameters["userInfo.displayName"],
      email: user.email,
      avatar: user.avatar ?? user.avatarUrl,
    };
    JitsiMeetJS.setLogLevel(JitsiMeetJS.logLevels.WARN);
    JitsiMeetJS.init({ disableAudioLevels: true, disableThirdPartyRequests: true, ...window.config });
    connect(jwt);
  }

  document.addEventListener("DOMContentLoaded", start);
})();
