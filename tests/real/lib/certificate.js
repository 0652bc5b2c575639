import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Kinds of keys, as arguments of `openssl req`. */
const keys = { ecdsa: ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], rsa: ["rsa:2048"] };

/**
 * Creates a self-signed certificate for `localhost`. Returns paths and PEM.
 * @param {string} directory
 * @param {{name?: string, kind?: keyof keys}} [options] the name is that of the files
 */
export async function makeCertificate(directory, { name = "tls", kind = "ecdsa" } = {}) {
  const [certificate, key] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
  await run("openssl", [
    "req", "-x509", "-nodes", "-days", "30",
    "-newkey", ...keys[kind],
    "-subj", "/CN=localhost",
    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
    // Strict clients refuse a CA certificate as a server certificate.
    "-addext", "basicConstraints=critical,CA:FALSE",
    "-keyout", key, "-out", certificate,
  ]);
  return { certificate, key, pem: await readFile(certificate, "utf8") };
}
