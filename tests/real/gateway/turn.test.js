// TURN and the gateway on one port, told apart by the TCP proxies of docs/proxies.md.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { allocatesRelay, startCoturn } from "../lib/coturn.js";
import { freePort } from "../lib/process.js";
import { knowsTheAddress, startPassthrough } from "../lib/proxies.js";
import { startSite } from "../lib/site.js";
import { appSecret } from "../lib/tokens.js";

let site;
let coturn;
let ports;
before(async () => {
  coturn = await startCoturn();
  const gateway = await freePort();
  site = await startSite({
    label: "turn",
    prosody: async (plan) => {
      // The port of the public URL is the proxy's.
      ports = { public: plan.ports.https, gateway, coturn: coturn.port };
      return { secret: appSecret };
    },
    settings: () => ({
      listen: { https: `127.0.0.1:${gateway}`, proxy_protocol: true, trusted_proxies: ["127.0.0.1/32"] },
      log: { access: true },
    }),
  });
}, { timeout: 60_000 });
after(async () => {
  await site?.stop();
  await coturn?.stop();
});

for (const [name, language] of [["HAProxy", "haproxy"], ["nginx", "nginx"]]) {
  describe(name, () => {
    let proxy;
    before(async () => {
      proxy = await startPassthrough(language, ports);
    });
    after(() => proxy?.stop());

    test("a member signs in and meets over a WebSocket", async () => {
      const visitor = await site.attend("host", "/turn");
      assert.equal(visitor.meeting.transport, "websocket");
      await visitor.context.close();
    });

    test("the gateway knows the client's address", () => knowsTheAddress(site, `/robots-${name}.txt`));

    test("coturn allocates a relayed address on the same port", async () => {
      assert.equal(await allocatesRelay(ports.public, coturn.certificate), true);
    });
  });
}
