import { execFile } from "node:child_process";
import { access, cp, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePort, run, temporaryDirectory, until, untilServes } from "./process.js";

const execute = promisify(execFile);

const version = "26.7.3";
/** The distribution, built and with the tables of its database; Git ignores it. */
const cache = fileURLToPath(new URL("../.keycloak", import.meta.url));
const home = join(cache, `keycloak-${version}`);
const prepared = join(home, "prepared");

const admin = { user: "admin", password: "admin" };
// The first compiler only: a server that runs for a minute gains nothing by the second.
const java = ["-XX:TieredStopAtLevel=1", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError"];

/** Runs Keycloak's program, not its script: a signal to the script's shell would leave the program behind. */
function runKeycloak(directory, args, options) {
  return run("java", [
    ...java, `-Dkc.home.dir=${directory}`, `-Djboss.server.config.dir=${join(directory, "conf")}`,
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager", "-Dpicocli.disable.closures=true",
    "-cp", join(directory, "lib", "quarkus-run.jar"), "io.quarkus.bootstrap.runner.QuarkusEntryPoint", ...args,
  ], { cwd: directory, ...options });
}

function serve(directory, port, more = []) {
  return runKeycloak(directory, [
    "start", "--optimized", "--http-enabled=true", "--hostname-strict=false", "--http-host=127.0.0.1",
    `--http-port=${port}`, ...more,
  ], { env: { KC_BOOTSTRAP_ADMIN_USERNAME: admin.user, KC_BOOTSTRAP_ADMIN_PASSWORD: admin.password } });
}

/** Time for a start on a machine that others use, too. */
const starting = { what: "Keycloak", within: 300_000, every: 200 };
const serves = (port) => async () => (await fetch(`http://127.0.0.1:${port}/realms/master`)).ok;

/** Fetches the distribution, builds it, and lets it create its tables: once, because each takes as long as a start. */
export async function prepare() {
  if (await access(prepared).then(() => true, () => false)) return;
  await rm(home, { recursive: true, force: true });
  await mkdir(cache, { recursive: true });
  const artifact = `org.keycloak:keycloak-quarkus-dist:${version}:zip`;
  const unpack = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:unpack";
  await execute("mvn", [
    "-q", "-B", unpack, `-Dartifact=${artifact}`, `-DoutputDirectory=${cache}`,
    `-DmarkersDirectory=${join(cache, "markers")}`,
  ]);
  await execute("sh", [join(home, "bin", "kc.sh"), "build", "--db=dev-file", "--cache=local"], { cwd: home });
  const port = await freePort();
  const program = await serve(home, port);
  try {
    await untilServes(program, serves(port), starting);
  } finally {
    await program.stop({ grace: 20_000 });
  }
  await writeFile(prepared, "");
}

/** The hidden action of a login form. */
function actionOf({ url, status, location, text }) {
  const [, action] = text.match(/<form[^>]* action="([^"]+)"/) ?? [];
  if (!action) throw new Error(`no form: ${status} ${location} ${text.slice(0, 2_000)}`);
  return new URL(action.replaceAll("&amp;", "&"), url).href;
}

