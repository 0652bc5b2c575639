// From an empty directory to a meeting: `init` is answered as a person would, for a docker-jitsi-meet; Prosody gets the
// lines that it writes for Jitsi's `.env`, the provider has the registration that it prints, and the gateway runs with
// the files as its Compose service mounts them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, stat, writeFile, copyFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { startFocus } from "../lib/focus.js";
import { binary, planGateway, logDirectory, registerSecret } from "../lib/gateway.js";
import { createHttpClient } from "../lib/http.js";
import { run, untilServes } from "../lib/process.js";
import { settingsOfVariables, startProsody } from "../lib/prosody.js";
import { gatewayClient, startProvider } from "../lib/provider.js";
import { signInByForms } from "../lib/sign-in.js";
import { startWeb } from "../lib/web.js";
import { enter } from "../lib/xmpp-lite.js";

const label = "init";

/** Runs a command with text on its standard input; returns its exit code and its output. */
const command = (args, input, env) => new Promise((resolve) => {
  const child = execFile(binary, args, { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
    resolve({ code: error ? error.code : 0, stdout, stderr });
  });
  child.stdin.end(input);
});

describe("init for a docker-jitsi-meet", () => {
  const started = [];
  let plan;
  let provider;
  let directory;
  let printed;
  let env;
  let gateway;
  before(async () => {
    plan = await planGateway({ label });
    directory = join(plan.directory, "set-up");
    provider = await startProvider({ publicUrl: plan.publicUrl, ca: plan.certificate.pem });
    started.push(provider);
    const answers = [plan.publicUrl, "docker", "other", provider.issuer, gatewayClient.id, "link", "group:staff"];
    printed = await command(["init", "--directory", directory], `${answers.join("\n")}\n`);
  });
  after(async () => {
    for (const part of started.reverse()) await part.stop();
    await plan.remove();
  });

  test("finds the provider, and prints the addresses that it has to know", () => {
    assert.equal(printed.code, 0, printed.stderr);
    assert.match(printed.stdout, /found it/);
    for (const path of ["callback", "signed-out", "backchannel-logout"]) {
      assert.ok(printed.stdout.includes(`${plan.publicUrl}/_gateway/${path}`), printed.stdout);
    }
  });

  test("writes secrets that are for their owner only, and prints none", async () => {
    const secrets = await Promise.all(["session.key", "prosody.secret"].map(async (name) => {
      const file = join(directory, "secrets", name);
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      return (await readFile(file, "utf8")).trim();
    }));
    for (const secret of secrets) {
      await registerSecret(label, secret);
      assert.ok(!printed.stdout.includes(secret));
    }
  });

  test("leaves what it names to be done, and nothing else", async () => {
    const rest = printed.stdout.split("Still to be done before it can start:")[1];
    assert.deepEqual(rest.match(/^  [a-z_.]+(?=:)/gm).map((key) => key.trim()).sort(), [
      "oidc.client_secret_file", "tls.certificate", "tls.key",
    ]);
    await writeFile(join(directory, "secrets/oidc.secret"), `${gatewayClient.secret}\n`, { mode: 0o600 });
    await mkdir(join(directory, "certs"));
    await copyFile(plan.certificate.certificate, join(directory, "certs/tls.crt"));
    await copyFile(plan.certificate.key, join(directory, "certs/tls.key"));
    // The mounts, ports and names of the Compose service.
    const at = (path) => join(directory, path);
    env = {
      GATEWAY__SESSION__KEY_FILE: at("secrets/session.key"),
      GATEWAY__TOKEN__SECRET_FILE: at("secrets/prosody.secret"),
      GATEWAY__OIDC__CLIENT_SECRET_FILE: at("secrets/oidc.secret"),
      GATEWAY__TLS__CERTIFICATE: at("certs/tls.crt"),
      GATEWAY__TLS__KEY: at("certs/tls.key"),
      GATEWAY__LISTEN__HTTP: `127.0.0.1:${plan.ports.http}`,
      GATEWAY__LISTEN__HTTPS: `127.0.0.1:${plan.ports.https}`,
      GATEWAY__LISTEN__ADMIN: `127.0.0.1:${plan.ports.admin}`,
      // As in the other tests: the log is searched for secrets afterwards.
      GATEWAY__LOG__LEVEL: "trace",
    };
    const checked = await command(["check", "--config", at("gateway.toml")], "", env);
    assert.equal(checked.code, 0, checked.stderr);
  });

  test("makes a deployment in which a member moderates a meeting", async () => {
    const prosody = await startProsody(settingsOfVariables(await readFile(join(directory, "jitsi.env"), "utf8")));
    started.push(prosody);
    const focus = await startFocus(prosody);
    started.push(focus);
    const web = await startWeb({ publicUrl: plan.publicUrl });
    started.push(web);
    env.GATEWAY__UPSTREAM__WEB = web.url;
    env.GATEWAY__UPSTREAM__XMPP = prosody.url;
    const program = await run(binary, ["run", "--config", join(directory, "gateway.toml")], {
      env, logFile: join(logDirectory, `${label}.log`),
    });
    started.push(program);
    await untilServes(program, async () => {
      const answer = await fetch(`http://127.0.0.1:${plan.ports.admin}/readyz`);
      return answer.ok && (await answer.json()).provider === "ready";
    });
    gateway = { url: plan.url, ports: plan.ports, tls: { ca: plan.certificate.pem, servername: "localhost" } };
    const person = createHttpClient(plan.publicUrl);
    await signInByForms(person, { gateway, provider }, "host");
    for (const secret of [gatewayClient.secret, ...person.cookies.values()]) await registerSecret(label, secret);
    for (const transport of ["websocket", "bosh"]) {
      const room = `first-${transport}`;
      const target = { base: plan.publicUrl, tls: gateway.tls, room, query: { room }, headers: person.headers() };
      const visit = await enter({ ...target, transport, nick: "host" });
      assert.equal(visit.affiliation, "owner");
      await visit.stream.close();
    }
  });

  test("is examined by the doctor without a finding about Prosody", async () => {
    const args = ["doctor", "--config", join(directory, "gateway.toml"), "--only", "B"];
    const { code, stdout, stderr } = await command(args, "", env);
    assert.equal(code, 0, stdout + stderr);
  });

  test("is not run over what is there", async () => {
    const again = await command(["init", "--directory", directory], "");
    assert.equal(again.code, 2);
    assert.match(again.stderr, /exists; nothing was written/);
  });
});
