//! The keys by which Prosody verifies tokens.

use std::{collections::HashMap, fmt};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, jwk::Jwk};
use secrecy::{ExposeSecret, SecretString};

use super::{ProsodyRefusal, parts::decode_object};
use crate::token::SigningSettings;

/// The keys of accepted signatures, for exactly one algorithm.
#[derive(Clone)]
pub enum ProsodyKeys {
    /// `app_secret`.
    Secret {
        /// `signature_algorithm`: one of HS256, HS384, HS512.
        algorithm: Algorithm,
        /// The shared secret.
        secret: SecretString,
    },
    /// `asap_key_server` or `cache_keys_url`.
    Public {
        /// `signature_algorithm`: one of RS256, RS384, RS512.
        algorithm: Algorithm,
        /// The public keys by their `kid`.
        by_kid: HashMap<String, DecodingKey>,
    },
}

// === impl ProsodyKeys ===

impl ProsodyKeys {
    /// The keys that verify signatures of these settings.
    pub(super) fn for_signing(
        signing: &SigningSettings,
    ) -> Result<Self, jsonwebtoken::errors::Error> {
        match signing {
            SigningSettings::Secret { algorithm, secret } => Ok(Self::Secret {
                algorithm: *algorithm,
                secret: secret.clone(),
            }),
            SigningSettings::Keys { algorithm, keys } => {
                let public = |pem: &SecretString| {
                    let private = EncodingKey::from_rsa_pem(pem.expose_secret().as_bytes())?;
                    DecodingKey::from_jwk(&Jwk::from_encoding_key(&private, *algorithm)?)
                };
                let by_kid = keys
                    .iter()
                    .map(|key| Ok((key.kid.clone(), public(&key.pem)?)))
                    .collect::<Result<_, jsonwebtoken::errors::Error>>()?;
                Ok(Self::Public {
                    algorithm: *algorithm,
                    by_kid,
                })
            }
        }
    }

    /// Selects the key for a token: the secret, or the public key that the token's header names.
    pub(super) fn choose(&self, token: &str) -> Result<(DecodingKey, Algorithm), ProsodyRefusal> {
        let (algorithm, by_kid) = match self {
            Self::Secret { algorithm, secret } => {
                let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
                return Ok((key, *algorithm));
            }
            Self::Public { algorithm, by_kid } => (*algorithm, by_kid),
        };
        let (header, _) = token.split_once('.').ok_or(ProsodyRefusal::InvalidToken)?;
        let header = decode_object(header).ok_or(ProsodyRefusal::BadTokenFormat)?;
        let kid = header.get("kid").ok_or(ProsodyRefusal::KidMissing)?;
        let named = header.get("alg").ok_or(ProsodyRefusal::AlgorithmMissing)?;
        if !named.as_str().is_some_and(|name| name.starts_with("RS")) {
            return Err(ProsodyRefusal::KidWithoutRsa);
        }
        let key = kid.as_str().and_then(|kid| by_kid.get(kid));
        Ok((
            key.cloned().ok_or(ProsodyRefusal::KeyUnavailable)?,
            algorithm,
        ))
    }
}

impl fmt::Debug for ProsodyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { algorithm, .. } => write!(f, "Keys({algorithm:?} by secret)"),
            Self::Public { algorithm, by_kid } => {
                write!(f, "Keys({algorithm:?} by {:?})", by_kid.keys())
            }
        }
    }
}
