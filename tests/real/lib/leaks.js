const tokenShaped = /eyJ[\w-]+\.[\w-]+\.[\w-]*/g;

/**
 * Collects everything token-shaped that reaches a page: what is in its address
 * and history, its cookies and stores, and in every answer and socket message.
 * @param {string[]} [secrets] looked for in the same places
 */
export function collectTokens(secrets = []) {
  const found = new Map();
  const betrayed = new Set();
  const pending = new Set();

  const note = (place, text) => {
    for (const spelling of [text, safeDecode(text)]) {
      if (secrets.some((secret) => spelling.includes(secret))) betrayed.add(place);
      for (const [token] of spelling.matchAll(tokenShaped)) {
        found.set(token, [...(found.get(token) ?? []), place]);
      }
    }
  };

  const later = (promise) => {
    pending.add(promise);
    promise.catch(() => {}).finally(() => pending.delete(promise));
  };

  return {
    /** Begins to read along; before the visitor's first request. */
    watch({ page }) {
      page.on("framenavigated", (frame) => note("address", frame.url()));
      page.on("request", (request) => {
        note("request address", request.url());
        note("request body", request.postData() ?? "");
      });
      page.on("response", (response) => later((async () => {
        note("response headers", JSON.stringify(await response.allHeaders()));
        // Redirects have no body to read, and those still under way at the end have none yet.
        if (response.status() < 300 || response.status() >= 400) note("response body", await response.text());
      })()));
      page.on("websocket", (socket) => {
        note("socket address", socket.url());
        socket.on("framesent", ({ payload }) => note("socket message", String(payload)));
        socket.on("framereceived", ({ payload }) => note("socket message", String(payload)));
      });
    },

    /** Looks into the page, or a frame in it, and the browser as they are now. */
    async inspect({ page, frame = page, context }) {
      const stores = await frame.evaluate(() => {
        // Browsers that keep no cookies keep nothing else either, and say so by throwing.
        const kept = [() => document.cookie, () => ({ ...localStorage }), () => ({ ...sessionStorage })].map((read) => {
          try {
            return read();
          } catch (error) {
            return error.name;
          }
        });
        return JSON.stringify([window.location.href, kept, document.documentElement.outerHTML]);
      });
      note("page", stores);
      note("cookies", JSON.stringify(await context.cookies()));
      const session = await context.newCDPSession(page);
      const { entries } = await session.send("Page.getNavigationHistory");
      entries.forEach(({ url }) => note("history", url));
      await session.detach();
    },

    /** Where one of the secrets was found. */
    betrayed: () => [...betrayed],

    /** What was found: each token with the places it was seen in. */
    async tokens() {
      // Long polls stay open for as long as the page lives; all else is read by then.
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
