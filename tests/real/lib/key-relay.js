import { createServer } from "node:http";
import { get } from "node:https";
import { listen } from "./process.js";
import { closeServer } from "./sockets.js";

/**
 * Lets Prosody, which does not trust the test certificate, fetch the gateway's public keys:
 * forwards plain HTTP on loopback to the gateway's HTTPS.
 * @param {{publicUrl: string, certificate: {pem: string}}} plan
 */
export async function startKeyRelay({ publicUrl, certificate }) {
  const requestedPaths = [];
  const server = createServer((request, response) => {
    requestedPaths.push(request.url);
    get(`${publicUrl}/_gateway/asap${request.url}`, { ca: certificate.pem }, (answer) => {
      response.writeHead(answer.statusCode, { "content-type": answer.headers["content-type"] ?? "text/plain" });
      answer.pipe(response);
    }).on("error", () => response.writeHead(502).end());
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    /** The requested paths, oldest first. */
    requestedPaths,
    stop: () => closeServer(server),
  };
}
