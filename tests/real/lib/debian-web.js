import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { accepts, freePort, run, temporaryDirectory, untilServes } from "./process.js";

const site = new URL("../../../deploy/debian/nginx-jitsi-web.conf", import.meta.url);

/**
 * The files of Debian's jitsi-meet that matter here. The page includes config.js by SSI, and config.js has the tenant
 * by SSI (jitsi-meet 2.0.11146 `index.html`, `config.js`: `var subdir = '<!--# echo var="subdir" default="" -->'`).
 */
const files = {
  "share/index.html": `<!DOCTYPE html><html><head><script><!--#include virtual="/config.js" --></script></head><body></body></html>\n`,
  "share/libs/lib-jitsi-meet.min.js": "/* a library */ function f() { return 'x'; }\n".repeat(200),
  "share/libs/excalidraw.wasm": "\0asm\u0001\0\0\0".repeat(200),
  "share/sounds/knock.wav": "RIFF".repeat(200),
  "share/images/watermark.svg": `<svg xmlns="http://www.w3.org/2000/svg">${"<g/>".repeat(200)}</svg>\n`,
  "share/lang/main-de.json": `{${Array.from({ length: 99 }, (_, i) => `"key${i}":"word"`).join()}}\n`,
  "share/static/404.html": "<!DOCTYPE html><title>404</title>\n",
  "etc/meet.example.org-config.js": `var subdomain = '<!--# echo var="subdomain" default="" -->';
var subdir = '<!--# echo var="subdir" default="" -->';
var config = { hosts: { domain: 'meet.jitsi', muc: 'conference.' + subdomain + 'meet.jitsi' }, bosh: '/' + subdir + 'http-bind' };
`,
};

/** Starts nginx with the site of deploy/debian before a tree as Debian's packages install it. */
export async function startDebianWeb() {
  const directory = await temporaryDirectory("debian");
  const { path } = directory;
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true });
    await writeFile(join(path, name), content);
  }
  const port = await freePort();
  const text = (await readFile(site, "utf8"))
    .replace("127.0.0.1:8000", `127.0.0.1:${port}`)
    .replaceAll("/usr/share/jitsi-meet", `${path}/share`)
    .replaceAll("/etc/jitsi/meet", `${path}/etc`);
  await writeFile(join(path, "nginx.conf"), `
daemon off;
user root;
pid ${path}/nginx.pid;
error_log stderr warn;
events { worker_connections 128; }
http {
  include /etc/nginx/mime.types;
  access_log off;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${path}/${kind};`).join("\n  ")}
  ${text}
}
`);
  const program = await run("nginx", ["-p", path, "-c", join(path, "nginx.conf")], {});
  await untilServes(program, () => accepts(port), { what: "nginx" });
  return {
    url: `http://127.0.0.1:${port}`,
    output: program.output,
    async stop() {
      await program.stop();
      await directory.remove();
    },
  };
}
