// From an empty directory to a meeting, for each platform: `init` is answered as a person would; Prosody gets the
// settings that it writes or names, the provider has the registration that it prints, and the gateway runs with the files
// as its service mounts them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, stat, writeFile, copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { startFocus } from "../lib/focus.js";
import { binary, planGateway, logDirectory, registerSecret } from "../lib/gateway.js";
import { createHttpClient } from "../lib/http.js";
import { run, untilServes } from "../lib/process.js";
import { names, startProsody } from "../lib/prosody.js";
import { gatewayClient, startProvider } from "../lib/provider.js";
import { startProxy } from "../lib/proxies.js";
import { signInByForms } from "../lib/sign-in.js";
import { startWeb } from "../lib/web.js";
import { settingsOfHelmValues, settingsOfLua, settingsOfVariables } from "../lib/written-settings.js";
import { enter } from "../lib/xmpp-lite.js";

const repository = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
/** Installed by tests/deploy/tools. */
const helm = repository("target/deploy-tools/bin/helm4");

/** Runs a command with text on its standard input; returns its exit code and its output. */
const command = (program, args, { input = "", env, cwd } = {}) => new Promise((resolve) => {
  const child = execFile(program, args, { env: { ...process.env, ...env }, cwd }, (error, stdout, stderr) => {
    resolve({ code: error ? error.code : 0, stdout, stderr });
  });
  child.stdin.end(input);
});

const read = (directory, file) => readFile(join(directory, file), "utf8");

/** `gateway.toml` in the ConfigMap that the chart renders with the written values. */
async function renderedConfiguration(directory) {
  const { code, stdout, stderr } = await command(helm, [
    "template", "gateway", repository("deploy/helm/jitsi-auth-gateway"), "--values", join(directory, "values.yaml"),
    "--show-only", "templates/configmap.yaml",
  ]);
  assert.equal(code, 0, stderr || `${helm}: run tests/deploy/tools`);
  const [, text] = stdout.match(/^ {2}gateway\.toml: \|-?\n((?: {4}.*\n|\n)+)/m) ?? [];
  assert.ok(text, stdout);
  return text.replaceAll(/^ {4}/gm, "");
}

/**
 * The platforms. `secrets` and `certificates` are the directories in which the person puts what `init` does not make;
 * without `certificates` a proxy in front terminates TLS.
 */
const platforms = {
  docker: {
    secrets: "secrets", clientSecret: "oidc.secret", certificates: "certs",
    written: ["secrets/session.key", "secrets/prosody.secret", "jitsi.env"],
    prosody: async (directory) => settingsOfVariables(await read(directory, "jitsi.env")),
    // The service mounts the directory at other paths.
    paths: (at) => ({
      GATEWAY__SESSION__KEY_FILE: at("secrets/session.key"),
      GATEWAY__TOKEN__SECRET_FILE: at("secrets/prosody.secret"),
      GATEWAY__OIDC__CLIENT_SECRET_FILE: at("secrets/oidc.secret"),
      GATEWAY__TLS__CERTIFICATE: at("certs/tls.crt"),
      GATEWAY__TLS__KEY: at("certs/tls.key"),
    }),
  },
  debian: {
    secrets: ".", clientSecret: "oidc.secret", certificates: ".",
    written: ["session.key", "prosody.secret", "prosody.lua"],
    prosody: async (directory) => settingsOfLua(await read(directory, "prosody.lua")),
    // The unit runs in the directory of the files.
    paths: () => ({}),
  },
  kubernetes: {
    secrets: "secrets", clientSecret: "client-secret",
    written: ["secrets/session-key", "secrets/app-secret"],
    prosody: async (directory) => settingsOfHelmValues(
      await readFile(repository("deploy/helm/examples/jitsi-helm.yaml"), "utf8"),
      await read(directory, "secrets/app-secret"),
    ),
    configuration: renderedConfiguration,
    paths: (at) => ({
      GATEWAY__SESSION__KEY_FILE: at("secrets/session-key"),
      GATEWAY__TOKEN__SECRET_FILE: at("secrets/app-secret"),
      GATEWAY__OIDC__CLIENT_SECRET_FILE: at("secrets/client-secret"),
      GATEWAY__LISTEN__TRUSTED_PROXIES: '["127.0.0.1/32"]',
    }),
  },
};

