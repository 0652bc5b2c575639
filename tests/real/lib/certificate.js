import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Creates a self-signed certificate for `localhost`. Returns paths and PEM. */
export async function makeCertificate(directory) {
  const [certificate, key] = [join(directory, "tls.crt"), join(directory, "tls.key")];
  await run("openssl", [
    "req", "-x509", "-nodes", "-days", "30",
    "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
    "-subj", "/CN=localhost",
    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
    // Strict clients refuse a CA certificate as a server certificate.
    "-addext", "basicConstraints=critical,CA:FALSE",
    "-keyout", key, "-out", certificate,
  ]);
  return { certificate, key, pem: await readFile(certificate, "utf8") };
}
