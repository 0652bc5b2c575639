//! What an integration signs its tokens with.

use std::path::Path;

use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::{
    problem::{Fault, Section},
    secret::{RawSecret, SecretReader, read},
};
use model::{integration::VerificationSettings, jws::KeySet};

/// A secret or public keys, and what they may be used with.
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

    /// What was written.
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
                section.reject("jwks_file", "stands beside a secret", remedy);
                None
            }
            (false, None) => shared(algorithms, self.secret, secrets, section),
            (true, Some(file)) => public(algorithms, &file, section),
        }
    }
}

// === impl Algorithm ===

impl Algorithm {
    /// How long a secret has to be: no shorter than the hash (RFC 7518 § 3.2). `None` if the
    /// algorithm takes a key pair.
    fn secret_bytes(self) -> Option<usize> {
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

fn shared(
    algorithms: Option<Vec<Algorithm>>,
    raw: RawSecret,
    secrets: SecretReader,
    section: &mut Section<'_>,
) -> Option<VerificationSettings> {
    let key = if raw.inline.is_some() {
        "secret"
    } else {
        "secret_file"
    };
    let secret = secrets.read(section, "secret", raw);
    let algorithms = algorithms.unwrap_or_else(|| vec![Algorithm::HS256]);
    let least: Option<Vec<usize>> = algorithms.iter().map(|one| one.secret_bytes()).collect();
    let Some(least) = least.and_then(|all| all.into_iter().max()) else {
        let remedy = "write one or more of HS256, HS384 and HS512";
        unfit("not for a secret", remedy, section);
        return None;
    };
    let secret = secret?;
    let length = secret.expose_secret().len();
    if length < least {
        let what = format!("{length} bytes are too few, the algorithm wants {least}");
        section.reject(key, what, "write one with openssl rand -hex 32");
        return None;
    }
    Some(VerificationSettings::Secret {
        algorithms: algorithms.into_iter().map(Into::into).collect(),
        secret,
    })
}

fn public(
    algorithms: Option<Vec<Algorithm>>,
    file: &str,
    section: &mut Section<'_>,
) -> Option<VerificationSettings> {
    let document = section.keep("jwks_file", key_set(file));
    let algorithms = algorithms.unwrap_or_else(|| vec![Algorithm::RS256, Algorithm::ES256]);
    let fit = algorithms.iter().all(|one| one.secret_bytes().is_none());
    if algorithms.is_empty() || !fit {
        let remedy = "write one or more of RS256, PS256, ES256, EdDSA and the like";
        unfit("not for public keys", remedy, section);
        return None;
    }
    Some(VerificationSettings::Keys {
        algorithms: algorithms.into_iter().map(Into::into).collect(),
        document: document?,
    })
}

/// Unless words that are no algorithms were the mistake.
fn unfit(what: &str, remedy: &str, section: &mut Section<'_>) {
    if !section.is_settled("algorithms") {
        section.reject("algorithms", what, remedy);
    }
}

fn key_set(file: &str) -> Result<Vec<u8>, Fault> {
    let document = read(Path::new(file))?;
    KeySet::parse(&document).map_err(|error| {
        let what = format!("{file}: {error}");
        Fault::new(what, "write {\"keys\": […]} with its public keys")
    })?;
    Ok(document)
}
