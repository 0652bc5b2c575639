//! Checks that no two integrations share an id, a secret or an API key.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};

use crate::diagnostics::Section;
use model::{
    integration::{ApiKey, IntegrationSettings, VerificationSettings},
    token,
};

/// The ids, secrets and API keys of the integrations so far.
#[derive(Default)]
pub(super) struct UniquenessCheck {
    ids: BTreeSet<String>,
    app_ids: BTreeSet<String>,
    secrets: Vec<OwnedSecret>,
    api_keys: Vec<ApiKey>,
}

struct OwnedSecret {
    secret: SecretString,
    owner: String,
}

// === impl UniquenessCheck ===

impl UniquenessCheck {
    /// Begins with the secret of `[token]`, which only Prosody and the gateway may know.
    pub(super) fn new(token: Option<&token::TokenSettings>) -> Self {
        let secret = match token.map(|token| &token.signing) {
            Some(token::SigningSettings::Secret { secret, .. }) => Some(OwnedSecret {
                secret: secret.clone(),
                owner: "[token]".to_owned(),
            }),
            _ => None,
        };
        Self {
            secrets: secret.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Reports duplicates of earlier integrations, and adds this one.
    pub(super) fn check(&mut self, settings: &IntegrationSettings, section: &mut Section<'_>) {
        let remedy = "write another";
        if !self.ids.insert(settings.id.clone()) {
            section.reject("id", "the id of another integration", remedy);
        }
        if settings.signing.is_some() && !self.app_ids.insert(settings.app_id.clone()) {
            section.reject("app_id", "the app_id of another integration", remedy);
        }
        if let Some(VerificationSettings::Secret { secret, .. }) = &settings.signing {
            let same =
                |other: &&OwnedSecret| other.secret.expose_secret() == secret.expose_secret();
            if let Some(other) = self.secrets.iter().find(same) {
                let owner = &other.owner;
                let what = format!("the secret of {owner}, too: each could sign for the other");
                let remedy = "create a separate secret with openssl rand -hex 32";
                section.reject("secret_file", what, remedy);
            }
            self.secrets.push(OwnedSecret {
                secret: secret.clone(),
                owner: format!("integration {:?}", settings.id),
            });
        }
        for (position, key) in (1..).zip(&settings.api_keys) {
            if self.api_keys.iter().any(|other| other.is_same(key)) {
                let what = "equals another key, so that its owner is ambiguous";
                section.entry("api_key", position).reject("", what, remedy);
            }
            self.api_keys.push(key.clone());
        }
    }
}
