//! `[oidc] client_auth` and the keys that belong to it: how the client authenticates at the token endpoint.

use std::{path::Path, sync::Arc};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    diagnostics::Section,
    problem::Fault,
    secret::{RawSecret, SecretReader},
    values::parse_name,
};
use oidc::{ClientAuth, ClientKey, KeyAuthentication};

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum RawClientAuth {
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
}

/// The keys of `[oidc]` about the authentication of the client.
pub(super) struct RawClientCredentials {
    pub(super) method: RawClientAuth,
    pub(super) secret: RawSecret,
    pub(super) key_file: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) assertion_audience: Option<String>,
}

// === impl RawClientCredentials ===

impl RawClientCredentials {
    /// The method, and the secret of one that has a secret; a client without one is public.
    pub(super) fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<(ClientAuth, Option<SecretString>)> {
        let without_key = match self.method {
            RawClientAuth::ClientSecretBasic => ClientAuth::Basic,
            RawClientAuth::ClientSecretPost => ClientAuth::Post,
            RawClientAuth::PrivateKeyJwt => {
                let authentication = self.resolve_key(secrets, section)?;
                return Some((ClientAuth::Key(authentication), None));
            }
        };
        for (key, is_set) in [
            ("client_key_file", self.key_file.is_some()),
            ("client_key_id", self.key_id.is_some()),
            ("assertion_audience", self.assertion_audience.is_some()),
        ] {
            if is_set {
                let what = "only of client_auth = \"private_key_jwt\"";
                section.reject(key, what, "remove it, or change client_auth");
            }
        }
        Some((
            without_key,
            secrets.read(section, "client_secret", self.secret),
        ))
    }

    fn resolve_key(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<KeyAuthentication> {
        for (key, is_set) in [
            ("client_secret", self.secret.inline.is_some()),
            ("client_secret_file", self.secret.file.is_some()),
        ] {
            if is_set {
                let what = "not used by client_auth = \"private_key_jwt\"";
                section.reject(key, what, "remove it");
            }
        }
        let id = section.parse("client_key_id", self.key_id, parse_name);
        let audience = section.parse("assertion_audience", self.assertion_audience, parse_name);
        if self.key_file.is_none() {
            let remedy = "add for example client_key_file = \"config/oidc.key\"";
            section.require("client_key_file", remedy);
        }
        let key = section.parse("client_key_file", self.key_file, |file| {
            let pem = SecretString::from(secrets.read_text(Path::new(file))?.as_str());
            ClientKey::from_pem(&pem, id.as_deref()).map_err(|error| {
                Fault::new(
                    format!("{file} is {error}"),
                    "create one with openssl genrsa 2048",
                )
            })
        })?;
        Some(KeyAuthentication {
            key: Arc::new(key),
            audience,
        })
    }
}