for (const [platform, { secrets, clientSecret, certificates, written, prosody: prosodySettings, configuration, paths }]
  of Object.entries(platforms)) {
  describe(`init for ${platform}`, () => {
    const label = `init-${platform}`;
    const started = [];
    let plan;
    let provider;
    let directory;
    let printed;
    let env;
    const at = (path) => join(directory, path);
    const gateway = (args) => command(binary, args, { env, cwd: directory });
    before(async () => {
      plan = await planGateway({ label });
      directory = join(plan.directory, "set-up");
      await mkdir(directory);
      provider = await startProvider({ publicUrl: plan.publicUrl, ca: plan.certificate.pem });
      started.push(provider);
      const answers = [plan.publicUrl, platform, "other", provider.issuer, gatewayClient.id, "link", "group:staff"];
      printed = await command(binary, ["init"], { input: `${answers.join("\n")}\n`, cwd: directory });
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
      for (const name of written) {
        assert.equal((await stat(at(name))).mode & 0o777, 0o600, name);
      }
      for (const name of written.slice(0, 2)) {
        const secret = (await read(directory, name)).trim();
        await registerSecret(label, secret);
        assert.ok(!printed.stdout.includes(secret), name);
      }
    });

    test("leaves what it names to be done, and nothing else", async () => {
      const rest = printed.stdout.split("Still to be done before it can start:")[1];
      const missing = ["oidc.client_secret_file", ...(certificates ? ["tls.certificate", "tls.key"] : [])];
      assert.deepEqual(rest.match(/^  [a-z_.]+(?=:)/gm).map((key) => key.trim()).sort(), missing);
      await writeFile(at(join(secrets, clientSecret)), `${gatewayClient.secret}\n`, { mode: 0o600 });
      if (certificates) {
        await mkdir(at(certificates), { recursive: true });
        await copyFile(plan.certificate.certificate, at(join(certificates, "tls.crt")));
        await copyFile(plan.certificate.key, at(join(certificates, "tls.key")));
      }
      if (configuration) await writeFile(at("gateway.toml"), await configuration(directory));
      env = {
        ...paths(at),
        GATEWAY__LISTEN__HTTP: `127.0.0.1:${plan.ports.http}`,
        ...(certificates && { GATEWAY__LISTEN__HTTPS: `127.0.0.1:${plan.ports.https}` }),
        GATEWAY__LISTEN__ADMIN: `127.0.0.1:${plan.ports.admin}`,
        // The volume, the unit's StateDirectory, or an emptyDir.
        GATEWAY__STORE__DIRECTORY: at("state"),
        // As in the other tests: the log is searched for secrets afterwards.
        GATEWAY__LOG__LEVEL: "trace",
      };
      const checked = await gateway(["check", "--config", "gateway.toml"]);
      assert.equal(checked.code, 0, checked.stderr);
      // The provider of the test has no TLS.
      assert.deepEqual(checked.stderr.match(/^warning: .*$/gm), ["warning: oidc.insecure_http_issuer is on"]);
    });

    test("makes a deployment in which a member moderates a meeting", async () => {
      const settings = await prosodySettings(directory);
      const prosody = await startProsody(settings);
      started.push(prosody);
      const focus = await startFocus(prosody);
      started.push(focus);
      const { domain = names.domain, muc = names.muc } = settings;
      const web = await startWeb({ publicUrl: plan.publicUrl, overrides: { hosts: { domain, muc, focus: names.focus } } });
      started.push(web);
      env.GATEWAY__UPSTREAM__WEB = web.url;
      env.GATEWAY__UPSTREAM__XMPP = prosody.url;
      const program = await run(binary, ["run", "--config", "gateway.toml"], {
        env, cwd: directory, logFile: join(logDirectory, `${label}.log`),
      });
      started.push(program);
      await untilServes(program, async () => {
        const answer = await fetch(`http://127.0.0.1:${plan.ports.admin}/readyz`);
        return answer.ok && (await answer.json()).provider === "ready";
      });
      if (!certificates) {
        const { certificate, key } = plan.certificate;
        started.push(await startProxy("nginx", {
          public: plan.ports.https, gateway: plan.ports.http, certificate, key,
        }));
      }
      const site = { url: plan.url, ports: plan.ports, tls: { ca: plan.certificate.pem, servername: "localhost" } };
      const person = createHttpClient(plan.publicUrl);
      await signInByForms(person, { gateway: site, provider }, "host");
      for (const secret of [gatewayClient.secret, ...person.cookies.values()]) await registerSecret(label, secret);
      for (const transport of ["websocket", "bosh"]) {
        const room = `first-${transport}`;
        const visit = await enter({
          base: plan.publicUrl, tls: site.tls, room, query: { room }, headers: person.headers(), transport, domain, muc,
          nick: "host",
        });
        assert.equal(visit.affiliation, "owner");
        await visit.stream.close();
      }
    });

    test("is examined by the doctor without a finding about Prosody", async () => {
      const { code, stdout, stderr } = await gateway(["doctor", "--config", "gateway.toml", "--only", "B"]);
      assert.equal(code, 0, stdout + stderr);
    });

    test("is not run over what is there", async () => {
      const again = await gateway(["init"]);
      assert.equal(again.code, 2);
      assert.match(again.stderr, /exists; nothing was written/);
    });
  });
}
