//! What Prosody's token plugins make of a backend token: their checks, in their order, in their
//! words.
//!
//! A connection's token is checked when it logs in ([`ProsodyRules::verify`], Jitsi's `mod_auth_token`) and
//! when it joins a room ([`ProsodyRules::check_room`], `mod_token_verification`). The development meeting
//! runs on these rules, tests hold the gateway's tokens against them, and [`inspect`] tells an
//! operator which of them a token breaks.

mod claims;
mod refusal;
mod report;

use std::collections::HashMap;

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, jwk::Jwk};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

pub use self::{
    claims::{Affiliation, ProsodyClaims},
    refusal::{ProsodyRefusal, RoomRefusal, SaslCondition},
    report::{Caution, TokenReport, inspect},
};
use super::{SigningSettings, TokenSettings};
use crate::clock::Timestamp;

/// How a Prosody is configured, as far as tokens go.
#[derive(Clone, Debug)]
pub struct ProsodyRules {
    /// With what signatures are checked.
    pub keys: ProsodyKeys,
    /// `asap_accepted_issuers`; `*` accepts any.
    pub issuers: Vec<String>,
    /// `asap_accepted_audiences`; `*` accepts any.
    pub audiences: Vec<String>,
    /// `asap_require_room_claim`.
    pub room_required: bool,
    /// `enable_domain_verification`: `sub` has to be the XMPP domain, or the room's tenant. Rooms
    /// by pattern (`context.room.regex`) are not known here, because the gateway never mints them.
    pub domain_verification: bool,
}

/// With what signatures are checked: exactly one algorithm.
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

/// The room that a connection wants to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MucRoom<'r> {
    /// The address's local part, without the tenant.
    pub node: &'r str,
    /// The tenant that `mod_muc_domain_mapper` read from the address.
    pub tenant: Option<&'r str>,
    /// The XMPP domain that the room component belongs to.
    pub domain: &'r str,
}

/// A token taken apart, before anything in it is believed.
struct Parts<'t> {
    /// What was signed.
    message: String,
    head: Map<String, Value>,
    body: Map<String, Value>,
    signature: &'t str,
}

// === impl ProsodyRules ===

impl ProsodyRules {
    /// The rules of a Prosody that is configured for tokens of these settings, and otherwise as
    /// Jitsi's Docker images are.
    pub fn for_tokens_of(settings: &TokenSettings) -> Result<Self, jsonwebtoken::errors::Error> {
        Ok(Self {
            keys: ProsodyKeys::for_signing(&settings.signing)?,
            issuers: vec![settings.issuer.clone()],
            audiences: vec![settings.audience.clone()],
            room_required: true,
            domain_verification: false,
        })
    }

    /// Checks the token of a connection that logs in, as `mod_auth_token` does without
    /// `allow_empty_token`.
    pub fn verify(
        &self,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<ProsodyClaims, ProsodyRefusal> {
        let token = token.ok_or(ProsodyRefusal::TokenRequired)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(ProsodyRefusal::InvalidToken);
        }
        let (key, algorithm) = self.keys.choose(token)?;
        let parts = Parts::split(token)?;
        let head_refusal = broken_in_head(&parts.head, |named| named == algorithm);
        head_refusal.into_iter().next().map_or(Ok(()), Err)?;
        parts.check_signature(&key, algorithm)?;
        let claims = ProsodyClaims::new(parts.body);
        match self.broken_in_claims(&claims, now).into_iter().next() {
            Some(refusal) => Err(refusal),
            None => Ok(claims),
        }
    }

    /// Checks whether a connection that logged in may join the room, as `mod_token_verification`
    /// does.
    pub fn check_room(
        &self,
        claims: &ProsodyClaims,
        room: &MucRoom<'_>,
    ) -> Result<(), RoomRefusal> {
        let claim = claims.room().map(str::to_ascii_lowercase);
        let named = claim.as_deref() == Some(ANY) || claim.as_deref() == Some(room.node);
        if !self.domain_verification {
            return if named {
                Ok(())
            } else {
                Err(RoomRefusal::RoomMismatch)
            };
        }
        let subject = claims.subject().map(str::to_ascii_lowercase);
        let expected = room.tenant.unwrap_or(room.domain);
        let placed = subject.as_deref() == Some(ANY) || subject.as_deref() == Some(expected);
        if named && placed {
            Ok(())
        } else {
            Err(RoomRefusal::RoomAndTokenMismatch)
        }
    }

