//! Tokens that the gateway mints: backend tokens for Prosody, display tokens for Jitsi's page, and
//! client tokens that only the gateway accepts.

mod backend;
mod client;
mod display;
mod personal_claims;
pub mod prosody;
mod signer;

use std::time::Duration;

use secrecy::SecretString;

pub(crate) use self::signer::Signer;
#[cfg(test)]
pub(crate) use self::signer::tests as testing;
pub use self::{
    backend::{BackendToken, ContextUser, Minter},
    client::{ClientToken, ClientTokenError, ClientTokenKind, ClientTokens, OpenedClientToken},
    display::DisplayToken,
    personal_claims::PersonalClaims,
    signer::{PublishedKeys, SignerError},
};

/// The claims and the signature of backend tokens.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The `iss` claim; Prosody's `asap_accepted_issuers`, usually the app id.
    pub issuer: String,
    /// The `aud` claim; Prosody's `asap_accepted_audiences`.
    pub audience: String,
    /// The `sub` claim for rooms without a tenant; Prosody's XMPP domain.
    pub subject: String,
    /// The time from minting to `exp`. A connection outlives its token.
    pub lifetime: Duration,
    /// What tokens have of a person.
    pub claims: PersonalClaims,
    /// The signing key.
    pub signing: SigningSettings,
}

/// The key of backend tokens. Prosody's plugin accepts exactly one algorithm, and only of these.
#[derive(Clone, Debug)]
pub enum SigningSettings {
    /// A secret shared with Prosody (`app_secret`).
    Secret {
        /// One of HS256, HS384, HS512.
        algorithm: jsonwebtoken::Algorithm,
        /// The shared secret.
        secret: SecretString,
    },
    /// Key pairs; Prosody fetches the public keys from the gateway (`asap_key_server`,
    /// `cache_keys_url`).
    Keys {
        /// One of RS256, RS384, RS512.
        algorithm: jsonwebtoken::Algorithm,
        /// The first signs; all are published.
        keys: Vec<KeySettings>,
    },
}

// === impl SigningSettings ===

impl SigningSettings {
    /// The ids of the key pairs, the signing one first; empty for a secret.
    pub fn kids(&self) -> Vec<String> {
        match self {
            Self::Secret { .. } => Vec::new(),
            Self::Keys { keys, .. } => keys.iter().map(|key| key.kid.clone()).collect(),
        }
    }
}

/// One RSA key pair.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The `kid` in the token's header.
    pub kid: String,
    /// The private key as PEM text (PKCS #8 or PKCS #1).
    pub pem: SecretString,
}
