//! The verification of an integration's tokens.

use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::ExposeSecret;

use super::{EmbedError, VerificationSettings, claims::Claims};
use crate::jws::{Jws, KeySet, KeySetError};

/// The key and the algorithms of one integration.
pub(super) enum Verifier {
    Secret(Vec<Algorithm>, DecodingKey),
    Keys(Vec<Algorithm>, KeySet),
}

// === impl Verifier ===

impl Verifier {
    pub(super) fn new(settings: &VerificationSettings) -> Result<Self, KeySetError> {
        Ok(match settings {
            VerificationSettings::Secret { algorithms, secret } => {
                let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
                Self::Secret(algorithms.clone(), key)
            }
            VerificationSettings::Keys {
                algorithms,
                document,
            } => Self::Keys(algorithms.clone(), KeySet::parse(document)?),
        })
    }

    pub(super) fn open(&self, token: &str) -> Result<Claims, EmbedError> {
        let (jws, claims) = match self {
            Self::Secret(algorithms, key) => {
                let jws = Jws::parse_shared(token, algorithms)?;
                let claims = jws.verified_by(key)?;
                (jws, claims)
            }
            Self::Keys(algorithms, keys) => {
                let jws = Jws::parse(token, algorithms)?;
                let claims = keys.open(&jws)?;
                (jws, claims)
            }
        };
        // A key may also sign tokens of other types, which `typ` names (RFC 8725 § 3.11).
        match jws.typ() {
            Some(typ) if !typ.eq_ignore_ascii_case("JWT") => Err(EmbedError::Kind),
            _ => Ok(claims),
        }
    }
}
