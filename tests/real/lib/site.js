import { reaches, signIn, startBrowser } from "./browser.js";
import { startFocus } from "./focus.js";
import { keepOutOfLogs, planGateway, startGateway } from "./gateway.js";
import { startProsody } from "./prosody.js";
import { startProvider } from "./provider.js";
import { startRelay } from "./relay.js";
import { appSecret } from "./tokens.js";
import { startWeb } from "./web.js";

/**
 * A whole deployment: Prosody with a focus, Jitsi's web stand-in, an OpenID
 * provider, and the gateway in front of them.
 * @param {object} options
 * @param {string} options.label names the gateway's log
 * @param {(plan: object) => Promise<object>} [options.prosody] settings of Prosody, which may need
 *   the gateway's address; the shared secret by default
 * @param {(plan: object) => object} [options.settings] of the gateway, asked for when it starts; may
 *   be a promise
 * @param {object} [options.web]
 * @param {object} [options.provider]
 * @param {boolean} [options.breakable] whether there is a relay between the gateway and Prosody
 */
export async function startSite({
  label, prosody: prosodySettings, settings, web: webSettings, provider: providerSettings, breakable = false,
}) {
  const started = [];
  const keep = (part) => {
    started.unshift(part);
    return part;
  };
  const stop = async () => {
    for (const part of started.splice(0)) await part.stop();
  };
  try {
    const plan = await planGateway({ label });
    const { publicUrl } = plan;
    const prosody = keep(await startProsody((await prosodySettings?.(plan)) ?? { secret: appSecret }));
    let focus = await startFocus(prosody);
    keep({ stop: () => focus.stop() });
    const web = keep(await startWeb({ publicUrl, ...webSettings }));
    const provider = keep(await startProvider({ publicUrl, ca: plan.certificate.pem, ...providerSettings }));
    const relay = breakable ? keep(await startRelay(prosody.httpPort)) : undefined;
    const gateway = keep(await startGateway(plan, {
      neighbours: { web: web.url, xmpp: (relay ?? prosody).url, issuer: provider.issuer },
      settings: await settings?.(plan),
    }));
    const browser = keep(await startBrowser());

    const keepCookiesOutOfLogs = async ({ context }) => {
      for (const { value } of await context.cookies(publicUrl)) await keepOutOfLogs(label, value);
    };

    /**
     * Opens a path as nobody in particular, and answers the visitor.
     * `watch` gets the visitor before the first request; `by` is the browser, and `options` are
     * those of its context.
     */
    const knock = async (path, { watch = () => {}, by = browser, ...options } = {}) => {
      const visitor = await by.visitor(options);
      watch(visitor);
      await visitor.page.goto(publicUrl + path, { waitUntil: "commit" });
      return visitor;
    };

    /** Signs a visitor in whose page is on its way to the provider. */
    const finishSignIn = async (visitor, login) => {
      await signIn(visitor.page, login, provider);
      await visitor.page.waitForURL((url) => !url.pathname.startsWith("/_gateway/"));
      await keepCookiesOutOfLogs(visitor);
      return visitor;
    };

    /** Opens a path as somebody, signs in on the way, and answers the visitor. */
    const arrive = async (login, path, options) => finishSignIn(await knock(path, options), login);

    return {
      prosody, web, provider, relay, gateway, browser, stop, knock, arrive, finishSignIn,
      /** Opens a path whose page offers to sign in, and takes the offer. */
      async signInAt(login, path, options) {
        const visitor = await knock(path, options);
        await visitor.page.locator('main a[href^="/_gateway/login"]').click();
        return finishSignIn(visitor, login);
      },
      /**
       * Makes a meeting on the start page of somebody who is signed in, and answers its room, the
       * addresses on its page, and that of the page.
       */
      async makeMeeting({ page }, name) {
        await page.goto(publicUrl, { waitUntil: "commit" });
        if (name) {
          await page.getByLabel("Or choose a name").fill(name);
          await page.getByRole("button", { name: "Start", exact: true }).click();
        } else {
          await page.getByRole("button", { name: "New meeting" }).click();
        }
        await page.waitForURL((url) => url.pathname === "/_gateway/meeting");
        const [all, guest, host] = await Promise.all(["public", "guest", "host"].map((id) => page.locator(`#${id}`).inputValue()));
        for (const link of [guest, host]) await keepOutOfLogs(label, new URL(link).searchParams.get("invite"));
        const url = new URL(page.url());
        return { room: url.searchParams.get("room"), page: url.pathname + url.search, links: { all, guest, host } };
      },
      /** Says a name on the page that asks guests for it. */
      async sayName(visitor, name) {
        await visitor.page.getByRole("textbox").fill(name);
        // The room's address is the same before and after.
        const answered = visitor.page.waitForEvent("framenavigated");
        await visitor.page.locator("main form button").click();
        await answered;
        await keepCookiesOutOfLogs(visitor);
      },
      get focus() {
        return focus;
      },
      /** Connects the focus anew, as Jicofo does by itself when Prosody was started again. */
      async refocus() {
        await focus.stop().catch(() => {});
        focus = await startFocus(prosody);
      },
      url: publicUrl,
      tls: gateway.tls,
      /** Like `arrive`, and waits until the page has joined its room. */
      async attend(login, path, options) {
        const visitor = await arrive(login, path, options);
        return { ...visitor, meeting: await reaches(visitor.page, "joined") };
      },
      /** What a signed-in browser sends along: the headers for a client without a browser. */
      async headersOf(login) {
        const { context } = await arrive(login, "/_gateway/login?return_to=%2Fstatic%2Fclose.html");
        const cookies = await context.cookies(publicUrl);
        await context.close();
        return {
          cookie: cookies.map(({ name, value }) => `${name}=${value}`).join("; "),
          origin: publicUrl,
        };
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
