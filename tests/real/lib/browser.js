import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { temporaryDirectory } from "./process.js";

/**
 * The most a page is waited for, in milliseconds: a deadline for a page that hangs. Beside other tests, which have the
 * processor first, a page that works has taken more than Playwright's 30 seconds.
 */
const DEADLINE = 120_000;

export const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Blocks every request to other hosts than loopback.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
];

/** Debian's Chromium, headless. */
export const launchChromium = (args = flags) => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args,
});

/**
 * Starts Chromium, headless.
 *
 * `visitor()` creates a context with its own cookies: another person on another machine.
 * @param {{reroute?: Record<string, string>}} [options] host and port that connections go to
 *   instead of those of an address, as a balancer would lead them
 * @param {string} [options.netLog] the file of Chromium's network log, which is complete when the browser has stopped
 */
export async function startBrowser({ reroute = {}, netLog } = {}) {
  const routes = Object.entries(reroute).map(([from, to]) => `MAP ${from} ${to}`);
  const args = [...flags];
  // Exclusions take precedence over routes, and of two flags the last one applies.
  if (routes.length) args.push(`--host-resolver-rules=${routes.join(", ")}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`);
  if (netLog) args.push(`--log-net-log=${netLog}`);
  const browser = await launchChromium(args);
  return {
    async visitor(options) {
      const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
      context.setDefaultTimeout(DEADLINE);
      const page = await context.newPage();
      const problems = [];
      page.on("pageerror", (error) => problems.push(error.message));
      return { context, page, problems };
    },
    stop: () => browser.close(),
  };
}

const cookieSettings = {
  all: { cookie_controls_mode: 0 },
  own: { cookie_controls_mode: 1, block_third_party_cookies: true },
  none: { default_content_setting_values: { cookies: 2 } },
};

/**
 * Starts Chromium with a profile whose cookie setting is chosen.
 * @param {object} [options]
 * @param {"all" | "own" | "none"} [options.cookies] everybody's, those of the site in the address
 *   bar, nobody's
 */
export async function startBrowserProfile({ cookies = "own" } = {}) {
  const directory = await temporaryDirectory("profile");
  await mkdir(join(directory.path, "Default"));
  await writeFile(join(directory.path, "Default", "Preferences"), JSON.stringify({ profile: cookieSettings[cookies] }));
  const context = await chromium.launchPersistentContext(directory.path, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: flags,
    ignoreHTTPSErrors: true,
  });
  context.setDefaultTimeout(DEADLINE);
  return {
    context,
    async visitor() {
      const page = await context.newPage();
      const problems = [];
      page.on("pageerror", (error) => problems.push(error.message));
      return { context, page, problems };
    },
    async stop() {
      await context.close();
      await directory.remove();
    },
  };
}

/**
 * Fills in the provider's forms (login, then consent if it is shown) on a page that is being
 * redirected there, and returns when the page has left the provider.
 * @param {import("playwright-core").Page} page
 * @param {string} login
 * @param {{issuer: string}} provider
 */
export async function signIn(page, login, { issuer }) {
  const { origin } = new URL(issuer);
  await page.locator("input[name=login]").fill(login);
  await page.locator("input[name=password]").fill("any");
  await page.locator("button[type=submit]").click();
  const left = page.waitForURL((url) => url.origin !== origin, { waitUntil: "commit" });
  const consent = page.locator("input[name=prompt][value=consent]");
  const consentShown = consent.waitFor({ state: "attached" });
  const first = await Promise.race([left.then(() => "left"), consentShown.then(() => "consent")]);
  if (first === "consent") await page.locator("button[type=submit]").click();
  consentShown.catch(() => {});
  await left;
}

/**
 * Waits until the page's meeting is in a state; fails with the meeting's errors.
 * @param {import("playwright-core").Page} page
 */
export async function waitForState(page, state, { timeout = DEADLINE } = {}) {
  const handle = await page.waitForFunction(
    (wanted) => (window.meeting?.state === wanted || window.meeting?.errors.length) && window.meeting,
    state,
    { timeout },
  );
  const meeting = await handle.evaluate(({ state: at, errors, ...rest }) => ({
    at, errors, room: rest.room, tenant: rest.tenant, transport: rest.transport, me: rest.me, since: rest.since,
  }));
  if (meeting.at !== state) throw new Error(`${meeting.at}, not ${state}: ${meeting.errors.join("; ")}`);
  return meeting;
}

/** Waits until the page shows exactly these other occupants, by display name. */
export async function waitForOthers(page, others, { timeout = DEADLINE } = {}) {
  await page.waitForFunction(
    (wanted) => {
      const seen = Object.values(window.meeting.participants).map(({ name }) => name).sort();
      return JSON.stringify(seen) === wanted;
    },
    JSON.stringify([...others].sort()),
    { timeout },
  );
}
