import { readFile } from "node:fs/promises";
import { createServer } from "node:https";
import { makeCertificate } from "./certificate.js";
import { listen, temporaryDirectory } from "./process.js";

/** Jitsi's script, which records its calls. */
async function externalApi() {
  const script = await readFile(new URL("../page/external_api.js", import.meta.url), "utf8");
  return `${script}
window.calls = [];
window.JitsiMeetExternalAPI = class extends window.JitsiMeetExternalAPI {
  constructor(domain, { parentNode, ...options }) {
    super(domain, { parentNode, ...options });
    window.calls.push({ domain, options });
  }
};
`;
}

/**
 * Stands in for 8x8: the script of an account, and its rooms.
 * @param {{appId: string}} account
 */
export async function startMeetingHost({ appId }) {
  const directory = await temporaryDirectory("jaas");
  const { key, pem } = await makeCertificate(directory.path);
  const requests = [];
  const script = await externalApi();
  const server = createServer({ cert: pem, key: await readFile(key) }, ({ url, headers }, response) => {
    const { pathname, searchParams } = new URL(url, "https://jaas");
    requests.push({ pathname, jwt: searchParams.get("jwt"), headers });
    const [account, name] = pathname.slice(1).split("/");
    if (account !== appId || !name) return response.writeHead(404).end();
    if (name === "external_api.js") return response.setHeader("content-type", "text/javascript").end(script);
    response.setHeader("content-type", "text/html").end("<!DOCTYPE html><title>A meeting</title><p>A meeting");
  });
  const port = await listen(server);
  return {
    host: `127.0.0.1:${port}`,
    /** The requests, oldest first. */
    requests,
    async stop() {
      server.close();
      server.closeAllConnections();
      await directory.remove();
    },
  };
}
