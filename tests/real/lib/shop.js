import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:https";
import { makeCertificate } from "./certificate.js";
import { listen, temporaryDirectory } from "./process.js";

/** A value as JSON that is safe inside a script element. */
const embedded = (value) => JSON.stringify(value).replaceAll("<", "\\u003c");

const meetingPage = ({ domain, options }) => `<!DOCTYPE html>
<html>
  <head>
    <meta charset="utf-8">
    <title>A shop's meeting</title>
  </head>
  <body>
    <h1>A shop's meeting</h1>
    <div id="meeting"></div>
    <script src="https://${domain}/external_api.js"></script>
    <script>
      window.api = new JitsiMeetExternalAPI(${embedded(domain)}, {
        ...${embedded(options)},
        parentNode: document.getElementById("meeting"),
      });
    </script>
  </body>
</html>
`;

/** Reports to the parent page which cookies the browser sends from a frame of this site. */
const framePage = `<!DOCTYPE html>
<script>
  fetch("/cookies").then((answer) => answer.json()).then((cookieNames) => parent.postMessage(cookieNames, "*"));
</script>`;

const cookieTestPage = (other) => `<!DOCTYPE html>
<script>
  window.cookieNames = new Promise((resolve) => addEventListener("message", ({ data }) => resolve(data)));
</script>
<iframe src="${other}/frame"></iframe>`;

/**
 * Another site with pages that embed a meeting, like Odoo, Nextcloud or Moodle. It is reached by IP
 * address and not by name, so that it is another site than the gateway.
 */
export async function startShop() {
  const directory = await temporaryDirectory("shop");
  const { key, pem } = await makeCertificate(directory.path);
  const pages = [];
  const server = createServer({ cert: pem, key: await readFile(key) }, (request, response) => {
    const { pathname } = new URL(request.url, "https://shop");
    const html = (text) => response.setHeader("content-type", "text/html").end(text);
    const meeting = pathname.match(/^\/meeting\/(\d+)$/);
    if (meeting) return html(pages[meeting[1]]);
    if (pathname === "/cookie-test") return html(cookieTestPage(`https://localhost:${server.address().port}`));
    if (pathname === "/cookies") {
      const names = (request.headers.cookie ?? "").split("; ").filter(Boolean).map((pair) => pair.split("=")[0]);
      return response.setHeader("content-type", "application/json").end(JSON.stringify(names.sort()));
    }
    if (pathname === "/frame") {
      response.setHeader("set-cookie", [
        "shared=1; SameSite=None; Secure; Path=/",
        "partitioned=1; SameSite=None; Secure; Path=/; Partitioned",
      ]);
      return html(framePage);
    }
    response.writeHead(404).end();
  });
  const port = await listen(server);
  const url = `https://127.0.0.1:${port}`;
  return {
    url,
    /**
     * The address of a page that shows a meeting.
     * @param {{domain: string, options: object}} meeting what the page gives to `JitsiMeetExternalAPI`
     */
    page(meeting) {
      return `${url}/meeting/${pages.push(meetingPage(meeting)) - 1}`;
    },
    /**
     * The address of a page whose `cookieNames` has the cookies that a frame of another site sends.
     */
    cookieTestUrl: `${url}/cookie-test`,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
      await directory.remove();
    },
  };
}
