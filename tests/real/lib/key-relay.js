import { createServer } from "node:http";
import { get } from "node:https";
import { listen } from "./process.js";

/**
 * Lets Prosody, which knows no test certificate, fetch the gateway's public keys:
 * plain HTTP on loopback to the gateway's own HTTPS.
 * @param {{publicUrl: string, certificate: {pem: string}}} plan
 */
export async function startKeyRelay({ publicUrl, certificate }) {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    get(`${publicUrl}/_gateway/asap${request.url}`, { ca: certificate.pem }, (answer) => {
      response.writeHead(answer.statusCode, { "content-type": answer.headers["content-type"] ?? "text/plain" });
      answer.pipe(response);
    }).on("error", () => response.writeHead(502).end());
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    /** The paths asked for, oldest first. */
    asked,
    stop: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    }),
  };
}
