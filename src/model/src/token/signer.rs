//! Signing keys, and the public keys that Prosody fetches.

use std::collections::HashMap;

use aws_lc_rs::{encoding::AsDer, rsa, signature::KeyPair};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use pem::{EncodeConfig, LineEnding, Pem};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::{KeySettings, SigningSettings};
use crate::digest::sha256_hex;

/// Signs claims with the deployment's newest key.
pub(crate) struct Signer {
    header: Header,
    key: EncodingKey,
}

/// The public keys that the gateway serves; empty if it shares a secret with Prosody.
#[derive(Clone, Debug)]
pub struct PublishedKeys {
    /// A JSON Web Key Set (RFC 7517 § 5), for Prosody's `cache_keys_url`.
    pub jwks: String,
    /// PEM public keys by the lower-case hex SHA-256 of their `kid`, for Prosody's
    /// `asap_key_server`.
    pems: HashMap<String, String>,
}

/// Why a key cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// Not an RSA private key in PEM, or shorter than 2048 bits.
    #[error(
        "key {kid:?} is not an RSA private key of 2048 bits or more in PEM form; make one with `openssl genrsa 2048`"
    )]
    NotRsa {
        /// The key's id.
        kid: String,
    },
    /// The list of keys is empty.
    #[error("there is no signing key")]
    None,
    /// The algorithm needs another kind of key.
    #[error(
        "algorithm {0:?} does not fit the kind of key; Prosody takes HS256, HS384, HS512 with a secret and RS256, RS384, RS512 with a key"
    )]
    Algorithm(Algorithm),
    /// The signing library failed.
    #[error("the key cannot sign")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

// === impl Signer ===

impl Signer {
    pub(crate) fn new(settings: &SigningSettings) -> Result<Self, SignerError> {
        match settings {
            SigningSettings::Secret { algorithm, secret } => {
                if !matches!(
                    algorithm,
                    Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
                ) {
                    return Err(SignerError::Algorithm(*algorithm));
                }
                let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
                Ok(Self {
                    header: Header::new(*algorithm),
                    key,
                })
            }
            SigningSettings::Keys { algorithm, keys } => {
                if !matches!(
                    algorithm,
                    Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512
                ) {
                    return Err(SignerError::Algorithm(*algorithm));
                }
                let newest = keys.first().ok_or(SignerError::None)?;
                let key = EncodingKey::from_rsa_pem(newest.pem.expose_secret().as_bytes())
                    .map_err(|_| SignerError::NotRsa {
                        kid: newest.kid.clone(),
                    })?;
                let header = Header {
                    kid: Some(newest.kid.clone()),
                    ..Header::new(*algorithm)
                };
                Ok(Self { header, key })
            }
        }
    }

    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String, SignerError> {
        Ok(jsonwebtoken::encode(&self.header, claims, &self.key)?)
    }
}

// === impl PublishedKeys ===

impl PublishedKeys {
    /// Derives the public keys, the newest first.
    ///
    /// # Errors
    ///
    /// [`SignerError::NotRsa`] and [`SignerError::Sign`].
    pub fn new(settings: &SigningSettings) -> Result<Self, SignerError> {
        let SigningSettings::Keys { algorithm, keys } = settings else {
            return Ok(Self::default());
        };
        let mut jwks = Vec::new();
        let mut pems = HashMap::new();
        for key in keys {
            let mut jwk = Jwk::from_encoding_key(
                &EncodingKey::from_rsa_pem(key.pem.expose_secret().as_bytes()).map_err(|_| {
                    SignerError::NotRsa {
                        kid: key.kid.clone(),
                    }
                })?,
                *algorithm,
            )?;
            jwk.common.key_id = Some(key.kid.clone());
            jwk.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
            jwks.push(jwk);
            pems.insert(sha256_hex(key.kid.as_bytes()), public_pem(key)?);
        }
        let jwks = serde_json::json!({ "keys": jwks }).to_string();
        Ok(Self { jwks, pems })
    }

    /// The PEM for the last segment of a key server's path, `<sha256(kid)>.pem`.
    pub fn asap(&self, file: &str) -> Option<&str> {
        self.pems
            .get(file.strip_suffix(".pem")?)
            .map(String::as_str)
    }
}

impl Default for PublishedKeys {
    fn default() -> Self {
        Self {
            jwks: r#"{"keys":[]}"#.to_owned(),
            pems: HashMap::new(),
        }
    }
}

fn public_pem(key: &KeySettings) -> Result<String, SignerError> {
    let not_rsa = || SignerError::NotRsa {
        kid: key.kid.clone(),
    };
    let private = pem::parse(key.pem.expose_secret()).map_err(|_| not_rsa())?;
    let pair = match private.tag() {
        "RSA PRIVATE KEY" => rsa::KeyPair::from_der(private.contents()),
        "PRIVATE KEY" => rsa::KeyPair::from_pkcs8(private.contents()),
        _ => return Err(not_rsa()),
    }
    .map_err(|_| not_rsa())?;
    let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key())
        .map_err(|_| not_rsa())?;
    let public = Pem::new("PUBLIC KEY", der.as_ref());
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    Ok(pem::encode_config(&public, lines))
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::rsa::KeySize;
    use base64::{Engine, prelude::BASE64_STANDARD};
    use secrecy::SecretString;

    use super::*;

    /// Generates a key as PEM.
    pub(crate) fn rsa_pem() -> SecretString {
        let pair = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let text = BASE64_STANDARD.encode(der.as_ref());
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n").into()
    }

    #[test]
    fn public_keys_are_served_by_the_hash_of_their_id() {
        let key = |kid: &str| KeySettings {
            kid: kid.to_owned(),
            pem: rsa_pem(),
        };
        let keys = vec![key("new"), key("old")];
        let published = PublishedKeys::new(&SigningSettings::Keys {
            algorithm: Algorithm::RS256,
            keys,
        })
        .unwrap();
        let file = format!("{}.pem", sha256_hex(b"old"));
        assert!(
            published
                .asap(&file)
                .unwrap()
                .starts_with("-----BEGIN PUBLIC KEY-----\nMII")
        );
        assert!(published.asap(&sha256_hex(b"old")).is_none());
        let jwks: serde_json::Value = serde_json::from_str(&published.jwks).unwrap();
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
        assert_eq!(jwks["keys"][1]["kid"], "old");
        assert_eq!(jwks["keys"][0]["use"], "sig");
        assert_eq!(jwks["keys"][0]["alg"], "RS256");
        assert!(
            jwks["keys"][0].get("d").is_none(),
            "a private exponent is never published"
        );
    }

    #[test]
    fn unusable_keys_are_refused_by_name() {
        let keys = |pem: &str| SigningSettings::Keys {
            algorithm: Algorithm::RS256,
            keys: vec![KeySettings {
                kid: "k".to_owned(),
                pem: pem.to_owned().into(),
            }],
        };
        assert!(matches!(
            PublishedKeys::new(&keys("x")),
            Err(SignerError::NotRsa { .. })
        ));
        assert!(matches!(
            Signer::new(&keys("x")),
            Err(SignerError::NotRsa { .. })
        ));
        let confused = SigningSettings::Secret {
            algorithm: Algorithm::RS256,
            secret: SecretString::from("x".repeat(32)),
        };
        assert!(matches!(
            Signer::new(&confused),
            Err(SignerError::Algorithm(_))
        ));
    }
}