    /// Every rule that the claims break, in the order in which the plugin would notice.
    fn broken_in_claims(&self, claims: &ProsodyClaims, now: Timestamp) -> Vec<ProsodyRefusal> {
        let accepted = |list: &[String], value: &Value| {
            list.iter()
                .any(|one| one == ANY || value.as_str() == Some(one))
        };
        let issuer = match claims.get("iss") {
            None => Some(ProsodyRefusal::IssuerMissing),
            Some(value) => {
                (!accepted(&self.issuers, value)).then_some(ProsodyRefusal::InvalidIssuer)
            }
        };
        let audience = match claims.get("aud") {
            None => Some(ProsodyRefusal::AudienceMissing),
            Some(value) => {
                (!accepted(&self.audiences, value)).then_some(ProsodyRefusal::InvalidAudience)
            }
        };
        let missing = |name: &str| claims.get(name).is_none();
        let mut broken = broken_in_times(claims, now);
        broken.extend(issuer);
        broken.extend(audience);
        broken
            .extend((self.room_required && missing("room")).then_some(ProsodyRefusal::RoomMissing));
        broken.extend(missing("sub").then_some(ProsodyRefusal::SubjectMissing));
        // Lua cannot look into these; the error ends the handler before it answers.
        let opaque = matches!(
            claims.get("context"),
            Some(Value::Null | Value::Bool(_) | Value::Number(_))
        );
        broken.extend(opaque.then_some(ProsodyRefusal::NoAnswer));
        broken
    }
}

// === impl ProsodyKeys ===

impl ProsodyKeys {
    /// The keys that check what these settings sign.
    fn for_signing(signing: &SigningSettings) -> Result<Self, jsonwebtoken::errors::Error> {
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

    /// The key for a token: the secret, or what its head asks for.
    fn choose(&self, token: &str) -> Result<(DecodingKey, Algorithm), ProsodyRefusal> {
        let (algorithm, by_kid) = match self {
            Self::Secret { algorithm, secret } => {
                let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
                return Ok((key, *algorithm));
            }
            Self::Public { algorithm, by_kid } => (*algorithm, by_kid),
        };
        let (head, _) = token.split_once('.').ok_or(ProsodyRefusal::InvalidToken)?;
        let head = decode_object(head).ok_or(ProsodyRefusal::BadTokenFormat)?;
        let kid = head.get("kid").ok_or(ProsodyRefusal::KidMissing)?;
        let named = head.get("alg").ok_or(ProsodyRefusal::AlgorithmMissing)?;
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

impl std::fmt::Debug for ProsodyKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret { algorithm, .. } => write!(f, "Keys({algorithm:?} by secret)"),
            Self::Public { algorithm, by_kid } => {
                write!(f, "Keys({algorithm:?} by {:?})", by_kid.keys())
            }
        }
    }
}

// === impl Parts ===

impl<'t> Parts<'t> {
    /// Takes a token apart as the plugin does: empty parts do not count.
    fn split(token: &'t str) -> Result<Self, ProsodyRefusal> {
        let mut parts = token.split('.').filter(|part| !part.is_empty());
        let (Some(head), Some(body), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ProsodyRefusal::InvalidToken);
        };
        Ok(Self {
            message: format!("{head}.{body}"),
            head: decode_object(head).ok_or(ProsodyRefusal::InvalidHeader)?,
            body: decode_object(body).ok_or(ProsodyRefusal::InvalidBody)?,
            signature,
        })
    }

    fn check_signature(
        &self,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<(), ProsodyRefusal> {
        let message = self.message.as_bytes();
        match jsonwebtoken::crypto::verify(self.signature, message, key, algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(ProsodyRefusal::InvalidSignature),
        }
    }
}

/// Every rule that the head breaks.
fn broken_in_head(
    head: &Map<String, Value>,
    fits: impl Fn(Algorithm) -> bool,
) -> Vec<ProsodyRefusal> {
    let text = |name: &str| head.get(name).and_then(Value::as_str);
    let algorithm = text("alg").and_then(|name| name.parse().ok());
    let typ = (text("typ") != Some("JWT")).then_some(ProsodyRefusal::InvalidType);
    let algorithm = (!algorithm.is_some_and(fits)).then_some(ProsodyRefusal::InvalidAlgorithm);
    typ.into_iter().chain(algorithm).collect()
}

/// Every rule on times that the claims break. There is no leeway.
fn broken_in_times(claims: &ProsodyClaims, now: Timestamp) -> Vec<ProsodyRefusal> {
    let number = |name: &str| claims.get(name).map(Value::as_f64);
    let now = std::time::Duration::from_secs(now.as_unix()).as_secs_f64();
    let (expires, not_before) = (number("exp"), number("nbf"));
    let mut broken = Vec::new();
    broken.extend((expires == Some(None)).then_some(ProsodyRefusal::ExpiryNotNumber));
    broken.extend((not_before == Some(None)).then_some(ProsodyRefusal::NotBeforeNotNumber));
    if let Some(expires) = expires.flatten().filter(|expires| now >= *expires) {
        broken.push(ProsodyRefusal::Expired {
            seconds_ago: now - expires,
            valid_for: number("iat").flatten().map(|issued| expires - issued),
        });
    }
    let early = not_before.flatten().is_some_and(|begins| now < begins);
    broken.extend(early.then_some(ProsodyRefusal::NotYet));
    broken
}

fn decode_object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}

const ANY: &str = "*";

/// More than fits into a request head that Prosody reads, in a query or in a header.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The plugin pads by itself, so padding does not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests;
