import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { accepts, freePort, run, temporaryDirectory, untilServes } from "./process.js";

/**
 * Starts nginx as the web container of docker-jitsi-meet does, with the locations that decide which requests go to
 * Prosody (docker-jitsi-meet 2e6b31d8 `web/rootfs/defaults/meet.conf`: `location = /http-bind`,
 * `location = /xmpp-websocket`, "BOSH for subdomains", "websockets for subdomains", and the last location, which strips
 * a leading segment). Everything else is answered with the page.
 * @param {{xmpp: string}} options the base URL of Prosody's HTTP server
 */
export async function startNginx({ xmpp }) {
  const directory = await temporaryDirectory("nginx");
  const port = await freePort();
  const file = join(directory.path, "nginx.conf");
  await writeFile(file, `
daemon off;
pid ${directory.path}/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
http {
  access_log off;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${directory.path}/${kind};`).join("\n  ")}
  server {
    listen 127.0.0.1:${port};
    default_type text/html;
    location = /http-bind { proxy_pass ${xmpp}/http-bind$is_args$args; proxy_set_header Host meet.jitsi; }
    location = /xmpp-websocket {
      proxy_pass ${xmpp}/xmpp-websocket$is_args$args;
      proxy_http_version 1.1;
      proxy_set_header Connection "upgrade";
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host meet.jitsi;
    }
    location ~ ^/(libs|css|static|images|fonts|lang|sounds|.well-known)/(.*)$ { return 200 "file"; }
    location ~ ^/([^/?&:'"]+)$ { return 200 "<!DOCTYPE html><html><head></head></html>"; }
    location ~ ^/([^/?&:'"]+)/http-bind { rewrite ^/(.*)$ /http-bind; }
    location ~ ^/([^/?&:'"]+)/xmpp-websocket { rewrite ^/(.*)$ /xmpp-websocket; }
    location ~ ^/([^/?&:'"]+)/(.*)$ { rewrite ^/([^/?&:'"]+)/(.*)$ /$2; }
    location / { return 200 "<!DOCTYPE html><html><head></head></html>"; }
  }
}
`);
  const program = await run("nginx", ["-p", directory.path, "-c", file], {});
  await untilServes(program, () => accepts(port), { what: "nginx" });
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async stop() {
      await program.stop();
      await directory.remove();
    },
  };
}
