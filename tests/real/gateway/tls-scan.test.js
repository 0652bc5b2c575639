// The TLS listener as sslyze sees it: what Mozilla's guideline asks of a server for browsers of the last ten years.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { makeCertificate } from "../lib/certificate.js";
import { planGateway, startGateway } from "../lib/gateway.js";
import { run } from "../lib/process.js";
import { startProvider } from "../lib/provider.js";

const sslyze = process.env.SSLYZE ?? fileURLToPath(new URL("../python/bin/sslyze", import.meta.url));

let plan;
let provider;
let gateway;
before(async () => {
  plan = await planGateway({ label: "tls-scan" });
  provider = await startProvider({ publicUrl: plan.publicUrl, ca: plan.certificate.pem });
  gateway = await startGateway(plan, { neighbours: { web: "http://127.0.0.1:9", xmpp: "http://127.0.0.1:9", issuer: provider.issuer } });
}, { timeout: 60_000 });
after(async () => {
  await gateway?.stop();
  await provider?.stop();
});

/** Compares the listener with a configuration of Mozilla's guideline 5.7. */
async function scan(configuration, certificate) {
  const program = await run(sslyze, [
    `--mozilla_config=${configuration}`, "--certinfo_ca_file", certificate, `localhost:${plan.ports.https}`,
  ]);
  const { code } = await program.exited;
  return { code, output: program.output() };
}

for (const kind of ["ecdsa", "rsa"]) {
  test(`with a key of ${kind.toUpperCase()} it is as Mozilla's intermediate configuration`, { timeout: 60_000 }, async (context) => {
    const { certificate, key } = await makeCertificate(plan.directory, { name: kind, kind });
    await gateway.restart({ tls: { certificate, key } });
    const intermediate = await scan("intermediate", certificate);
    assert.match(intermediate.output, /OK - Compliant/);
    assert.equal(intermediate.code, 0, intermediate.output);
    // The control: TLS 1.2, which browsers of that age need, is not in the modern one.
    const modern = await scan("modern", certificate);
    assert.match(modern.output, /tls_versions: TLS versions \{'TLSv1.2'\} are supported/);
    assert.equal(modern.code, 1, modern.output);
    context.diagnostic(`sslyze, ${kind}: compliant with Mozilla's intermediate configuration (5.7)`);
  });
}
