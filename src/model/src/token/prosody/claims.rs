//! The claims of a token, read as Jitsi's modules read them.

use serde_json::{Map, Value};

/// ProsodyClaims as they came; [`super::ProsodyRules::verify`] hands out only those that it accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct ProsodyClaims(Map<String, Value>);

/// What `mod_token_affiliation` makes of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affiliation {
    /// Moderator in Jitsi's words.
    Owner,
    /// Anybody else with a token.
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

    /// The room that the token is for, as the token writes it.
    pub fn room(&self) -> Option<&str> {
        self.get("room")?.as_str()
    }

    /// The XMPP domain or tenant that the token is for.
    pub fn subject(&self) -> Option<&str> {
        self.get("sub")?.as_str()
    }

    /// The person's id: `context.user.id`, or `user_id` of a token without a context.
    pub fn user_id(&self) -> Option<&str> {
        match self.get("context") {
            Some(_) => self.user("id")?.as_str(),
            None => self.get("user_id")?.as_str(),
        }
    }

    /// The person's name.
    pub fn user_name(&self) -> Option<&str> {
        self.user("name")?.as_str()
    }

    /// The role in the room.
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
    /// The word of XEP-0045.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
        }
    }
}

const OWNERS: [&str; 3] = ["owner", "moderator", "teacher"];
