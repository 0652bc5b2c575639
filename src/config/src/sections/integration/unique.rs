//! What must be of one integration only: names, secrets, keys.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};

use crate::problem::Section;
use model::{
    integration::{ApiKey, IntegrationSettings, VerificationSettings},
    token,
};

/// What is taken, and whose it is.
#[derive(Default)]
pub(super) struct Unique {
    ids: BTreeSet<String>,
    app_ids: BTreeSet<String>,
    secrets: Vec<(SecretString, String)>,
    api_keys: Vec<ApiKey>,
}

// === impl Unique ===

impl Unique {
    /// Integrations beside `[token]`, whose secret must stay between Prosody and us.
    pub(super) fn beside(token: Option<&token::TokenSettings>) -> Self {
        let secret = match token.map(|token| &token.signing) {
            Some(token::SigningSettings::Secret { secret, .. }) => Some(secret),
            _ => None,
        };
        Self {
            secrets: secret
                .map(|secret| (secret.clone(), "[token]".to_owned()))
                .into_iter()
                .collect(),
            ..Self::default()
        }
    }

    /// Reports what the integration has in common with those before.
    pub(super) fn compare(&mut self, settings: &IntegrationSettings, section: &mut Section<'_>) {
        let remedy = "write another";
        if !self.ids.insert(settings.id.clone()) {
            section.reject("id", "the id of another integration", remedy);
        }
        if settings.signing.is_some() && !self.app_ids.insert(settings.app_id.clone()) {
            section.reject("app_id", "the app_id of another integration", remedy);
        }
        if let Some(VerificationSettings::Secret { secret, .. }) = &settings.signing {
            let same = |(other, _): &&(SecretString, String)| {
                other.expose_secret() == secret.expose_secret()
            };
            if let Some((_, owner)) = self.secrets.iter().find(same) {
                let what = format!("the secret of {owner}, too: either could sign for the other");
                let remedy = "write a secret of its own with openssl rand -hex 32";
                section.reject("secret_file", what, remedy);
            }
            let owner = format!("integration {:?}", settings.id);
            self.secrets.push((secret.clone(), owner));
        }
        for (position, key) in (1..).zip(&settings.api_keys) {
            if self.api_keys.iter().any(|other| other.is_same(key)) {
                let what = "the same as another key, so nobody could tell whose it is";
                section.entry("api_key", position).reject("", what, remedy);
            }
            self.api_keys.push(key.clone());
        }
    }
}
