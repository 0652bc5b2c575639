//! Tokens for Jitsi's clients that only the gateway accepts.
//!
//! Where no cookie goes, in an app or in a page within another site's page, the client has to hold
//! something itself. It gets a text that has the form of Jitsi's tokens, so that it shows the right
//! name and picture, and that carries a sealed session for one room. Prosody refuses it: its
//! signature is by a key that Prosody has not, and it is for another audience.

use std::{fmt, time::Duration};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    errors::{Error, ErrorKind},
};
use serde::{Deserialize, Serialize};

use super::backend::Context;
use crate::{
    clock::{Clock, Timestamp},
    policy::{Features, Role},
    random::Random,
    room::RoomKey,
    seal::{Keyring, Purpose, Sealer},
    session::Session,
};

/// Issues client tokens and verifies them.
pub struct ClientTokens {
    signing: EncodingKey,
    verifying: Vec<DecodingKey>,
    sealer: Sealer,
    validation: Validation,
    issuer: String,
    clock: Clock,
    random: Random,
}

/// A token that the gateway accepts in place of a cookie. Shown to its holder and to nobody else.
pub struct ClientToken(String);

/// What a client token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientTokenKind {
    /// To be used once, within minutes: a deep link from the browser into an app.
    Handoff,
    /// To be used until it ends: a page in a frame, which gets no cookie of ours.
    Embed,
}

/// A client token that was presented and is good. Whether a [`ClientTokenKind::Handoff`] was used
/// before, the store knows by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedClientToken {
    /// The token's random name.
    pub id: String,
    /// What it is for.
    pub kind: ClientTokenKind,
    /// The one room that it is for.
    pub room: RoomKey,
    /// The session that it stands for; its own end is still to be looked at.
    pub session: Session,
    /// When the token begins.
    pub begins: Timestamp,
    /// When the token ends.
    pub expires: Timestamp,
}

/// Why a presented token is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientTokenError {
    /// Not one of ours: an integration's, Prosody's, a display token, or anything else.
    #[error("the token is not one of the gateway's")]
    Foreign,
    /// Signed by us, but what is sealed in it does not open: of another version, for example.
    #[error("the token cannot be read")]
    Unreadable,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come, so some clock is wrong.
    #[error("the token is not good yet")]
    NotYet,
}

/// What everybody can read of a token. Jitsi's clients look at the room, the times and the context.
#[derive(Serialize)]
struct Claims<'c> {
    iss: &'c str,
    aud: &'static str,
    room: &'c str,
    nbf: u64,
    exp: u64,
    jti: &'c str,
    context: Context<'c>,
    /// What counts, sealed.
    gateway: String,
}

/// What is read back.
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
    #[serde(rename = "r")]
    room: &'s RoomKey,
    #[serde(rename = "s")]
    session: &'s Session,
}

#[derive(Deserialize)]
struct Sealed {
    #[serde(rename = "k")]
    kind: ClientTokenKind,
    #[serde(rename = "r")]
    room: RoomKey,
    #[serde(rename = "s")]
    session: Session,
}

// === impl ClientTokens ===

impl ClientTokens {
    /// For tokens of the deployment at `origin`.
    pub fn new(keyring: &Keyring, origin: &str, clock: Clock, random: Random) -> Self {
        let secrets: Vec<_> = keyring.secrets(Purpose::ClientSignature).collect();
        let newest = secrets.first().expect("a keyring has at least one key");
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[origin]);
        validation.set_required_spec_claims(&["aud", "iss"]);
        // The library has a clock of its own; ours looks at the times below.
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

    /// A token by which the session is known in this one room for so long.
    pub fn issue(
        &self,
        session: &Session,
        room: &RoomKey,
        role: Role,
        features: &Features,
        kind: ClientTokenKind,
        lifetime: Duration,
    ) -> ClientToken {
        let now = self.clock.now();
        let sealing = Sealing {
            kind,
            room,
            session,
        };
        let plain = serde_json::to_vec(&sealing).expect("texts and numbers always serialize");
        let claims = Claims {
            iss: &self.issuer,
            aud: AUDIENCE,
            room: room.node(),
            nbf: now.before(CLOCK_TOLERANCE).as_unix(),
            exp: now.after(lifetime).as_unix(),
            jti: &self.random.text::<16>(),
            context: Context::new(session.identity(), role, features),
            gateway: self.sealer.seal(&plain),
        };
        let text = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .expect("HMAC signs any text");
        ClientToken(text)
    }

    /// Whose token it is and what for, if it is one of ours and its time has come and not passed.
    pub fn verify(&self, text: &str) -> Result<OpenedClientToken, ClientTokenError> {
        let presented = self.open(text)?;
        presented.check_time(self.clock.now())?;
        Ok(presented)
    }

    /// Whose token it is and what for, if it is one of ours, whatever the time.
    pub fn open(&self, text: &str) -> Result<OpenedClientToken, ClientTokenError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(ClientTokenError::Foreign);
        }
        let claims = self.signed_claims(text)?;
        let Sealed {
            kind,
            room,
            session,
        } = self
            .sealer
            .open(&claims.gateway)
            .and_then(|plain| serde_json::from_slice(&plain).ok())
            .ok_or(ClientTokenError::Unreadable)?;
        Ok(OpenedClientToken {
            id: claims.jti,
            kind,
            room,
            session,
            begins: Timestamp::from_unix(claims.nbf),
            expires: Timestamp::from_unix(claims.exp),
        })
    }

    /// The claims of a token that is signed by any key of ours.
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
    /// Whether the token's time has come and not passed.
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
    /// The word for logs.
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
    /// The text, for the page or deep link of the one whom it is for.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientToken")
    }
}

/// Another key may have made the signature.
fn is_signature(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidSignature)
}

/// Whom client tokens are for. Prosody is told to accept another audience.
const AUDIENCE: &str = "gateway";

/// Another replica's clock may be this much behind ours.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// What a request head has room for.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
