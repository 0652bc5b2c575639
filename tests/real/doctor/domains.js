// Deployments that differ in the domains for guests and recorders, in domain verification and in the allowlist:
// which are healthy, and the finding of each other.

import { names, startProsody } from "../lib/prosody.js";
import { startFocus } from "../lib/focus.js";
import { appSecret } from "../lib/tokens.js";
import { startWeb } from "../lib/web.js";

const allowing = (...domains) => [`token_verification_allowlist = { ${domains.map((it) => JSON.stringify(it)).join("; ")} }`];

/**
 * One deployment.
 * @param {object} settings
 * @param {boolean} [settings.guests] whether Prosody has a domain for guests
 * @param {boolean} [settings.recorders] whether Prosody has one for recorders
 * @param {boolean} [settings.verified] whether Prosody compares tenants
 * @param {string[]} [settings.allowed] the domains in the allowlist
 * @param {boolean} [settings.tenants] whether the gateway says that Prosody compares tenants
 * @param {string} [settings.guestDomain] of the gateway
 * @param {string[]} [settings.recorderDomains] of the gateway; `[]` means the default, and none no recorders
 * @param {string} [settings.password] of a recorder, if the doctor has one
 * @param {object} [settings.web] changes of `config.js`
 * @param {(configuration: string) => string} [settings.edit] of Prosody's configuration
 */
const deployed = ({
  guests, recorders, verified = false, allowed = [], tenants = false, guestDomain, recorderDomains, password, web, edit,
}) => async (keep, { plan }) => {
  const prosody = keep(await startProsody({
    secret: appSecret, guests, recorders, verifyDomain: verified, mucLines: allowing(...allowed), edit,
  }));
  keep(await startFocus(prosody));
  const changed = { xmpp: prosody.url };
  if (web) changed.web = keep(await startWeb({ publicUrl: plan.publicUrl, overrides: web })).url;
  const account = password && await plan.file("account.secret", `${names.recorderUser}:${password}\n`);
  return {
    changed,
    settings: {
      token: { domain_verification: tenants },
      guests: { xmpp_domain: guestDomain },
      ...(recorderDomains && {
        listen: { recorders: ["127.0.0.2/32"], ...(recorderDomains.length && { recorder_domains: recorderDomains }) },
      }),
    },
    args: ["--deep", "--only", "B,A,J,G,H", ...(account ? ["--recorder", account] : [])],
  };
};

const recording = { recorders: true, recorderDomains: [], password: names.recorderPassword };
const anonymous = (text) => text.replace(
  `VirtualHost "${names.hidden}"\n  authentication = "internal_plain"`,
  `VirtualHost "${names.hidden}"\n  authentication = "guest"`,
);

export const healthyDomains = {
  "the recommended set-up": deployed({ ...recording, verified: true, tenants: true, allowed: [names.hidden] }),
  "the recommended set-up, with a guests' domain that is not used": deployed({
    ...recording, guests: true, verified: true, tenants: true, allowed: [names.hidden],
  }),
  "a guests' domain that is used, with domain verification": deployed({
    ...recording, guests: true, verified: true, tenants: true, allowed: [names.hidden, names.guest], guestDomain: names.guest,
  }),
  "a guests' domain that is used, without domain verification": deployed({
    ...recording, guests: true, guestDomain: names.guest,
  }),
  "recorders, without domain verification": deployed(recording),
  "recorders whose account the doctor does not have": deployed({ recorders: true, recorderDomains: [], verified: true }),
  "domain verification that the gateway does not need": deployed({ verified: true }),
  "a hidden domain that the gateway does not use": deployed({ recorders: true, verified: true }),
  "the allowlist has the guests' domain, which Prosody does not have": deployed({ verified: true, allowed: [names.guest] }),
  "config.js hides the recorders' domain": deployed({ ...recording, web: { hiddenDomain: names.hidden } }),
};

export const brokenDomains = {
  "Prosody has no domain for guests": ["G1.domain", deployed({ guestDomain: names.guest })],
  "Prosody has no domain for guests, with domain verification": [
    "G1.domain", deployed({ guestDomain: names.guest, verified: true, allowed: [names.guest] }),
  ],
  "the guests' domain wants passwords": ["G1.mechanism", deployed({ recorders: true, guestDomain: names.hidden })],
  "rooms are not below the XMPP domain, and guests have no tokens": ["G1.rooms", deployed({
    guests: true, guestDomain: names.guest,
    web: { hosts: { domain: names.domain, muc: "rooms.example", focus: names.focus } },
    // Jitsi's plugins look for their options at the parent of the rooms' component.
    edit: (text) => `app_id = "gateway"; app_secret = ${JSON.stringify(appSecret)}; enable_domain_verification = false;
      muc_mapper_domain = "rooms.example";\n${text.replace(`Component "${names.muc}"`, 'Component "rooms.example"')}`,
  })],
  "domain verification refuses guests": ["G2.refused", deployed({ guests: true, verified: true, guestDomain: names.guest })],
  "domain verification refuses guests, and allows recorders": [
    "G2.refused", deployed({ ...recording, guests: true, verified: true, allowed: [names.hidden], guestDomain: names.guest }),
  ],
  "a guests' domain that is not used, without domain verification": ["G2.open", deployed({ guests: true })],
  "a guests' domain that is not used, in the allowlist": [
    "G2.open", deployed({ guests: true, verified: true, tenants: true, allowed: [names.guest] }),
  ],
  "a guests' domain by another name that is not used": ["G2.open", deployed({
    guests: true,
    web: { hosts: { domain: names.domain, muc: names.muc, focus: names.focus, anonymousdomain: "visitors.meet.jitsi" } },
    edit: (text) => text.replaceAll(names.guest, "visitors.meet.jitsi"),
  })],
  "Prosody has no domain for recorders": ["H1.domain", deployed({ recorderDomains: [] })],
  "Prosody has another domain for recorders": [
    "H1.domain", deployed({ recorders: true, recorderDomains: ["recorder.meet.jitsi"] }),
  ],
  "recorders need no password": ["H1.anonymous", deployed({ recorders: true, recorderDomains: [], edit: anonymous })],
  "config.js hides another domain": ["H1.page", deployed({ ...recording, web: { hiddenDomain: "recorder.meet.jitsi" } })],
  "the recorder's password is another": ["H2.login", deployed({ ...recording, password: "another" })],
  "the recorder's account is of another domain": ["H2.domain", deployed({
    ...recording, guests: false, recorderDomains: [names.auth],
  })],
  "domain verification refuses recorders": ["H2.refused", deployed({ ...recording, verified: true })],
  "domain verification refuses recorders, and allows guests": [
    "H2.refused", deployed({ ...recording, guests: true, verified: true, allowed: [names.guest], guestDomain: names.guest }),
  ],
  "domain verification is off where tenants differ": ["J7.off", deployed({ tenants: true })],
  "domain verification is off where tenants differ, and guests have a domain": [
    "J7.off", deployed({ ...recording, guests: true, tenants: true, guestDomain: names.guest }),
  ],
  "the allowlist has the main domain": ["J3.open", deployed({ verified: true, allowed: [names.domain] })],
};
