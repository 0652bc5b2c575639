const tokenShaped = /eyJ[\w-]+\.[\w-]+\.[\w-]*/g;

/**
 * Collects every text in the form of a token that reaches a page: in its address, history, cookies,
 * storage, responses and socket messages.
 * @param {string[]} [secrets] looked for in the same places
 */
export function collectTokens(secrets = []) {
  const found = new Map();
  const secretPlaces = new Set();
  const pending = new Set();

  const record = (place, text) => {
    for (const spelling of [text, safeDecode(text)]) {
      if (secrets.some((secret) => spelling.includes(secret))) secretPlaces.add(place);
      for (const [token] of spelling.matchAll(tokenShaped)) {
        found.set(token, [...(found.get(token) ?? []), place]);
      }
    }
  };

  const track = (promise) => {
    pending.add(promise);
    promise.catch(() => {}).finally(() => pending.delete(promise));
  };

  return {
    /** Starts recording; call it before the visitor's first request. */
    watch({ page }) {
      page.on("framenavigated", (frame) => record("address", frame.url()));
      page.on("request", (request) => {
        record("request address", request.url());
        record("request body", request.postData() ?? "");
      });
      page.on("response", (response) => track((async () => {
        record("response headers", JSON.stringify(await response.allHeaders()));
        // Redirects have no body, and responses in flight at the end have none yet.
        if (response.status() < 300 || response.status() >= 400) record("response body", await response.text());
      })()));
      page.on("websocket", (socket) => {
        record("socket address", socket.url());
        socket.on("framesent", ({ payload }) => record("socket message", String(payload)));
        socket.on("framereceived", ({ payload }) => record("socket message", String(payload)));
      });
    },

    /** Searches the current state of the page, or of a frame in it, and of the browser. */
    async inspect({ page, frame = page, context }) {
      const stores = await frame.evaluate(() => {
        // Browsers that block all cookies also block storage, and throw on access.
        const kept = [() => document.cookie, () => ({ ...localStorage }), () => ({ ...sessionStorage })].map((read) => {
          try {
            return read();
          } catch (error) {
            return error.name;
          }
        });
        return JSON.stringify([window.location.href, kept, document.documentElement.outerHTML]);
      });
      record("page", stores);
      record("cookies", JSON.stringify(await context.cookies()));
      const session = await context.newCDPSession(page);
      const { entries } = await session.send("Page.getNavigationHistory");
      entries.forEach(({ url }) => record("history", url));
      await session.detach();
    },

    /** The places where one of the secrets was found. */
    secretPlaces: () => [...secretPlaces],

    /** The tokens that were found, each with its places. */
    async tokens() {
      // Long polls stay open as long as the page; everything else has been read by then.
      await Promise.race([
        Promise.allSettled([...pending]),
        new Promise((resolve) => setTimeout(resolve, 2_000).unref()),
      ]);
      return [...found].map(([token, places]) => ({ token, places: [...new Set(places)] }));
    },
  };
}

function safeDecode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
