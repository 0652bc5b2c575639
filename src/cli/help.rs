//! The texts below the options of `--help`: exit codes and an example of each command.

pub(super) const RUN: &str = "\
Exit codes: 0 stopped by a signal; 1 the gateway could not start; 2 the configuration is invalid.

Example: jitsi-auth-gateway run --config /etc/jitsi-auth-gateway/gateway.toml";

#[cfg(feature = "demo")]
pub(super) const DEMO: &str = "\
Exit codes: 0 stopped by a signal; 1 the demonstration could not start; 2 options are missing.

Examples: jitsi-auth-gateway demo
          jitsi-auth-gateway demo --jitsi http://127.0.0.1:8000 --xmpp http://127.0.0.1:5280 \\
              --app-secret-file prosody.secret";

pub(super) const INIT: &str = "\
Exit codes: 0 the files were written; 1 the doctor found problems; 2 nothing was written.

Examples: jitsi-auth-gateway init --directory /srv/gateway
          jitsi-auth-gateway init --from-env ~/docker-jitsi-meet/.env --provider keycloak \\
              --issuer https://sso.example.org/realms/main --enter link --moderators group:staff";

pub(super) const CHECK: &str = "\
Exit codes: 0 the configuration is valid; 2 it has problems.

Example: jitsi-auth-gateway check --config /etc/jitsi-auth-gateway/gateway.toml";

pub(super) const DOCTOR: &str = "\
Exit codes: 0 no findings; 1 findings; 2 the deployment could not be examined.

Example: jitsi-auth-gateway doctor --only B,P1 --json";

pub(super) const DOCTOR_EXPLAIN: &str = "\
Exit codes: 0 no line is known; 1 at least one line is explained.

Example: docker logs prosody 2>&1 | jitsi-auth-gateway doctor explain";

pub(super) const EXPLAIN: &str = "\
Exit codes: 0 the decision was printed, whatever it is; 2 the room or the claims are invalid.

Examples: jitsi-auth-gateway explain --room acme/board --claims claims.json --open
          jitsi-auth-gateway explain --room board --as guest --output json";

pub(super) const TOKEN: &str = "\
Exit codes: 0 success; 1 Prosody would reject the token; 2 the arguments are invalid.

Example: jitsi-auth-gateway token mint --room test --count 2";

pub(super) const TOKEN_MINT: &str = "\
Exit codes: 0 success; 1 a token could not be signed; 2 the arguments are invalid.

Example: jitsi-auth-gateway token mint --room test --name Ada --print links";

pub(super) const TOKEN_INSPECT: &str = "\
Exit codes: 0 Prosody (with --config: the gateway) would accept the token; 1 it would not; 2 not a JWT.

Examples: jitsi-auth-gateway token inspect - < token.jwt
          jitsi-auth-gateway token inspect --config config/gateway.toml - < token.jwt";

pub(super) const ROOMS: &str = "\
Exit codes: 0 success; 1 the gateway does not answer, or has no such room; 2 the arguments are invalid.

Example: jitsi-auth-gateway rooms list --config /etc/jitsi-auth-gateway/gateway.toml";

pub(super) const ROOMS_LIST: &str = "\
PEOPLE counts all replicas; HERE and SINCE are those of the replica that is asked.

Example: jitsi-auth-gateway rooms list";

pub(super) const ROOMS_SHOW: &str = "\
Prints the people of the replica that is asked.

Example: jitsi-auth-gateway rooms show acme/board --output json";

pub(super) const SESSIONS: &str = "\
Exit codes: 0 success; 1 the gateway does not answer, or has no such session; 2 the arguments are invalid.

Example: jitsi-auth-gateway sessions list --config /etc/jitsi-auth-gateway/gateway.toml";

pub(super) const SESSIONS_LIST: &str = "\
Prints the sessions of the replica that is asked. A session that is in no room is not listed.

Examples: jitsi-auth-gateway sessions list --room acme/board
          jitsi-auth-gateway sessions list --integration odoo --output json";

pub(super) const SESSIONS_SHOW: &str = "\
Example: jitsi-auth-gateway sessions show Zk3vQm0dX8S1nBtY5rW2aA";

pub(super) const SESSIONS_REVOKE: &str = "\
A person who may sign in can come again. To keep an account out, disable it at the provider first.

Examples: jitsi-auth-gateway sessions revoke --subject a1b2
          jitsi-auth-gateway sessions revoke --room acme/board";

pub(super) const HEALTHCHECK: &str = "\
Exit codes: 0 the gateway answers as asked; 1 it does not; 2 the configuration is invalid.

Examples: jitsi-auth-gateway healthcheck --config /etc/gateway/gateway.toml
          jitsi-auth-gateway healthcheck --ready --admin 127.0.0.1:9090";

pub(super) const COMPLETIONS: &str = "\
Exit codes: 0 success; 1 the output could not be written.

Example: jitsi-auth-gateway completions bash > /usr/share/bash-completion/completions/jitsi-auth-gateway";

pub(super) const MANUAL: &str = "\
Exit codes: 0 success; 1 the output could not be written.

Example: jitsi-auth-gateway manual | man -l -";

pub(super) const CONFIG: &str = "\
Exit codes: 0 success; 1 the output could not be written.

Example: jitsi-auth-gateway config schema > config/gateway.schema.json";
