//! The backend: `[jaas]`, or `[upstream]`, `[[shard]]` and `[token]`.

use super::{
    jaas::RawJaas,
    shard::{self, RawShard, Shards},
    token::RawToken,
    upstream::RawUpstream,
};
use crate::{
    diagnostics::Diagnostics,
    secret::SecretReader,
    settings::{BackendConfig, JitsiConfig},
};

/// The sections of which a backend consists.
pub(super) struct RawBackend {
    pub(super) jaas: Option<RawJaas>,
    pub(super) upstream: Option<RawUpstream>,
    pub(super) shards: Vec<RawShard>,
    pub(super) token: Option<RawToken>,
    /// Whether there is a `[reservation]`, which requires a Prosody.
    pub(super) has_reservation: bool,
}

// === impl RawBackend ===

impl RawBackend {
    pub(super) fn resolve(
        self,
        secrets: SecretReader,
        diagnostics: &mut Diagnostics,
    ) -> Option<BackendConfig> {
        if let Some(jaas) = self.jaas {
            let conflicts = [
                ("upstream", self.upstream.is_some()),
                ("shard", !self.shards.is_empty()),
                ("token", self.token.is_some()),
                ("reservation", self.has_reservation),
            ];
            for (key, _) in conflicts.into_iter().filter(|(_, is_set)| *is_set) {
                let remedy = format!("remove [jaas] or [{key}]");
                diagnostics
                    .section("")
                    .reject(key, "conflicts with [jaas]", remedy);
            }
            let settings = jaas.resolve(secrets, &mut diagnostics.section("jaas"))?;
            return Some(BackendConfig::Jaas(settings));
        }
        // An invalid [jaas] was removed; [upstream] and [token] are not missing then.
        if diagnostics.is_reported("jaas") {
            return None;
        }
        let upstream = self.upstream.unwrap_or_default();
        let shards = shard::resolve(upstream, self.shards, &mut diagnostics.section(""));
        let xmpp_domain = shards.as_ref().map(|it| it.upstream.xmpp_domain.as_str());
        let token = self.token.unwrap_or_default();
        let verifies_domains = token.verifies_domains();
        let token = token.resolve(xmpp_domain, secrets, &mut diagnostics.section("token"));
        let Shards {
            upstream,
            placement,
        } = shards?;
        Some(BackendConfig::Jitsi(Box::new(JitsiConfig {
            upstream,
            shards: placement,
            token: token?,
            verifies_domains,
        })))
    }
}
