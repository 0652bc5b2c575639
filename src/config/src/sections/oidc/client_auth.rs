//! `[oidc] client_auth` and the keys that belong to it: how the client authenticates at the token endpoint.

use std::{path::Path, sync::Arc};

use jsonwebtoken::Algorithm;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    diagnostics::Section,
    problem::Fault,
    secret::{RawSecret, SecretReader, read_file},
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

/// The algorithms of the keys that [`ClientKey`] reads.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum RawKeyAlgorithm {
    RS256,
    PS256,
    ES256,
    ES384,
    EdDSA,
}

/// The keys of `[oidc]` about the authentication of the client.
pub(super) struct RawClientCredentials {
    pub(super) method: RawClientAuth,
    pub(super) secret: RawSecret,
    pub(super) key_file: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) key_algorithm: Option<RawKeyAlgorithm>,
    pub(super) certificate_file: Option<String>,
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
            ("client_key_algorithm", self.key_algorithm.is_some()),
            ("client_certificate_file", self.certificate_file.is_some()),
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
        });
        let certificate = section.parse("client_certificate_file", self.certificate_file, |file| {
            Ok((file.to_owned(), read_certificate(Path::new(file))?))
        });
        let mut key = key?;
        if let Some(algorithm) = self.key_algorithm {
            let signing = key.with_algorithm(algorithm.into()).map_err(|mismatch| {
                let remedy = "remove client_key_algorithm, or create a key of its kind";
                Fault::new(mismatch.to_string(), remedy)
            });
            key = section.keep("client_key_algorithm", signing)?;
        }
        if let Some((file, certificate)) = certificate {
            let certified = key.with_certificate(&certificate).map_err(|mismatch| {
                let remedy = "create one with openssl req -x509 -key and the file of the key";
                Fault::new(format!("{file} is {mismatch}"), remedy)
            });
            key = section.keep("client_certificate_file", certified)?;
        }
        Some(KeyAuthentication {
            key: Arc::new(key),
            audience,
        })
    }
}

/// The first certificate of a PEM file.
fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, Fault> {
    CertificateDer::from_pem_slice(&read_file(path)?).map_err(|_| {
        let what = format!("{} contains no certificate", path.display());
        Fault::new(what, "write one into it as PEM")
    })
}

// === impl RawKeyAlgorithm ===

impl From<RawKeyAlgorithm> for Algorithm {
    fn from(algorithm: RawKeyAlgorithm) -> Self {
        match algorithm {
            RawKeyAlgorithm::RS256 => Self::RS256,
            RawKeyAlgorithm::PS256 => Self::PS256,
            RawKeyAlgorithm::ES256 => Self::ES256,
            RawKeyAlgorithm::ES384 => Self::ES384,
            RawKeyAlgorithm::EdDSA => Self::EdDSA,
        }
    }
}
