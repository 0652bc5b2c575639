import { runInNewContext } from "node:vm";
import { signIn } from "./browser.js";
import { sendRequest } from "./http.js";

/** The `User-Agent` of Jitsi's apps. React Native also sends an `Origin`, Node does not. */
const agents = {
  ios: "JitsiMeet/24.5 CFNetwork/1568.100.1 Darwin/24.0.0",
  android: "okhttp/4.12.0",
  electron: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) JitsiMeet/2026.8.0 Chrome/140.0.0.0 Electron/38.2.0 Safari/537.36",
};

const schemes = { ios: "org.jitsi.meet:", android: "org.jitsi.meet:", electron: "jitsi-meet:" };

/**
 * Simulates the requests of Jitsi's app on a phone or a desktop.
 * @param {"ios" | "android" | "electron"} kind
 * @param {object} site
 */
export function startApp(kind, site) {
  const agent = agents[kind];
  /** The headers of every request; the app has no cookies. */
  const headers = { "user-agent": agent, ...(kind !== "electron" && { origin: site.url }) };
  return {
    kind, agent, headers,

    /** Fetches `config.js` for a room and evaluates it outside a page. */
    async configure(room, tenant) {
      const path = tenant ? `/${tenant}/config.js` : "/config.js";
      const { status, text } = await sendRequest(site, `${path}?room=${encodeURIComponent(room)}`, {
        headers: { "user-agent": agent },
      });
      if (status !== 200) throw new Error(`config.js: HTTP ${status}`);
      return JSON.parse(runInNewContext(`${text}\n;JSON.stringify(config)`));
    },

    /**
     * The address that the app opens in the system's browser for a sign-in.
     * @param {object} config
     * @param {string} room as it stands in the room's address
     */
    loginAddress({ tokenAuthUrl }, room, { tenant, options = {} } = {}) {
      const state = {
        room,
        roomSafe: encodeURIComponent(decodeURIComponent(room).normalize("NFKC").toLowerCase()).toLowerCase(),
        tenant,
        "config.prejoinConfig.enabled": false,
        "config.startWithAudioMuted": false,
        ...options,
        [kind]: true,
      };
      return tokenAuthUrl
        .replace("{room}", room)
        .replace("{state}", encodeURIComponent(JSON.stringify(state)));
    },

    /**
     * Opens an address in the system's browser, signs in with `login`, and returns the deep link.
     */
    async signIn({ page }, address, login) {
      await page.goto(address, { waitUntil: "commit" });
      if (login) await signIn(page, login, site.provider);
      return page.locator("#open").getAttribute("href");
    },

    /** Parses a deep link as the app does. */
    parseLink(link) {
      let address = link;
      // Android parses the address with `Intent.parseUri`.
      const intent = link.match(/^intent:(\/\/.*)#Intent;scheme=([^;]+);package=([^;]+);end$/);
      if (intent) {
        if (intent[3] !== "org.jitsi.meet") throw new Error(`another app's: ${intent[3]}`);
        address = `${intent[2]}:${intent[1]}`;
      }
      const url = new URL(address);
      if (url.protocol !== schemes[kind]) throw new Error(`not for this app: ${url.protocol}`);
      return {
        server: `https://${url.host}`,
        path: url.pathname,
        token: url.searchParams.get("jwt"),
        options: Object.fromEntries(url.hash.slice(1).split("&").filter(Boolean).map((pair) => {
          const [name, value] = pair.split("=");
          return [name, JSON.parse(decodeURIComponent(value))];
        })),
      };
    },

    /** The options with which the functions of `xmpp-lite.js` connect as this app. */
    connection(room, token, more = {}) {
      return {
        transport: "websocket", base: site.url, tls: site.tls, headers, room, nick: kind,
        ...more,
        query: { room: decodeURIComponent(room), ...(token && { token }), ...more.query },
      };
    },
  };
}
