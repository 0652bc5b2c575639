//! The secret or the keys that verify an integration's tokens.

use std::path::Path;

use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::{
    diagnostics::Section,
    problem::Fault,
    secret::{RawSecret, SecretReader, read_file},
};
use model::{integration::VerificationSettings, jws::KeySet};

/// Either a secret or public keys, and the accepted algorithms.
pub(super) struct RawSigning {
    pub(super) secret: RawSecret,
    pub(super) jwks_file: Option<String>,
    pub(super) algorithms: Option<Vec<Algorithm>>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[schemars(inline)]
pub(crate) enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

// === impl RawSigning ===

impl RawSigning {
    /// Whether the integration sends no tokens.
    pub(super) fn is_absent(&self) -> bool {
        self.secret.is_absent() && self.jwks_file.is_none()
    }

    pub(super) fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<VerificationSettings> {
        let algorithms = self.algorithms;
        match (self.secret.is_absent(), self.jwks_file) {
            (true, None) => None,
            (false, Some(_)) => {
                let remedy = "remove the secret or the keys";
                section.reject("jwks_file", "conflicts with the secret", remedy);
                None
            }
            (false, None) => resolve_secret(algorithms, self.secret, secrets, section),
            (true, Some(file)) => resolve_keys(algorithms, &file, section),
        }
    }
}

// === impl Algorithm ===

impl Algorithm {
    /// The minimum length of a secret: that of the hash (RFC 7518 § 3.2). `None` if the algorithm
    /// requires a key pair.
    fn min_secret_bytes(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 => Some(64),
            _ => None,
        }
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::HS256 => Self::HS256,
            Algorithm::HS384 => Self::HS384,
            Algorithm::HS512 => Self::HS512,
            Algorithm::RS256 => Self::RS256,
            Algorithm::RS384 => Self::RS384,
            Algorithm::RS512 => Self::RS512,
            Algorithm::PS256 => Self::PS256,
            Algorithm::PS384 => Self::PS384,
            Algorithm::PS512 => Self::PS512,
            Algorithm::ES256 => Self::ES256,
            Algorithm::ES384 => Self::ES384,
            Algorithm::EdDSA => Self::EdDSA,
        }
    }
}

fn resolve_secret(
    algorithms: Option<Vec<Algorithm>>,
    raw: RawSecret,
    secrets: SecretReader,
    section: &mut Section<'_>,
) -> Option<VerificationSettings> {
    let key = raw.written_key("secret", "secret_file");
    let secret = secrets.read(section, "secret", raw);
    let algorithms = algorithms.unwrap_or_else(|| vec![Algorithm::HS256]);
    let lengths: Option<Vec<usize>> = algorithms.iter().map(|a| a.min_secret_bytes()).collect();
    let Some(min_bytes) = lengths.and_then(|lengths| lengths.into_iter().max()) else {
        let remedy = "write one or more of HS256, HS384 and HS512";
        reject_algorithms("requires a key pair, not a secret", remedy, section);
        return None;
    };
    let secret = secret?;
    let length = secret.expose_secret().len();
    if length < min_bytes {
        let what = format!("{length} bytes are too few, the algorithm needs {min_bytes}");
        section.reject(key, what, "create one with openssl rand -hex 32");
        return None;
    }
    Some(VerificationSettings::Secret {
        algorithms: algorithms.into_iter().map(Into::into).collect(),
        secret,
    })
}

fn resolve_keys(
    algorithms: Option<Vec<Algorithm>>,
    file: &str,
    section: &mut Section<'_>,
) -> Option<VerificationSettings> {
    let document = section.keep("jwks_file", read_key_set(file));
    let algorithms = algorithms.unwrap_or_else(|| vec![Algorithm::RS256, Algorithm::ES256]);
    let asymmetric = algorithms.iter().all(|a| a.min_secret_bytes().is_none());
    if algorithms.is_empty() || !asymmetric {
        let remedy = "write one or more of RS256, PS256, ES256, EdDSA and the like";
        reject_algorithms("requires a secret, not a key pair", remedy, section);
        return None;
    }
    Some(VerificationSettings::Keys {
        algorithms: algorithms.into_iter().map(Into::into).collect(),
        document: document?,
    })
}

/// Rejects the list as a whole, unless one of its entries was rejected.
fn reject_algorithms(what: &str, remedy: &str, section: &mut Section<'_>) {
    if !section.is_reported("algorithms") {
        section.reject("algorithms", what, remedy);
    }
}

fn read_key_set(file: &str) -> Result<Vec<u8>, Fault> {
    let document = read_file(Path::new(file))?;
    KeySet::parse(&document).map_err(|error| {
        let what = format!("{file}: {error}");
        Fault::new(what, "write {\"keys\": […]} with its public keys")
    })?;
    Ok(document)
}
