//! The relying parties of a deployment, one for each provider.

use std::sync::Arc;

use model::{
    clock::Clock,
    provider::{MemberScopes, ProviderId},
    random::Random,
};
use observe::metrics::ProviderFamilies;

use crate::{OidcSettings, OidcSetupError, RelyingParty};

/// The relying parties in the order of the configuration. Each has metadata, keys, connections and
/// limits of its own, so that a provider that fails affects its own people only.
#[derive(Clone)]
pub struct RelyingParties(Vec<Arc<RelyingParty>>);

// === impl RelyingParties ===

impl RelyingParties {
    /// Creates a relying party for each provider. `metrics` has the series of all of them.
    ///
    /// # Errors
    ///
    /// [`OidcSetupError`] of the first that cannot be created.
    pub fn new(
        settings: Vec<OidcSettings>,
        metrics: &ProviderFamilies,
        clock: &Clock,
        random: &Random,
    ) -> Result<Self, OidcSetupError> {
        let party = |settings: OidcSettings| {
            let own = metrics.of(settings.provider_id());
            if let Some(end) = settings.client_auth.certificate_end() {
                own.set_client_certificate_end(end);
            }
            RelyingParty::with_metrics(settings, own, clock.clone(), random.clone()).map(Arc::new)
        };
        settings
            .into_iter()
            .map(party)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// All, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RelyingParty>> {
        self.0.iter()
    }

    /// The one whose addresses, subjects and sessions have this
    /// [id](model::provider::SubjectScope::provider).
    pub fn of_scope(&self, provider: Option<&ProviderId>) -> Option<&Arc<RelyingParty>> {
        self.iter()
            .find(|party| party.scope().provider() == provider)
    }

    /// The one of a deployment with one provider.
    pub fn only(&self) -> Option<&Arc<RelyingParty>> {
        match &self.0[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The scopes of all.
    pub fn scopes(&self) -> MemberScopes {
        MemberScopes::new(self.iter().map(|party| party.scope().clone()))
    }
}
