// Whoever is put out has left within a second although Prosody limits the rate of clients (`mod_limits`) and has not
// read for long what they sent: the end of their stream would wait behind it. docker-jitsi-meet's limit
// (`PROSODY_C2S_LIMIT`) is 10 kB/s.
//
// Followed: Prosody 0.12.3 `net/server_epoll.lua` (`onreadable`, `pausefor`), `plugins/mod_limits.lua` (`filter_hook`),
// `plugins/mod_smacks.lua` (`handle_resume`). Prosody is Debian's.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { joinHostile } from "../lib/hostile.js";
import { masked } from "../lib/raw-websocket.js";
import { startVisitorSite } from "../lib/visitors.js";

let site;
before(async () => {
  site = await startVisitorSite({
    label: "removal-flood",
    prosody: {
      edit: (text) => `limits = { c2s = { rate = "10kb/s" } };\n${text.replace('"websocket";', '"websocket"; "limits";')}`,
    },
  });
}, { timeout: 60_000 });
after(() => site?.stop());

const message = (bytes) => masked(0x81, Buffer.from(`<message xmlns="jabber:client" to="x@meet.jitsi"><body>${"x".repeat(bytes)}</body></message>`));
const floods = {
  "small messages": () => Buffer.concat(Array.from({ length: 4_000 }, () => message(20))),
  "one large message": () => message(250_000),
  "more than the kernel holds": () => Buffer.concat(Array.from({ length: 60 }, () => message(200_000))),
};
const ends = {
  "stays": () => {},
  "closes TCP": (stream) => stream.end(),
  "resets TCP": (stream) => stream.reset(),
};

const signsOut = ({ person }) => person.open(site.gateway, "/_gateway/logout");

describe("over WebSocket", { concurrency: 3 }, () => {
  for (const [flood, bytes] of Object.entries(floods)) {
    for (const [name, end] of Object.entries(ends)) {
      for (const resumption of [true, false]) {
        test(`${flood}, then ${name}, ${resumption ? "with" : "without"} resumption`, async (context) => {
          const here = await joinHostile(site, await site.kinds[resumption ? "member" : "guest"](), "websocket", { resumption });
          try {
            here.stream.bytes(bytes());
            end(here.stream);
            await signsOut(here);
            const took = await site.goneAfter(here, Date.now(), { within: 90_000 });
            context.diagnostic(`gone after ${took} ms`);
            assert.ok(took < 1_000, `${took} ms`);
          } finally {
            await here.close();
          }
        });
      }
    }
  }
});
