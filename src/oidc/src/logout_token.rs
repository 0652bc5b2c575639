//! Validation of logout tokens (OpenID Connect Back-Channel Logout 1.0).

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{self, SHA256};
use model::{
    clock::Timestamp,
    jws::{ClaimsSet, Jws, TokenError, text, time},
    provider::MAX_ISSUED_ID_BYTES,
};
use serde_json::Value;

use crate::{RelyingParty, claims_validation::ClaimsValidation, provider_cache::TokenSource};

/// The sessions that a logout token ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutRequest {
    /// All sessions of this user, if `sid` is absent; in the form of the [scope](RelyingParty::scope).
    pub sub: Option<String>,
    /// The gateway's sessions that started in this session of the provider; in the same form.
    pub sid: Option<String>,
    id: TokenId,
    /// The time until the token expires.
    pub lifetime: Duration,
}

/// Why a logout token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// No discovery has succeeded since startup, so there are no keys. A retry may succeed.
    #[error("the provider has not been reached yet")]
    NotReady,
    /// Signature, issuer, audience or lifetime is wrong.
    #[error("the logout token is refused")]
    Token(#[from] TokenError),
    /// `typ` names another kind of token.
    #[error("the token is of another type")]
    Type,
    /// Neither `sub` nor `sid`, or one of them is not a string of acceptable length, or has the form of
    /// another provider's.
    #[error("the logout token has no valid sub or sid")]
    NoSubject,
    /// `events` lacks the logout event.
    #[error("the logout token has no logout event")]
    Event,
    /// `nonce` is present: probably an ID token in place of a logout token.
    #[error("the logout token has a nonce")]
    Nonce,
    /// `jti` is missing.
    #[error("the logout token has no id")]
    NoId,
    /// A token with the same `jti` was accepted before.
    #[error("the logout token was used before")]
    Replayed,
}

/// The `jti` of accepted logout tokens until they expire; at most 10 000.
#[derive(Default)]
pub(crate) struct ReplayCache(Mutex<TokenIds>);

#[derive(Default)]
struct TokenIds {
    ids: HashSet<TokenId>,
    /// In order of arrival, with their expiry.
    order: VecDeque<(Timestamp, TokenId)>,
}

/// SHA-256 of the `jti`, which may be of any length.
type TokenId = [u8; 32];

// === impl RelyingParty ===

impl RelyingParty {
    /// Validates a logout token by the steps of OpenID Connect Back-Channel Logout 1.0 § 2.6.
    pub async fn validate_logout_token(
        &self,
        token: &str,
    ) -> Result<LogoutRequest, LogoutTokenError> {
        let provider = self.provider.current().ok_or(LogoutTokenError::NotReady)?;
        // 1. Not encrypted. 3. An allowed algorithm, never `none`.
        let jws = Jws::parse(token, &self.algorithms)?;
        // § 2.4: `typ` is recommended, so it may be absent, but not of another type.
        if !jws.typ().is_none_or(is_logout_type) {
            return Err(LogoutTokenError::Type);
        }
        // 2. Signed with a key of the provider.
        let claims = self
            .provider
            .verify(&provider, &jws, TokenSource::BackChannel)
            .await?;
        let validation = self.claims_validation();
        // 4. `iss`, `aud`, `iat` and `exp` as in an ID token.
        validation.check_issuer(&claims)?;
        validation.check_audience(&claims)?;
        let expiry = expiry(&claims, validation)?;
        // 5. `sub`, `sid` or both.
        let named = |claim: &str| {
            let named = subject(&claims, claim)?;
            let qualify = |id: String| self.scope().qualify(&id).ok_or(LogoutTokenError::NoSubject);
            named.map(qualify).transpose()
        };
        let (sub, sid) = (named("sub")?, named("sid")?);
        if sub.is_none() && sid.is_none() {
            return Err(LogoutTokenError::NoSubject);
        }
        // 6. `events` contains the logout event.
        let event = claims.get("events").and_then(|events| events.get(EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(LogoutTokenError::Event);
        }
        // 7. No `nonce`: ID tokens have one and must not pass as logout tokens.
        if claims.contains_key("nonce") {
            return Err(LogoutTokenError::Nonce);
        }
        // 8. Not a replay. 9. and 10. (does such a session exist?) are up to the caller.
        let id = token_id(text(&claims, "jti").ok_or(LogoutTokenError::NoId)?);
        if !self.replay_cache.insert(id, expiry, validation.now) {
            return Err(LogoutTokenError::Replayed);
        }
        let lifetime = expiry.since(validation.now);
        Ok(LogoutRequest {
            sub,
            sid,
            id,
            lifetime,
        })
    }

    /// Accepts the token of a request again: its logout was refused, and the provider may repeat it.
    pub fn permit_logout_again(&self, request: &LogoutRequest) {
        self.replay_cache.remove(request.id);
    }
}

// === impl LogoutRequest ===

impl LogoutRequest {
    /// The digest of the token's `jti`, by which replicas recognise it.
    pub fn id(&self) -> &[u8] {
        &self.id
    }
}

// === impl LogoutTokenError ===

impl LogoutTokenError {
    /// Value for logs; stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "provider_not_ready",
            Self::Token(error) => error.as_str(),
            Self::Type => "type_wrong",
            Self::NoSubject => "subject_missing",
            Self::Event => "event_missing",
            Self::Nonce => "nonce_present",
            Self::NoId => "id_missing",
            Self::Replayed => "replayed",
        }
    }

    /// Whether the same token may be accepted on a retry.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::NotReady | Self::Token(TokenError::UnknownKey))
    }
}

