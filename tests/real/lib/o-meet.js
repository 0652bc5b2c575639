import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:https";
import { makeCertificate } from "./certificate.js";
import { listen, temporaryDirectory } from "./process.js";

/** A text as Python's `json.dumps` writes it. */
const python = (text) => JSON.stringify(text).replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

const attribute = (text) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");

/**
 * Odoo with the module O-Meet (abeleyasu/my-odoo-modules c1f0bd8, jitsi_meet_ui 1.1.0): its addresses, its
 * token (models/jitsi_meeting.py, lines 87 to 117; controllers/main.py, lines 15 to 28) and what its page
 * does (views/templates.xml, from line 175 on). It is reached by IP address, so that it is another site
 * than the gateway. Unlike the module, the page passes on a port of the server, which tests need.
 * @param {{users: Record<string, {name: string, email: string}>, now: () => number}} options accounts by
 *   the value of the cookie `session_id`, and the clock in milliseconds
 */
export async function startOMeet({ users, now = Date.now }) {
  const directory = await temporaryDirectory("o-meet");
  const { key, pem } = await makeCertificate(directory.path);
  const parameters = { server: "", domain: "meet.example.org", appId: "odoo", secret: randomBytes(32).toString("hex") };
  /** Owners of meetings, by the code of the room. */
  const meetings = new Map();
  const tokens = [];

  function sign(room, { name, email }, moderator) {
    const [app, seconds] = [python(parameters.appId), Math.floor(now() / 1000)];
    const payload = `{"iss":${app},"aud":${app},"exp":${seconds + 7200},"nbf":${seconds - 10},"sub":${python(parameters.domain)},`
      + `"room":${python(room)},"context":{"user":{"name":${python(name)},"email":${python(email)},"moderator":"${moderator}"}}}`;
    const message = ['{"alg":"HS256","typ":"JWT"}', payload].map((part) => Buffer.from(part).toString("base64url")).join(".");
    const token = `${message}.${createHmac("sha256", parameters.secret).update(message).digest("base64url")}`;
    tokens.push(token);
    return token;
  }

  function page(room, login) {
    const user = users[login];
    const jwt = sign(room, user ?? { name: "Guest", email: "" }, meetings.get(room) === login);
    const data = { server: parameters.server, room, jwt, name: user?.name ?? "Guest", email: user?.email ?? "" };
    const attributes = Object.entries(data).map(([name, value]) => `data-${name}="${attribute(value)}"`).join(" ");
    return `<!DOCTYPE html>
<meta charset="utf-8">
<title>O-Meet Room</title>
<div id="meeting" style="height: 100vh" ${attributes}></div>
<script>
  const container = document.getElementById("meeting");
  const { server, room, jwt, name, email } = container.dataset;
  const script = document.createElement("script");
  script.src = server + "/external_api.js";
  script.onload = () => {
    try {
      const api = new JitsiMeetExternalAPI(new URL(server).host, {
        roomName: room,
        parentNode: container,
        width: "100%",
        height: "100%",
        userInfo: { displayName: name, email },
        configOverwrite: { startWithAudioMuted: false, startWithVideoMuted: false, prejoinPageEnabled: false },
        interfaceConfigOverwrite: { TOOLBAR_BUTTONS: ["microphone", "camera", "hangup", "mute-everyone"] },
        jwt,
      });
      api.addEventListener("videoConferenceJoined", () => {
        api.executeCommand("displayName", name);
        if (email) api.executeCommand("email", email);
      });
    } catch (error) {
      container.textContent = "Failed to load meeting: " + error;
    }
  };
  document.head.appendChild(script);
</script>
`;
  }

  const server = createServer({ cert: pem, key: await readFile(key) }, (request, response) => {
    const room = request.url.match(/^\/o-meet\/join\/([\w-]+)$/)?.[1];
    if (!meetings.has(room)) return response.writeHead(404).end();
    const login = request.headers.cookie?.match(/session_id=(\w+)/)?.[1];
    return response.setHeader("content-type", "text/html").end(page(room, login));
  });
  const port = await listen(server);
  const url = `https://127.0.0.1:${port}`;
  return {
    url, parameters, tokens,
    /** Creates a meeting of a user; returns its room and the address that the calendar shows. */
    create(login) {
      const room = `meet-${randomBytes(5).toString("hex")}`;
      meetings.set(room, login);
      return { room, address: `${url}/o-meet/join/${room}` };
    },
    /** The cookie of somebody who is signed in at Odoo. */
    session: (login) => ({ name: "session_id", value: login, url }),
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
      await directory.remove();
    },
  };
}
