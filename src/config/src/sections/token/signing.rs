//! The secret or the keys that sign tokens for Prosody.

use std::path::Path;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::RawKey;
use crate::{
    diagnostics::Section,
    problem::Fault,
    secret::{RawSecret, SecretReader},
    values::parse_name,
};
use model::token::{KeySettings, PublishedKeys, SignerError, SigningSettings};

/// The signing keys of `[token]`: either a secret or key pairs.
pub(super) struct RawSigning {
    pub(super) algorithm: Option<Algorithm>,
    pub(super) secret: RawSecret,
    pub(super) keys: Vec<RawKey>,
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
}

// === impl RawSigning ===

impl RawSigning {
    pub(super) fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<SigningSettings> {
        let Self {
            algorithm,
            secret,
            keys,
        } = self;
        match (secret.is_absent(), keys.is_empty()) {
            (true, true) => {
                let alternatives = ["secret", "secret_file", "key"];
                if !alternatives.iter().any(|key| section.is_reported(key)) {
                    let remedy = "add secret_file = \"config/prosody.secret\", the same as \
                                  Prosody's app_secret";
                    section.reject("secret_file", "missing", remedy);
                }
                None
            }
            (false, false) => {
                let remedy = "remove the secret or every [[token.key]]";
                section.reject("key", "conflicts with the secret", remedy);
                None
            }
            (false, true) => resolve_secret(algorithm, secret, secrets, section),
            (true, false) => resolve_keys(algorithm, keys, secrets, section),
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
            Self::RS256 | Self::RS384 | Self::RS512 => None,
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
        }
    }
}

/// Reads an RSA private key and checks that it can sign; returns its PEM text.
pub(crate) fn read_rsa_key(file: &str, secrets: SecretReader) -> Result<SecretString, Fault> {
    let pem = SecretString::from(secrets.read_text(Path::new(file))?.as_str());
    // Deriving the public key parses the whole private key.
    let signing = SigningSettings::Keys {
        algorithm: jsonwebtoken::Algorithm::RS256,
        keys: vec![KeySettings {
            kid: file.to_owned(),
            pem: pem.clone(),
        }],
    };
    PublishedKeys::new(&signing).map_err(|error| {
        let what = match error {
            SignerError::NotRsa { .. } => format!("{file} is not an RSA private key in PEM form"),
            // aws-lc-rs accepts no shorter keys.
            _ => format!("{file} cannot sign: fewer than 2048 bits, or broken"),
        };
        Fault::new(what, "create one with openssl genrsa 2048")
    })?;
    Ok(pem)
}

fn resolve_secret(
    algorithm: Option<Algorithm>,
    raw: RawSecret,
    secrets: SecretReader,
    section: &mut Section<'_>,
) -> Option<SigningSettings> {
    let algorithm = algorithm.unwrap_or(Algorithm::HS256);
    let key = raw.written_key("secret", "secret_file");
    let secret = secrets.read(section, "secret", raw);
    let Some(min_bytes) = algorithm.min_secret_bytes() else {
        let what = format!("{algorithm:?} requires a key pair, not a secret");
        let remedy = "write HS256, HS384 or HS512, or use [[token.key]]";
        section.reject("algorithm", what, remedy);
        return None;
    };
    let secret = secret?;
    let length = secret.expose_secret().len();
    if length < min_bytes {
        let what = format!("{length} bytes are too few for {algorithm:?}, which needs {min_bytes}");
        let remedy = "create one with openssl rand -hex 32, and write it into Prosody's \
                      configuration, too";
        section.reject(key, what, remedy);
        return None;
    }
    Some(SigningSettings::Secret {
        algorithm: algorithm.into(),
        secret,
    })
}

fn resolve_keys(
    algorithm: Option<Algorithm>,
    raw: Vec<RawKey>,
    secrets: SecretReader,
    section: &mut Section<'_>,
) -> Option<SigningSettings> {
    let algorithm = algorithm.unwrap_or(Algorithm::RS256);
    let is_asymmetric = algorithm.min_secret_bytes().is_none();
    if !is_asymmetric {
        let what = format!("{algorithm:?} requires a secret, not a key pair");
        section.reject("algorithm", what, "write RS256, RS384 or RS512");
    }
    let mut kids: Vec<String> = Vec::new();
    let keys = section.resolve_list("key", raw, |raw, section| {
        let kid = section.parse("kid", raw.kid, parse_name);
        if kid.as_ref().is_some_and(|kid| kids.contains(kid)) {
            section.reject("kid", "the id of another key", "write another id");
        }
        kids.extend(kid.clone());
        let pem = section.parse("file", raw.file, |file| read_rsa_key(file, secrets));
        Some(KeySettings {
            kid: kid?,
            pem: pem?,
        })
    });
    let keys = keys.filter(|_| is_asymmetric)?;
    Some(SigningSettings::Keys {
        algorithm: algorithm.into(),
        keys,
    })
}
