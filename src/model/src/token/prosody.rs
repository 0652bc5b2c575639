//! Prosody's token checks: those of Jitsi's plugins, in their order and with their messages.
//!
//! A connection's token is checked at login ([`ProsodyRules::verify`], Jitsi's `mod_auth_token`) and
//! when it joins a room ([`ProsodyRules::check_room`], `mod_token_verification`). The stand-in for
//! Prosody runs on these rules, tests check the gateway's tokens against them, and [`inspect`]
//! reports to an operator which rules a token breaks.

mod claims;
mod keys;
mod parts;
mod refusal;
mod report;

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use self::parts::Parts;
pub use self::{
    claims::{Affiliation, ProsodyClaims},
    keys::ProsodyKeys,
    refusal::{ProsodyRefusal, RoomRefusal, SaslCondition},
    report::{Caution, TokenReport, inspect},
};
use super::TokenSettings;
use crate::clock::Timestamp;

/// The token options of a Prosody.
#[derive(Clone, Debug)]
pub struct ProsodyRules {
    /// The keys of accepted signatures.
    pub keys: ProsodyKeys,
    /// `asap_accepted_issuers`; `*` accepts any.
    pub issuers: Vec<String>,
    /// `asap_accepted_audiences`; `*` accepts any.
    pub audiences: Vec<String>,
    /// `asap_require_room_claim`.
    pub room_required: bool,
    /// `enable_domain_verification`: `sub` must be the XMPP domain, or the room's tenant. Rooms by
    /// pattern (`context.room.regex`) are not supported, because the gateway never mints them.
    pub domain_verification: bool,
}

/// The room that a connection joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MucRoom<'r> {
    /// The local part of its address, without the tenant.
    pub node: &'r str,
    /// The tenant that `mod_muc_domain_mapper` extracts from the address.
    pub tenant: Option<&'r str>,
    /// The XMPP domain of the MUC component.
    pub domain: &'r str,
}

// === impl ProsodyRules ===

impl ProsodyRules {
    /// The rules of a Prosody that accepts tokens of these settings, with the other options of
    /// Jitsi's Docker images.
    ///
    /// # Errors
    ///
    /// If the public key cannot be derived from a private one.
    pub fn for_tokens_of(settings: &TokenSettings) -> Result<Self, jsonwebtoken::errors::Error> {
        Ok(Self {
            keys: ProsodyKeys::for_signing(&settings.signing)?,
            issuers: vec![settings.issuer.clone()],
            audiences: vec![settings.audience.clone()],
            room_required: true,
            domain_verification: false,
        })
    }

    /// Checks the token of a login as `mod_auth_token` does without `allow_empty_token`.
    ///
    /// # Errors
    ///
    /// The first broken rule.
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
        let header_refusal = broken_in_header(&parts.header, |named| named == algorithm);
        header_refusal.into_iter().next().map_or(Ok(()), Err)?;
        parts.check_signature(&key, algorithm)?;
        let claims = ProsodyClaims::new(parts.body);
        match self.broken_in_claims(&claims, now).into_iter().next() {
            Some(refusal) => Err(refusal),
            None => Ok(claims),
        }
    }

    /// Checks a logged-in connection that joins a room, as `mod_token_verification` does.
    ///
    /// # Errors
    ///
    /// [`RoomRefusal`].
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

    /// All rules that the claims break, in the plugin's order.
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
        // Lua cannot index these values; the error ends the plugin's handler without an answer.
        let opaque = matches!(
            claims.get("context"),
            Some(Value::Null | Value::Bool(_) | Value::Number(_))
        );
        broken.extend(opaque.then_some(ProsodyRefusal::NoAnswer));
        broken
    }
}

/// All rules that the header breaks.
fn broken_in_header(
    header: &Map<String, Value>,
    fits: impl Fn(Algorithm) -> bool,
) -> Vec<ProsodyRefusal> {
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let algorithm = text("alg").and_then(|name| name.parse().ok());
    let typ = (text("typ") != Some("JWT")).then_some(ProsodyRefusal::InvalidType);
    let algorithm = (!algorithm.is_some_and(fits)).then_some(ProsodyRefusal::InvalidAlgorithm);
    typ.into_iter().chain(algorithm).collect()
}

/// All rules on times that the claims break. The plugin has no leeway.
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

/// Accepts any value: in options of Prosody and in the claims `room` and `sub`.
const ANY: &str = "*";

/// More than Prosody accepts as a request head.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
