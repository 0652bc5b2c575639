//! The inspection of a token for an operator: all broken rules at once.

use std::fmt;

use serde_json::{Map, Value};

use super::{
    ANY, MAX_TOKEN_BYTES, Parts, ProsodyClaims, ProsodyKeys, ProsodyRefusal, ProsodyRules,
    broken_in_header,
};
use crate::clock::Timestamp;

/// The result of an inspection without the token's key. It contains the claims, never the token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenReport {
    /// The token's header, if it can be decoded.
    pub head: Option<Map<String, Value>>,
    /// The token's claims, if they can be decoded.
    pub claims: Option<ProsodyClaims>,
    /// All rules that the token breaks, in Prosody's order.
    pub broken: Vec<ProsodyRefusal>,
    /// Risks of a token that Prosody accepts.
    pub cautions: Vec<Caution>,
}

/// A risk of a token that is formally acceptable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Caution {
    /// `aud` is not a string.
    #[error("`aud` is not a text, which only a Prosody accepts that accepts any audience")]
    AudienceNotText,
    /// `exp` is missing.
    #[error("`exp` is missing, so the token is good for ever")]
    NeverExpires,
    /// `room` is `*`.
    #[error("`room` is `*`, so the token is good for every room")]
    EveryRoom,
    /// `room` is not a string.
    #[error("`room` is not a text, so no room can be joined")]
    RoomNotText,
    /// The claim at this path is `null`.
    #[error("`{0}` is null, on which Jitsi's modules can fail; leave it out")]
    Null(String),
    /// `context.features` is present.
    #[error(
        "`context.features` is there, so Prosody no longer grants moderators the usual features"
    )]
    Features,
}

/// Checks a token against Prosody's rules, except for its signature, issuer and audience, which need
/// a configuration.
pub fn inspect(token: &str, now: Timestamp) -> TokenReport {
    let unreadable = |refusal| TokenReport {
        head: None,
        claims: None,
        broken: vec![refusal],
        cautions: Vec::new(),
    };
    let token = token.trim();
    if token.len() > MAX_TOKEN_BYTES {
        return unreadable(ProsodyRefusal::InvalidToken);
    }
    let parts = match Parts::split(token) {
        Ok(parts) => parts,
        Err(refusal) => return unreadable(refusal),
    };
    let rules = lenient();
    let claims = ProsodyClaims::new(parts.body);
    let mut broken = broken_in_header(&parts.header, is_known);
    broken.extend(rules.broken_in_claims(&claims, now));
    TokenReport {
        broken,
        cautions: cautions(&claims),
        head: Some(parts.header),
        claims: Some(claims),
    }
}

// === impl TokenReport ===

impl TokenReport {
    /// Whether a Prosody with the right key, issuer and audience would accept the token now.
    pub fn is_acceptable(&self) -> bool {
        self.broken.is_empty()
    }
}

/// Header and claims as JSON, then one line for every finding.
impl fmt::Display for TokenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = |title: &str, map: &Map<String, Value>| {
            let json = serde_json::to_string_pretty(map).unwrap_or_default();
            writeln!(f, "{title}: {json}")
        };
        if let Some(head) = &self.head {
            section("head", head)?;
        }
        if let Some(claims) = &self.claims {
            section("claims", claims.as_map())?;
        }
        for refusal in &self.broken {
            writeln!(f, "refused: {refusal}")?;
        }
        for caution in &self.cautions {
            writeln!(f, "caution: {caution}")?;
        }
        if self.is_acceptable() {
            writeln!(
                f,
                "no rule is broken (signature, issuer and audience were not checked)"
            )?;
        }
        Ok(())
    }
}

/// Rules that accept any issuer and any audience.
fn lenient() -> ProsodyRules {
    ProsodyRules {
        keys: ProsodyKeys::Public {
            algorithm: jsonwebtoken::Algorithm::RS256,
            by_kid: std::collections::HashMap::new(),
        },
        issuers: vec![ANY.to_owned()],
        audiences: vec![ANY.to_owned()],
        room_required: true,
        domain_verification: false,
    }
}

/// Whether `signature_algorithm` can have this value.
fn is_known(algorithm: jsonwebtoken::Algorithm) -> bool {
    use jsonwebtoken::Algorithm::{HS256, HS384, HS512, RS256, RS384, RS512};
    matches!(algorithm, HS256 | HS384 | HS512 | RS256 | RS384 | RS512)
}

fn cautions(claims: &ProsodyClaims) -> Vec<Caution> {
    let mut cautions = Vec::new();
    let not_text = |name: &str| claims.get(name).is_some_and(|value| !value.is_string());
    let has_features = claims
        .get("context")
        .is_some_and(|context| context.get("features").is_some());
    cautions.extend(not_text("aud").then_some(Caution::AudienceNotText));
    cautions.extend(claims.get("exp").is_none().then_some(Caution::NeverExpires));
    cautions.extend((claims.room() == Some(ANY)).then_some(Caution::EveryRoom));
    cautions.extend(not_text("room").then_some(Caution::RoomNotText));
    cautions.extend(has_features.then_some(Caution::Features));
    for (name, value) in claims.as_map() {
        find_nulls(name, value, &mut cautions);
    }
    cautions
}

/// The recursion is bounded: `serde_json` parses at most 128 levels.
fn find_nulls(path: &str, value: &Value, cautions: &mut Vec<Caution>) {
    match value {
        Value::Null => cautions.push(Caution::Null(path.to_owned())),
        Value::Object(map) => map
            .iter()
            .for_each(|(name, value)| find_nulls(&format!("{path}.{name}"), value, cautions)),
        Value::Array(items) => items
            .iter()
            .for_each(|value| find_nulls(&format!("{path}[]"), value, cautions)),
        _ => {}
    }
}
