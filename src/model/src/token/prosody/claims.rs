//! The claims of a token, interpreted as Jitsi's modules do.

use serde_json::{Map, Value};

/// A token's claims. [`super::ProsodyRules::verify`] returns only accepted ones.
#[derive(Clone, Debug, PartialEq)]
pub struct ProsodyClaims(Map<String, Value>);

/// The MUC affiliation that `mod_token_affiliation` sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affiliation {
    /// Jitsi's moderator.
    Owner,
    /// Any other occupant with a token.
    Member,
}

// === impl ProsodyClaims ===

impl ProsodyClaims {
    pub(super) fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// A top-level claim.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The `room` claim, not canonicalized.
    pub fn room(&self) -> Option<&str> {
        self.get("room")?.as_str()
    }

    /// The `sub` claim: the XMPP domain or the tenant.
    pub fn subject(&self) -> Option<&str> {
        self.get("sub")?.as_str()
    }

    /// `context.user.id`, or `user_id` of a token without a context.
    pub fn user_id(&self) -> Option<&str> {
        match self.get("context") {
            Some(_) => self.user("id")?.as_str(),
            None => self.get("user_id")?.as_str(),
        }
    }

    /// `context.user.name`.
    pub fn user_name(&self) -> Option<&str> {
        self.user("name")?.as_str()
    }

    /// The affiliation by `context.user.affiliation` and `context.user.moderator`.
    pub fn affiliation(&self) -> Affiliation {
        let named = self.user("affiliation").and_then(Value::as_str);
        let flagged = match self.user("moderator") {
            Some(Value::Bool(moderator)) => *moderator,
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        if flagged || named.is_some_and(|name| OWNERS.contains(&name)) {
            Affiliation::Owner
        } else {
            Affiliation::Member
        }
    }

    /// All claims.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    fn user(&self, name: &str) -> Option<&Value> {
        self.get("context")?.get("user")?.get(name)
    }
}

// === impl Affiliation ===

impl Affiliation {
    /// The attribute value of XEP-0045.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
        }
    }
}

const OWNERS: [&str; 3] = ["owner", "moderator", "teacher"];