/** A browser with Keycloak's cookies and without scripts, which follows redirects at Keycloak only. */
function createBrowser() {
  const cookies = new Map();
  const send = async (url, fields) => {
    const answer = await fetch(url, {
      redirect: "manual",
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(fields && { method: "POST", body: new URLSearchParams(fields) }),
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (/max-age=0\b/i.test(line)) cookies.delete(name);
      else cookies.set(name, value);
    }
    return { url, status: answer.status, location: answer.headers.get("location"), text: await answer.text() };
  };
  const follow = async (url, fields) => {
    let answer = await send(url, fields);
    for (let hop = 0; hop < 5 && answer.location?.startsWith(new URL(url).origin); hop += 1) {
      answer = await send(answer.location);
    }
    return answer;
  };
  return {
    /** Opens an address of Keycloak. */
    open: (address) => follow(address),
    /** Submits the form of a page with these fields. */
    submit: (page, fields) => follow(actionOf(page), fields),
    /** Fills in the login form at an address; returns Keycloak's answer. */
    async login(address, login) {
      const answer = await follow(actionOf(await follow(address)), { username: login, password: login });
      if (answer.status >= 400 || /id="kc-form-login"/.test(answer.text)) {
        throw new Error(`not logged in: ${answer.text.slice(0, 2_000)}`);
      }
      return answer;
    },
  };
}

/**
 * Starts Keycloak with a realm of its own, on loopback and without TLS.
 * @param {{truststore?: string}} [options] a PEM file of certificates that it trusts when it sends logout tokens
 */
export async function startKeycloak({ truststore } = {}) {
  await prepare();
  const directory = await temporaryDirectory("keycloak");
  const own = join(directory.path, "home");
  await cp(home, own, { recursive: true });
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const realm = "main";
  let program;
  let token;
  const launch = async () => {
    program = await serve(own, port, truststore ? [`--truststore-paths=${truststore}`] : []);
    await untilServes(program, serves(port), starting);
    token = undefined;
  };
  const stop = async () => {
    await program?.stop({ grace: 20_000 });
    await directory.remove();
  };

  const login = async () => {
    const answer = await fetch(`${base}/realms/master/protocol/openid-connect/token`, {
      method: "POST",
      body: new URLSearchParams({ grant_type: "password", client_id: "admin-cli", username: admin.user, password: admin.password }),
    });
    if (!answer.ok) throw new Error(`Keycloak's administrator: ${answer.status} ${await answer.text()}`);
    return (await answer.json()).access_token;
  };
  /** A request to the administration API; returns the answer's JSON, or the id of what was created. */
  const call = async (method, path, body) => {
    token ??= await login();
    const answer = await fetch(`${base}/admin/realms${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (answer.status === 401) {
      token = undefined;
      return call(method, path, body);
    }
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : answer.headers.get("location")?.split("/").at(-1);
  };

  try {
    await launch();
    await call("POST", "", {
      realm, enabled: true, revokeRefreshToken: true, refreshTokenMaxReuse: 0,
      // The administrator's token has to outlast a test, and no person is asked to complete a profile.
      accessTokenLifespan: 600,
    });
  } catch (error) {
    await stop();
    throw new Error(`${error.message}\n${program?.output().slice(-4_000)}`, { cause: error });
  }

  return {
    base,
    issuer: `${base}/realms/${realm}`,
    realm,
    admin,
    call: (method, path, body) => call(method, `/${realm}${path}`, body),
    stop,
    /** Ends the program; what it knows stays in its database. */
    shutDown: () => program.stop({ grace: 20_000 }),
    launch,
    log: () => program.output(),
    /** Creates a person with groups and realm roles, which have to exist, and attributes. Returns the id. */
    async createPerson(login, { groups = [], roles = [], attributes = {} } = {}) {
      const id = await call("POST", `/${realm}/users`, {
        username: login, enabled: true, email: `${login}@example.org`, emailVerified: true,
        firstName: login, lastName: "Example", groups, attributes,
        credentials: [{ type: "password", value: login, temporary: false }],
      });
      const known = await Promise.all(roles.map((role) => call("GET", `/${realm}/roles/${role}`)));
      if (known.length > 0) await call("POST", `/${realm}/users/${id}/role-mappings/realm`, known);
      return id;
    },
    /** Runs one of the commands of the documents: `kcadm.sh …`. */
    async kcadm(words, { cwd }) {
      // Its configuration has the administrator's token, and belongs to the test.
      const env = { ...process.env, KC_OPTS: `-Duser.home=${directory.path} ${java[0]}`, KC_CLI_PASSWORD: admin.password };
      const { stdout } = await execute("sh", [join(own, "bin", "kcadm.sh"), ...words], { cwd, env });
      return stdout;
    },
    createBrowser,
    /** Waits until a condition about Keycloak holds. */
    until: (check, what) => until(check, { what, within: 60_000 }),
  };
}
