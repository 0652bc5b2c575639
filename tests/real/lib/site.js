import { waitForState, signIn, startBrowser } from "./browser.js";
import { startFocus } from "./focus.js";
import { registerSecret, planGateway, startGateway } from "./gateway.js";
import { collectParts } from "./parts.js";
import { startProsody } from "./prosody.js";
import { startProvider } from "./provider.js";
import { startRelay } from "./relay.js";
import { appSecret } from "./tokens.js";
import { startWeb } from "./web.js";

/**
 * A whole deployment: Prosody with a focus, a stand-in for Jitsi's web server, an OpenID provider,
 * and the gateway in front of them.
 * @param {object} options
 * @param {string} options.label names the gateway's log
 * @param {(plan: object) => Promise<object>} [options.prosody] settings of Prosody, which may need
 *   the gateway's address; the shared secret by default
 * @param {(plan: object, provider: object) => object} [options.settings] of the gateway, asked for when it starts;
 *   may be a promise
 * @param {object} [options.web]
 * @param {object} [options.provider]
 * @param {object} [options.env] of the gateway
 * @param {boolean} [options.breakable] whether there is a relay between the gateway and Prosody
 */
export async function startSite({
  label, prosody: prosodySettings, settings, web: webSettings, provider: providerSettings, env, breakable = false,
}) {
  const { keep, stop } = collectParts();
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
      settings: await settings?.(plan, provider),
      env,
    }));
    const browser = keep(await startBrowser());

    const registerCookies = async ({ context }) => {
      for (const { value } of await context.cookies(publicUrl)) await registerSecret(label, value);
    };

    /**
     * Opens a path without signing in, and returns the visitor.
     *
     * `watch` gets the visitor before the first request; `by` is the browser, and `options` are
     * those of its context.
     */
    const visit = async (path, { watch = () => {}, by = browser, ...options } = {}) => {
      const visitor = await by.visitor(options);
      watch(visitor);
      await visitor.page.goto(publicUrl + path, { waitUntil: "commit" });
      return visitor;
    };

    /** Signs in a visitor whose page is being redirected to the provider. */
    const finishSignIn = async (visitor, login) => {
      await signIn(visitor.page, login, provider);
      await visitor.page.waitForURL((url) => !url.pathname.startsWith("/_gateway/"));
      await registerCookies(visitor);
      return visitor;
    };

    /** Opens a path, signs in at the provider, and returns the visitor. */
    const visitAs = async (login, path, options) => finishSignIn(await visit(path, options), login);

    return {
      prosody, web, provider, relay, gateway, browser, stop, visit, visitAs, finishSignIn,
      /** Opens a path, and signs in by the link on its page. */
      async visitAndSignIn(login, path, options) {
        const visitor = await visit(path, options);
        await visitor.page.locator('main a[href^="/_gateway/login"]').click();
        return finishSignIn(visitor, login);
      },
      /**
       * Creates a meeting on the start page of a signed-in visitor; returns its room, the links on
       * its page, and the address of that page.
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
        const [guest, host] = await Promise.all(["invite", "host"].map((id) => page.locator(`#${id}`).inputValue()));
        const all = await page.getByRole("link", { name: "Open the meeting" }).getAttribute("href");
        for (const link of [guest, host]) await registerSecret(label, new URL(link).searchParams.get("invite"));
        const url = new URL(page.url());
        return { room: url.searchParams.get("room"), page: url.pathname + url.search, links: { all, guest, host } };
      },
      /** Submits a name in the form for guests. */
      async enterGuestName(visitor, name) {
        await visitor.page.getByRole("textbox").fill(name);
        // The address of the room is the same before and after the form.
        const answered = visitor.page.waitForEvent("framenavigated");
        await visitor.page.locator("main form button").click();
        await answered;
        await registerCookies(visitor);
      },
      get focus() {
        return focus;
      },
      /** Connects a new focus, as Jicofo does when Prosody restarts. */
      async reconnectFocus() {
        await focus.stop().catch(() => {});
        focus = await startFocus(prosody);
      },
      url: publicUrl,
      tls: gateway.tls,
      /** Like `visitAs`, and waits until the page has joined its room. */
      async attend(login, path, options) {
        const visitor = await visitAs(login, path, options);
        return { ...visitor, meeting: await waitForState(visitor.page, "joined") };
      },
      /** The headers of a signed-in browser, for a client without a browser. */
      async headersOf(login) {
        const { context } = await visitAs(login, "/_gateway/login?return_to=%2Fstatic%2Fclose.html");
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
