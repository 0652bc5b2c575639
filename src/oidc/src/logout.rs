//! Logout tokens: the provider telling us, without a browser, that somebody signed out
//! (OpenID Connect Back-Channel Logout 1.0).

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{self, SHA256};
use serde_json::Value;

use super::{RelyingParty, id_token::MAX_SUBJECT_BYTES, registered::Expected};
use model::{
    clock::Timestamp,
    jws::{ClaimsSet, Jws, TokenError, text, time},
};

/// Whose sessions to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutRequest {
    /// The person: all their sessions, unless `sid` is there as well.
    pub sub: Option<String>,
    /// The provider's session: those that began in it.
    pub sid: Option<String>,
}

/// Why a logout token ends no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutError {
    /// The provider has not been reached yet, so its tokens cannot be checked; it may try again.
    #[error("the provider has not been reached yet")]
    NotReady,
    /// The token is not believed.
    #[error("the logout token is refused")]
    Token(#[from] TokenError),
    /// `typ` says that it is another kind of token.
    #[error("the token is of another type")]
    Type,
    /// Neither `sub` nor `sid`, or one of them is no sensible text.
    #[error("the logout token names nobody")]
    Nobody,
    /// `events` does not contain the logout event.
    #[error("the logout token is about no logout")]
    Event,
    /// There is a `nonce`: somebody passes an ID token off as a logout token.
    #[error("the logout token has a nonce")]
    Nonce,
    /// `jti` is missing.
    #[error("the logout token has no id")]
    NoId,
    /// The same token came before.
    #[error("the logout token came before")]
    Replayed,
}

/// The ids of logout tokens that came lately; a bounded number.
#[derive(Default)]
pub(super) struct SeenTokens(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    ids: HashSet<TokenId>,
    /// In the order in which they came, with the end of their lives.
    order: VecDeque<(Timestamp, TokenId)>,
}

/// A digest instead of the text: an id may be of any length.
type TokenId = [u8; 32];

// === impl RelyingParty ===

impl RelyingParty {
    /// Validates a logout token by the steps of OpenID Connect Back-Channel Logout 1.0 § 2.6.
    pub async fn logout_token(&self, token: &str) -> Result<LogoutRequest, LogoutError> {
        let provider = self.provider.known().ok_or(LogoutError::NotReady)?;
        // 1. It is not encrypted. 3. Its algorithm is one that we take; `none` is not.
        let jws = Jws::parse(token, &self.algorithms)?;
        // § 2.4: explicit typing is recommended; what says to be something else is.
        if !jws.typ().is_none_or(is_logout_type) {
            return Err(LogoutError::Type);
        }
        // 2. It is signed with a key of the provider.
        let claims = self.provider.open(&provider, &jws).await?;
        let expected = self.expected();
        // 4. `iss`, `aud`, `iat` and `exp` are as in an ID token.
        expected.issuer(&claims)?;
        expected.audience(&claims)?;
        let ends = end_of_life(&claims, expected)?;
        // 5. It says who: `sub`, `sid` or both.
        let request = LogoutRequest {
            sub: name(&claims, "sub")?,
            sid: name(&claims, "sid")?,
        };
        if request.sub.is_none() && request.sid.is_none() {
            return Err(LogoutError::Nobody);
        }
        // 6. It is about a logout.
        let event = claims.get("events").and_then(|events| events.get(EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(LogoutError::Event);
        }
        // 7. It has no nonce, so that no ID token can be mistaken for it.
        if claims.contains_key("nonce") {
            return Err(LogoutError::Nonce);
        }
        // 8. It did not come before. (9. and 10., whether there is such a session, is for those who
        // know the sessions; ending none is no error.)
        let id = text(&claims, "jti").ok_or(LogoutError::NoId)?;
        if !self.seen.is_new(id, ends, expected.now) {
            return Err(LogoutError::Replayed);
        }
        Ok(request)
    }
}

// === impl LogoutError ===

impl LogoutError {
    /// The word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "provider_not_ready",
            Self::Token(error) => error.as_str(),
            Self::Type => "type_wrong",
            Self::Nobody => "nobody_named",
            Self::Event => "event_missing",
            Self::Nonce => "nonce_present",
            Self::NoId => "id_missing",
            Self::Replayed => "replayed",
        }
    }

    /// Whether the same token may be good a little later.
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::NotReady | Self::Token(TokenError::UnknownKey))
    }
}

// === impl SeenTokens ===

impl SeenTokens {
    /// Notes the id; false if it was noted before.
    fn is_new(&self, id: &str, ends: Timestamp, now: Timestamp) -> bool {
        let mut id_digest = TokenId::default();
        id_digest.copy_from_slice(digest::digest(&SHA256, id.as_bytes()).as_ref());
        // A panic elsewhere cannot leave the two out of step in a way that matters.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(oldest_ends, oldest)) = seen.order.front() {
            if oldest_ends > now && seen.order.len() < MAX_SEEN {
                break;
            }
            seen.order.pop_front();
            seen.ids.remove(&oldest);
        }
        let new = seen.ids.insert(id_digest);
        if new {
            seen.order.push_back((ends, id_digest));
        }
        new
    }
}

/// Until when the token can be taken. Providers from before `exp` became mandatory leave it out;
/// their tokens live as long as § 2.4 recommends, counted from `iat`.
fn end_of_life(claims: &ClaimsSet, expected: Expected<'_>) -> Result<Timestamp, TokenError> {
    let issued = expected.issued(claims)?;
    if claims.contains_key("exp") {
        expected.still_valid(claims)?;
        let expires = time(claims, "exp").ok_or(TokenError::NoExpiry)?;
        return Ok(expires.after(expected.leeway));
    }
    let ends = issued.after(LIFETIME).after(expected.leeway);
    if ends <= expected.now {
        return Err(TokenError::Expired);
    }
    Ok(ends)
}

fn name(claims: &ClaimsSet, claim: &str) -> Result<Option<String>, LogoutError> {
    if !claims.contains_key(claim) {
        return Ok(None);
    }
    text(claims, claim)
        .filter(|name| name.len() <= MAX_SUBJECT_BYTES)
        .map(|name| Some(name.to_owned()))
        .ok_or(LogoutError::Nobody)
}

/// `JWT` is what providers from before explicit typing write.
fn is_logout_type(typ: &str) -> bool {
    ["logout+jwt", "application/logout+jwt", "JWT"]
        .iter()
        .any(|known| typ.eq_ignore_ascii_case(known))
}

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

const LIFETIME: Duration = Duration::from_mins(2);

/// Some 600 KiB. Only genuine tokens are noted, so nobody else can push one out.
const MAX_SEEN: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_and_forgotten_at_its_end() {
        let at = Timestamp::from_unix;
        let seen = SeenTokens::default();
        assert!(seen.is_new("a", at(100), at(0)));
        assert!(!seen.is_new("a", at(100), at(99)));
        assert!(seen.is_new("b", at(300), at(99)));
        assert!(seen.is_new("a", at(300), at(100)));
        assert!(!seen.is_new("b", at(300), at(100)));
    }

    #[test]
    fn memory_is_bounded() {
        let seen = SeenTokens::default();
        for n in 0..MAX_SEEN * 2 {
            assert!(seen.is_new(
                &n.to_string(),
                Timestamp::from_unix(9),
                Timestamp::default()
            ));
        }
        let inner = seen.0.lock().unwrap();
        assert_eq!(inner.order.len(), MAX_SEEN);
        assert_eq!(inner.ids.len(), MAX_SEEN);
    }
}
