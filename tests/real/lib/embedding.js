import { randomBytes } from "node:crypto";
import { waitForState } from "./browser.js";
import { registerSecret } from "./gateway.js";
import { startShop } from "./shop.js";
import { startSite } from "./site.js";
import { now, sign } from "./tokens.js";

/** Two users of the shop, in the form of its integration. */
export const creator = { id: 7, name: "Carla Creator", email: "carla@shop.example", moderator: "true" };
export const customer = { id: 8, name: "Paul \"P\" <i>Participant</i>", moderator: "false" };

/**
 * A deployment with two integrations: a shop, whose pages embed rooms in frames, and a school,
 * whose pages do not.
 * @param {{label: string}} options names the gateway's log
 */
export async function startEmbedding({ label }) {
  const secrets = { shop: randomBytes(32).toString("hex"), school: randomBytes(32).toString("hex") };
  const shop = await startShop();
  const integration = async (plan, id, more) => ({
    id,
    app_id: `${id}-app`,
    secret_file: await plan.file(`${id}.secret`, secrets[id]),
    rooms: [`${id}-*`],
    ...more,
  });
  const site = await startSite({
    label,
    breakable: true,
    settings: async (plan) => ({
      integration: [
        await integration(plan, "shop", { embed: [shop.url], max_lifetime: "2h" }),
        await integration(plan, "school"),
      ],
    }),
  }).catch(async (error) => {
    await shop.stop();
    throw error;
  });
  const { host } = new URL(site.url);

  /** Opens a page of the shop that embeds a room; returns the page and its frame. */
  async function open(person, { at = shop, room, jwt, config = {}, watch = () => {} }) {
    const visitor = await person.visitor();
    watch(visitor);
    await visitor.page.goto(at.page({ domain: host, options: { roomName: room, jwt, configOverwrite: config } }));
    return { ...visitor, frame: await frameOf(visitor.page) };
  }

  return {
    secrets, shop, site, open,
    /**
     * A token as such an integration signs it: with its own secret, its app id as issuer and
     * audience, and booleans as strings.
     * @param {object} [changes] `undefined` removes a claim
     * @param {object} [options] of `sign`
     */
    async signToken(room, user, changes = {}, options = {}) {
      const claims = {
        iss: "shop-app", aud: "shop-app", sub: "localhost", room, iat: now(), exp: now() + 3_600, context: { user }, ...changes,
      };
      const kept = Object.entries(claims).filter(([, value]) => value !== undefined);
      const token = await sign(Object.fromEntries(kept), { key: secrets.shop, ...options });
      await registerSecret(label, token);
      return token;
    },
    /** Like `open`, and waits until the frame has joined the room. */
    async attend(person, options) {
      const visitor = await open(person, options);
      return { ...visitor, meeting: await waitForState(visitor.frame, "joined") };
    },
    /** The occupants of a room, as its owner sees them. */
    occupants: (room) => site.focus.occupants(`${room}@muc.meet.jitsi`),
    async stop() {
      await site.stop();
      await shop.stop();
    },
  };
}

/** The frame with the meeting in a page of the shop. */
export async function frameOf(page) {
  const element = await page.waitForSelector("#meeting iframe");
  return element.contentFrame();
}
