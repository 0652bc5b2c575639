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
 * @param {(plan: object) => object} [options.settings] of the gateway, asked for when it starts
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
    const focus = keep(await startFocus(prosody));
    const web = keep(await startWeb({ publicUrl, ...webSettings }));
    const provider = keep(await startProvider({ publicUrl, ca: plan.certificate.pem, ...providerSettings }));
    const relay = breakable ? keep(await startRelay(prosody.httpPort)) : undefined;
    const gateway = keep(await startGateway(plan, {
      neighbours: { web: web.url, xmpp: (relay ?? prosody).url, issuer: provider.issuer },
      settings: await settings?.(plan),
    }));
    const browser = keep(await startBrowser());

    /**
     * Opens a path as somebody, signs in on the way, and answers the visitor.
     * `watch` gets the visitor before the first request.
     */
    const arrive = async (login, path, { watch = () => {} } = {}) => {
      const visitor = await browser.visitor();
      watch(visitor);
      await visitor.page.goto(publicUrl + path, { waitUntil: "commit" });
      await signIn(visitor.page, login, provider);
      await visitor.page.waitForURL((url) => !url.pathname.startsWith("/_gateway/"));
      for (const { value } of await visitor.context.cookies(publicUrl)) await keepOutOfLogs(label, value);
      return visitor;
    };

    return {
      prosody, focus, web, provider, relay, gateway, browser, stop, arrive,
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
