/** Follows a provider's redirects with its cookies, as a browser without scripts does. */
function createProviderClient({ issuer }) {
  const cookies = new Map();
  return async function follow(url, fields) {
    let next = { url, fields };
    for (;;) {
      const answer = await fetch(next.url, {
        redirect: "manual",
        headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
        ...(next.fields && { method: "POST", body: new URLSearchParams(next.fields) }),
      });
      for (const line of answer.headers.getSetCookie()) {
        const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
        if (value) cookies.set(name, value);
        else cookies.delete(name);
      }
      const text = await answer.text();
      const location = answer.headers.get("location");
      if (!location) return { status: answer.status, text };
      next = { url: new URL(location, next.url).href };
      if (!next.url.startsWith(issuer)) return { status: answer.status, location: next.url };
    }
  };
}

/** The address of a page's form, and the value of its hidden field. */
function formOf({ text }, hidden) {
  const [, action] = text.match(/<form[^>]* action="([^"]+)"/);
  const [, value] = text.match(new RegExp(`name="${hidden}" value="([^"]+)"`));
  return { action, value };
}

/**
 * Signs a person in by the provider's forms, without a browser.
 * @param {object} person from `createHttpClient`
 * @param {{gateway: object, provider: object}} site
 * @param {string} login
 * @returns {Promise<{endSession: () => Promise<void>}>} `endSession` signs out at the provider, which notifies its
 *   clients
 */
export async function signInByForms(person, { gateway, provider }, login) {
  const follow = createProviderClient(provider);
  const begun = await person.open(gateway, "/_gateway/login?return_to=%2Fstatic%2Fclose.html");
  // The page has the address for browsers without scripts, too.
  const [, address] = begun.text.match(/content="0; url=([^"]+)"/);
  let answer = await follow(address.replaceAll("&#38;", "&"));
  while (!answer.location) {
    const { action, value: prompt } = formOf(answer, "prompt");
    const url = new URL(action, provider.issuer).href;
    answer = await follow(url, prompt === "login" ? { prompt, login, password: "any" } : { prompt });
  }
  const back = await person.open(gateway, answer.location);
  if (back.status !== 303) throw new Error(`not signed in: ${back.status} ${back.text}`);
  return {
    async endSession() {
      const { action, value: xsrf } = formOf(await follow(`${provider.issuer}/session/end`), "xsrf");
      await follow(new URL(action, provider.issuer).href, { xsrf, logout: "yes" });
    },
  };
}
