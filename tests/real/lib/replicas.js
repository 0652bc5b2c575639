import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { planGateway, startGateway } from "./gateway.js";
import { temporaryDirectory } from "./process.js";

/**
 * The state that the replicas of a deployment share: the key of cookies, and the store.
 * @param {{url: string}} redis
 */
export async function shareAmongReplicas(redis) {
  const directory = await temporaryDirectory("replicas");
  const file = async (name, content) => {
    const path = join(directory.path, name);
    await writeFile(path, content, { mode: 0o600 });
    return path;
  };
  const key = await file("session.secret", randomBytes(32).toString("base64"));
  const store = await file("redis.secret", redis.url);
  return {
    file,
    remove: directory.remove,
    settings: { session: { key_file: key }, store: { kind: "redis", url_file: store } },
  };
}

/**
 * Starts another gateway of a site's deployment.
 * @param {object} site from `startSite`
 * @param {{label: string, settings: object}} options the settings are those of the site's gateway
 */
export async function startReplica(site, { label, settings }) {
  const plan = await planGateway({ label, publicUrl: site.url });
  const neighbours = { web: site.web.url, xmpp: site.prosody.url, issuer: site.provider.issuer };
  return startGateway(plan, { neighbours, settings });
}
