//! Client tokens: accepted only by the gateway, for clients without its cookies.
//!
//! Native apps and pages in another site's frame send no cookie. They get a JWT with Jitsi's
//! `context`, so that they show the right name and picture, which carries a sealed pass to one
//! room. Prosody refuses it: another key signs it, and its audience is another.

use std::{fmt, time::Duration};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    errors::{Error, ErrorKind},
};
use serde::{Deserialize, Serialize};

use super::{PersonalClaims, backend::TokenContext};
use crate::{
    clock::{Clock, Timestamp},
    policy::{Features, Role},
    random::Random,
    seal::{Keyring, Purpose, Sealer},
    session::Pass,
};

/// Issues and opens client tokens.
pub struct ClientTokens {
    signing: EncodingKey,
    verifying: Vec<DecodingKey>,
    sealer: Sealer,
    validation: Validation,
    issuer: String,
    clock: Clock,
    random: Random,
}

/// A token that the gateway accepts in place of a cookie. A secret of its holder.
pub struct ClientToken(String);

/// The use of a client token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientTokenKind {
    /// A deep link from the browser into an app: worthless unless its first use is within minutes.
    Handoff {
        /// The first second that is too late for a first use. The token's visible `exp` is later:
        /// Jitsi's client resumes no stream after it (lib-jitsi-meet `modules/xmpp/xmpp.ts`).
        first_use_before: Timestamp,
    },
    /// Used until it expires: a page in another site's frame.
    Embed,
}

/// A client token with a valid signature and an opened pass.
///
/// Its validity period is not checked yet, and neither is whether a [`ClientTokenKind::Handoff`] was
/// first used in time: the store records that by the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedClientToken {
    /// The token's random id, `jti`.
    pub id: String,
    /// The token's use.
    pub kind: ClientTokenKind,
    /// The pass of its holder, for the room that the token is valid in. The pass's own end is not
    /// checked yet.
    pub pass: Pass,
    /// The first second of its validity.
    pub begins: Timestamp,
    /// The first second after its validity.
    pub expires: Timestamp,
}

/// Why a client token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientTokenError {
    /// Not a client token of this deployment: of an integration, of Prosody, a display token, …
    #[error("the token is not one of the gateway's")]
    Foreign,
    /// The signature is valid, but the sealed pass does not open; for example, another release
    /// wrote it.
    #[error("the token cannot be read")]
    Unreadable,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token is not valid yet: the clocks of two replicas differ.
    #[error("the token is not valid yet")]
    NotYet,
}

/// The claims when signing. Jitsi's clients read `room`, the times and `context`.
#[derive(Serialize)]
struct Claims<'c> {
    iss: &'c str,
    aud: &'static str,
    room: &'c str,
    nbf: u64,
    exp: u64,
    jti: &'c str,
    context: TokenContext<'c>,
    /// The sealed [`Sealing`], the only claim that the gateway trusts.
    gateway: String,
}

/// The claims when verifying.
#[derive(Deserialize)]
struct SignedClaims {
    nbf: u64,
    exp: u64,
    jti: String,
    gateway: String,
}

#[derive(Serialize)]
struct Sealing<'s> {
    #[serde(rename = "k")]
    kind: ClientTokenKind,
    #[serde(rename = "s")]
    pass: &'s Pass,
}

#[derive(Deserialize)]
struct Sealed {
    #[serde(rename = "k")]
    kind: ClientTokenKind,
    #[serde(rename = "s")]
    pass: Pass,
}

// === impl ClientTokens ===

