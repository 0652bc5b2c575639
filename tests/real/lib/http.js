import { request } from "node:https";

/**
 * Sends one request to a gateway, without following redirects.
 * @param {{url: string, tls: object}} gateway
 * @param {string} path with its query
 * @param {{method?: string, headers?: object, body?: string, agent?: import("node:https").Agent}} [options]
 */
export function sendRequest({ url, tls }, path, { method = "GET", headers = {}, body, agent } = {}) {
  return new Promise((resolve, reject) => {
    const outgoing = request(url + path, { method, headers, agent, ...tls }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
      answer.on("error", reject);
    });
    outgoing.on("error", reject).end(body);
  });
}

/** The headers of a browser's navigation (Fetch Metadata). */
export const navigation = { accept: "text/html", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };

/**
 * An HTTP client with cookies, without scripts and without redirects.
 * @param {string} origin of the site, which is also how each of its replicas is addressed
 */
export function createHttpClient(origin) {
  const cookies = new Map();
  const send = async (gateway, path, { headers, ...rest }) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await sendRequest(gateway, path, {
      ...rest,
      headers: { ...navigation, host: new URL(origin).host, ...(cookie && { cookie }), ...headers },
    });
    for (const line of answer.headers["set-cookie"] ?? []) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (/; max-age=0\b/i.test(line)) cookies.delete(name);
      else cookies.set(name, value);
    }
    return answer;
  };
  return {
    cookies,
    /** Requests an address of the site, absolute or as a path. */
    open: (gateway, address, options = {}) => send(gateway, address.replace(origin, ""), options),
    /** Submits a form of one of the gateway's pages. */
    submit: (gateway, path, fields) => send(gateway, path, {
      method: "POST",
      headers: { origin, "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams(fields).toString(),
    }),
    /** The headers for this client's connections to Prosody. */
    headers: () => ({
      cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; "),
      origin,
      host: new URL(origin).host,
    }),
  };
}
