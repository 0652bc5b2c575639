import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { names } from "./prosody.js";
import { listen } from "./process.js";
import { closeServer } from "./sockets.js";

const compress = promisify(gzip);
const { resolve } = createRequire(import.meta.url);

const libraries = {
  "jquery.min.js": () => readFile(resolve("jquery/dist/jquery.min.js")),
  "lib-jitsi-meet.min.js": () => readFile(resolve("lib-jitsi-meet-dist/dist/lib-jitsi-meet.min.js")),
  "external_api.min.js": () => readFile(new URL("../page/external_api.js", import.meta.url)),
  "app.bundle.min.js": () => readFile(new URL("../page/app.bundle.js", import.meta.url)),
};

/**
 * Jitsi's `config.js`, as its web container generates it for a tenant's path or the plain one.
 */
function configScript({ publicUrl, tenant, anonymousDomain, overrides }) {
  const subdirectory = tenant ? `${tenant}/` : "";
  const { host } = new URL(publicUrl);
  const secure = publicUrl.startsWith("https:") ? "s" : "";
  const muc = tenant ? `muc.${tenant.replaceAll(".", "_").toLowerCase()}.${names.domain}` : names.muc;
  const config = {
    hosts: { domain: names.domain, muc, focus: names.focus, anonymousdomain: anonymousDomain },
    bosh: `http${secure}://${host}/${subdirectory}http-bind`,
    websocket: `ws${secure}://${host}/${subdirectory}xmpp-websocket`,
    enableWebsocketResume: true,
    ...overrides,
  };
  return `var config = ${JSON.stringify(config, null, 2)};\n`;
}

const interfaceConfig = 'var interfaceConfig = { APP_NAME: "Jitsi Meet" };\n';

/** A policy in the page that allows its own scripts only, inline ones by their hashes. */
function policyElement(...inlineScripts) {
  const hashes = inlineScripts.map((text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`);
  return `<meta http-equiv="Content-Security-Policy" content="script-src 'self' ${hashes.join(" ")}">`;
}

/** The page of every room; the two configurations are inlined, as by server-side includes. */
const page = (settings) => `<!DOCTYPE html>
<html itemscope itemtype="http://schema.org/Product" prefix="og: http://ogp.me/ns#">
  <head>
    <base href="/">
    <meta charset="utf-8">
    <meta http-equiv="content-type" content="text/html;charset=utf-8">
    ${settings.policy ? policyElement(`\n${configScript(settings)}    `, `\n${interfaceConfig}    `) : ""}
    <title>Jitsi Meet</title>
    <link rel="shortcut icon" href="images/favicon.svg?v=1">
    <script src="libs/jquery.min.js?v=1"></script>
    <script>
${configScript(settings)}    </script>
    <script>
${interfaceConfig}    </script>
    <script src="libs/lib-jitsi-meet.min.js?v=1"></script>
    <script src="libs/app.bundle.min.js?v=1"></script>
  </head>
  <body>
    <div id="react"></div>
  </body>
</html>
`;

const segment = /^[^/?&:'"]+$/;

/** The file of a path, by the order of the container's locations. */
async function find(path, settings) {
  const parts = path.split("/").slice(1);
  const [first] = parts;
  const tenant = parts.length > 1 ? first : undefined;
  const html = (text, status = 200) => ({ status, type: "text/html", body: text });
  const script = (body) => ({ status: 200, type: "application/javascript", body });

  if (first === "libs") {
    const load = libraries[parts[1]];
    return load ? script(await load()) : html("<h1>404</h1>", 404);
  }
  if (first === "static") return html(`<p>${parts[1] === "close.html" ? "Thank you" : "A static page"}</p>`);
  if (["css", "images", "fonts", "lang", "sounds", ".well-known"].includes(first)) {
    return { status: 200, type: "text/plain", body: "" };
  }
  const name = parts.at(-1);
  if (parts.length <= 2) {
    if (name === "config.js") return script(configScript({ ...settings, tenant }));
    if (name === "interface_config.js") return script(interfaceConfig);
    if (name === "external_api.js") return script(await libraries["external_api.min.js"]());
    if (["_unlock", "robots.txt", "favicon.ico", "manifest.json", "pwa-worker.js"].includes(name)) {
      return { status: 200, type: "text/plain", body: "" };
    }
  }
  if (path === "/" || segment.test(decodeURIComponent(name))) return html(page({ ...settings, tenant }));
  return html("<h1>404</h1>", 404);
}

/**
 * Stands in for Jitsi's web container: room pages with inlined configuration, the library, and a
 * small application instead of Jitsi's.
 * @param {object} settings
 * @param {string} settings.publicUrl where browsers reach it
 * @param {string} [settings.anonymousDomain] the guests' XMPP domain, if they have one
 * @param {object} [settings.overrides] more of `config`
 * @param {boolean} [settings.policy] whether its pages have a content security policy in a `<meta>`
 */
export async function startWeb(settings) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const { method, url, headers, rawHeaders } = request;
    requests.push({ method, url, headers, rawHeaders });
    try {
      const { status, type, body } = await find(new URL(url, "http://web").pathname, settings);
      const zipped = /\bgzip\b/.test(headers["accept-encoding"] ?? "") && body.length >= 860;
      const content = zipped ? await compress(body) : Buffer.from(body);
      response.writeHead(status, {
        "content-type": `${type}; charset=utf-8`,
        "content-length": content.length,
        "x-content-type-options": "nosniff",
        "x-jitsi-shard": "shard-one",
        vary: "accept-encoding",
        ...(zipped && { "content-encoding": "gzip" }),
      });
      response.end(method === "HEAD" ? undefined : content);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  const port = await listen(server);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    /** The requests, oldest first. */
    requests,
    stop: () => closeServer(server),
  };
}