impl ClientTokens {
    /// Creates the issuer of the deployment at `origin`.
    pub fn new(keyring: &Keyring, origin: &str, clock: Clock, random: Random) -> Self {
        let secrets: Vec<_> = keyring.secrets(Purpose::ClientSignature).collect();
        // Infallible: a `Keyring` is never empty.
        let newest = secrets.first().expect("a keyring has at least one key");
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[origin]);
        validation.set_required_spec_claims(&["aud", "iss"]);
        // The library reads the system clock; `check_time` uses the clock of the gateway.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            signing: EncodingKey::from_secret(newest.as_slice()),
            verifying: secrets
                .iter()
                .map(|secret| DecodingKey::from_secret(secret.as_slice()))
                .collect(),
            sealer: keyring.sealer(Purpose::ClientToken, origin),
            validation,
            issuer: origin.to_owned(),
            clock,
            random,
        }
    }

    /// Issues a token that stands for a pass.
    pub fn issue(
        &self,
        pass: &Pass,
        role: Role,
        features: &Features,
        kind: ClientTokenKind,
        lifetime: Duration,
        shown: PersonalClaims,
    ) -> ClientToken {
        let now = self.clock.now();
        let sealing = Sealing { kind, pass };
        // Infallible: the fields are texts, numbers and booleans.
        let plain = serde_json::to_vec(&sealing).expect("texts and numbers always serialize");
        let claims = Claims {
            iss: &self.issuer,
            aud: AUDIENCE,
            room: pass.room().node(),
            nbf: now.before(CLOCK_TOLERANCE).as_unix(),
            exp: now.after(lifetime).as_unix(),
            jti: &self.random.text::<16>(),
            context: TokenContext::new(pass.identity(), role, features, shown),
            gateway: self.sealer.seal(&plain),
        };
        // Infallible: an HMAC signs any text.
        let text = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .expect("HMAC signs any text");
        ClientToken(text)
    }

    /// Verifies a token's signature and opens its pass, whatever the time.
    ///
    /// # Errors
    ///
    /// [`ClientTokenError::Foreign`] and [`ClientTokenError::Unreadable`].
    pub fn open(&self, text: &str) -> Result<OpenedClientToken, ClientTokenError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(ClientTokenError::Foreign);
        }
        let claims = self.signed_claims(text)?;
        let Sealed { kind, pass } = self
            .sealer
            .open(&claims.gateway)
            .and_then(|plain| serde_json::from_slice(&plain).ok())
            .ok_or(ClientTokenError::Unreadable)?;
        Ok(OpenedClientToken {
            id: claims.jti,
            kind,
            pass,
            begins: Timestamp::from_unix(claims.nbf),
            expires: Timestamp::from_unix(claims.exp),
        })
    }

    /// Verifies the signature with each key of the keyring.
    fn signed_claims(&self, text: &str) -> Result<SignedClaims, ClientTokenError> {
        for key in &self.verifying {
            match jsonwebtoken::decode::<SignedClaims>(text, key, &self.validation) {
                Ok(token) => return Ok(token.claims),
                Err(error) if is_signature(&error) => {}
                Err(_) => break,
            }
        }
        Err(ClientTokenError::Foreign)
    }
}

impl fmt::Debug for ClientTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTokens")
    }
}

// === impl OpenedClientToken ===

impl OpenedClientToken {
    /// Checks the validity period.
    ///
    /// # Errors
    ///
    /// [`ClientTokenError::Expired`] and [`ClientTokenError::NotYet`].
    pub fn check_time(&self, now: Timestamp) -> Result<(), ClientTokenError> {
        if now >= self.expires {
            Err(ClientTokenError::Expired)
        } else if now < self.begins {
            Err(ClientTokenError::NotYet)
        } else {
            Ok(())
        }
    }
}

// === impl ClientTokenError ===

impl ClientTokenError {
    /// The name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "token_foreign",
            Self::Unreadable => "token_unreadable",
            Self::Expired => "expired",
            Self::NotYet => "not_yet_valid",
        }
    }
}

// === impl ClientToken ===

impl ClientToken {
    /// The text, for the holder's page or deep link.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientToken")
    }
}

/// Whether another key may have created the signature.
fn is_signature(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidSignature)
}

/// Differs from the audience of backend tokens, so Prosody refuses a client token even with a
/// shared key.
const AUDIENCE: &str = "gateway";

/// `nbf` allows for a replica whose clock is this much behind.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// The limit of a request head.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
