// Jitsi's own Prosody plugins in place of the stand-ins below `prosody/modules`.

import { accessSync } from "node:fs";
import { join, resolve } from "node:path";
import { modules, names } from "./prosody-names.js";

/** The folder of Jitsi's plugins (jitsi-meet, `resources/prosody-plugins`), if the tests are to run with them. */
export const pluginFolder = process.env.JITSI_PLUGINS && resolve(process.env.JITSI_PLUGINS);

if (pluginFolder) {
  try {
    accessSync(join(pluginFolder, "mod_token_verification.lua"));
  } catch {
    throw new Error(`JITSI_PLUGINS=${pluginFolder} has no mod_token_verification.lua; name jitsi-meet's resources/prosody-plugins`);
  }
}

/** What has another name than its stand-in, as docker-jitsi-meet configures it. */
const replacements = [
  ['"tenant_mapper"; ', ""],
  ['authentication = "guest"', 'authentication = "jitsi-anonymous"'],
  [`Component "${names.focus}" "focus_relay"`, `Component "${names.focus}" "client_proxy"`],
  [`focus_user = "${names.focusUser}"`, `target_address = "${names.focusUser}"`],
  ['modules_enabled = { "muc_resource_validate"; ', `modules_enabled = { ${[
    "muc_hide_all", "muc_meeting_id", "muc_domain_mapper", "muc_password_whitelist", "muc_resource_validate",
  ].map((name) => `"${name}"; `).join("")}`],
];

/** The configuration for the stand-ins, or for Jitsi's plugins where `JITSI_PLUGINS` names them. */
export function withPlugins(configuration) {
  const paths = JSON.stringify(modules);
  // A test that takes a stand-in away has other paths.
  if (!pluginFolder || !configuration.includes(paths)) return configuration;
  return [[paths, `${JSON.stringify(pluginFolder)}; ${paths}`], ...replacements].reduce(
    (text, [from, to]) => text.replace(from, to),
    configuration,
  );
}
