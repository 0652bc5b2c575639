import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { listen } from "./process.js";
import { closeServer } from "./sockets.js";

const program = process.env.GALLERY_BIN
  ?? fileURLToPath(new URL("../../../target/debug/examples/gallery", import.meta.url));

/** The parts of 8x8's script that the gateway's page of a call uses. */
const externalApi = `
  class JitsiMeetExternalAPI {
    constructor(host, options) {
      window.call = { host, options: { ...options, parentNode: options.parentNode.id }, api: this };
      this.listeners = {};
      this.frame = document.createElement("iframe");
      this.frame.src = "//" + host + "/" + encodeURIComponent(options.roomName);
      this.frame.style.height = options.height;
      options.parentNode.append(this.frame);
    }
    addListener(name, listener) { this.listeners[name] = listener; }
    getIFrame() { return this.frame; }
    dispose() { this.frame.remove(); }
  }`;

const scripts = /<(script|noscript)\b[^]*?<\/\1>/g;
const page = (body) => `<!doctype html><html lang="en"><title>x</title><h1>x</h1>${body}`;

/** A server that stands in for 8x8: the script, and rooms in frames. */
async function startCallHost() {
  const server = createServer((request, response) => {
    const isScript = request.url === "/external_api.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? externalApi : page(""));
  });
  const port = await listen(server);
  return { origin: `http://127.0.0.1:${port}`, server };
}

/**
 * Serves every page of the gallery at `/<language>/<name>`, with its status and headers, and
 * records the requests of the pages. `?still` removes a page's scripts; `?slow=KEY` holds back the script at the end
 * until `sendRest(KEY)`, or, with `&rest=TEXT`, all from the last such text on.
 */
export async function startGallery() {
  const calls = await startCallHost();
  const directory = mkdtempSync(join(tmpdir(), "gallery-"));
  execFileSync(program, [directory, `${calls.origin}/external_api.js`]);
  const pages = new Map();
  for (const language of readdirSync(directory)) {
    for (const file of readdirSync(join(directory, language))) {
      if (!file.endsWith(".html")) continue;
      const name = file.slice(0, -".html".length);
      const read = (ending) => readFileSync(join(directory, language, name + ending), "utf8");
      pages.set(`/${language}/${name}`, { ...JSON.parse(read(".json")), body: read(".html") });
    }
  }
  rmSync(directory, { recursive: true });

  const rests = new Map();
  const requests = [];
  const streams = new Set();
  const server = createServer(async (request, response) => {
    const { pathname, search } = new URL(request.url, "http://gallery");
    const found = pages.get(pathname);
    let body = "";
    for await (const chunk of request) body += chunk;
    requests.push({ method: request.method, url: request.url, headers: request.headers, body });
    if (found) {
      const shown = search === "?still" ? found.body.replace(scripts, "") : found.body;
      response.writeHead(found.status, found.headers);
      const options = new URLSearchParams(search);
      const key = options.get("slow");
      const end = shown.lastIndexOf(options.get("rest") ?? "\n<script>");
      if (key === null || end < 0) {
        response.end(shown);
      } else {
        response.write(shown.slice(0, end));
        rests.set(key, () => response.end(shown.slice(end)));
      }
    } else if (pathname === "/_gateway/events") {
      response.writeHead(200, { "content-type": "text/event-stream" }).write(": here\n\n");
      streams.add(response);
      response.on("close", () => streams.delete(response));
    } else if (pathname === "/opener" || pathname.startsWith("/_gateway/")) {
      const frame = pathname === "/opener" ? "<iframe></iframe>" : "";
      response.writeHead(200, { "content-type": "text/html" }).end(page(frame));
    } else {
      response.writeHead(404).end();
    }
  });
  const port = await listen(server);
  return {
    origin: `http://127.0.0.1:${port}`,
    calls: calls.origin,
    names: [...pages.keys()],
    requests,
    streams,
    sendRest(key) {
      rests.get(key)?.();
      rests.delete(key);
    },
    /** Sends an event to every open event stream. */
    sendEvent: (event) => streams.forEach((stream) => stream.write(`event: ${event}\ndata: now\n\n`)),
    stop: () => Promise.all([server, calls.server].map((each) => closeServer(each))),
  };
}