// === impl ReplayCache ===

impl ReplayCache {
    /// Adds the id; false if it is present already.
    fn insert(&self, id: TokenId, expiry: Timestamp, now: Timestamp) -> bool {
        // A panic between the two updates leaves at most one id in `ids` for good.
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(oldest_expiry, oldest)) = cache.order.front() {
            if oldest_expiry > now && cache.order.len() < MAX_IDS {
                break;
            }
            cache.order.pop_front();
            cache.ids.remove(&oldest);
        }
        let is_new = cache.ids.insert(id);
        if is_new {
            cache.order.push_back((expiry, id));
        }
        is_new
    }

    /// Removes an id.
    fn remove(&self, id: TokenId) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.ids.remove(&id) {
            cache.order.retain(|(_, other)| *other != id);
        }
    }
}

fn token_id(jti: &str) -> TokenId {
    let mut id = TokenId::default();
    id.copy_from_slice(digest::digest(&SHA256, jti.as_bytes()).as_ref());
    id
}

/// Expiry of the token, leeway included. Providers from before `exp` became mandatory omit it; then
/// the lifetime that § 2.4 recommends counts from `iat`.
fn expiry(claims: &ClaimsSet, validation: ClaimsValidation<'_>) -> Result<Timestamp, TokenError> {
    let issued = validation.check_issue_time(claims)?;
    if claims.contains_key("exp") {
        validation.check_lifetime(claims)?;
        let expiry = time(claims, "exp").ok_or(TokenError::NoExpiry)?;
        return Ok(expiry.after(validation.leeway));
    }
    let expiry = issued.after(DEFAULT_LIFETIME).after(validation.leeway);
    if expiry <= validation.now {
        return Err(TokenError::Expired);
    }
    Ok(expiry)
}

fn subject(claims: &ClaimsSet, claim: &str) -> Result<Option<String>, LogoutTokenError> {
    if !claims.contains_key(claim) {
        return Ok(None);
    }
    text(claims, claim)
        .filter(|subject| subject.len() <= MAX_ISSUED_ID_BYTES)
        .map(|subject| Some(subject.to_owned()))
        .ok_or(LogoutTokenError::NoSubject)
}

/// `JWT` is the type of providers from before explicit typing.
fn is_logout_type(typ: &str) -> bool {
    ["logout+jwt", "application/logout+jwt", "JWT"]
        .iter()
        .any(|known| typ.eq_ignore_ascii_case(known))
}

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

const DEFAULT_LIFETIME: Duration = Duration::from_mins(2);

/// About 600 KiB. Only tokens with a verified signature are added, so forged ones evict none.
const MAX_IDS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_a_replay_until_it_expires() {
        let at = Timestamp::from_unix;
        let cache = ReplayCache::default();
        let [a, b] = ["a", "b"].map(token_id);
        assert!(cache.insert(a, at(100), at(0)));
        assert!(!cache.insert(a, at(100), at(99)));
        assert!(cache.insert(b, at(300), at(99)));
        assert!(cache.insert(a, at(300), at(100)));
        assert!(!cache.insert(b, at(300), at(100)));
        // A logout that was refused may be repeated.
        cache.remove(b);
        assert!(cache.insert(b, at(300), at(100)));
        assert!(!cache.insert(b, at(300), at(100)));
        assert_eq!(cache.0.lock().unwrap().order.len(), 2);
    }

    #[test]
    fn number_of_ids_is_bounded() {
        let cache = ReplayCache::default();
        for n in 0..MAX_IDS * 2 {
            let id = token_id(&n.to_string());
            assert!(cache.insert(id, Timestamp::from_unix(9), Timestamp::default()));
        }
        let inner = cache.0.lock().unwrap();
        assert_eq!(inner.order.len(), MAX_IDS);
        assert_eq!(inner.ids.len(), MAX_IDS);
    }
}
