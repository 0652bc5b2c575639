//! Accounts of users.

use serde_json::{Map, Value, json};

/// An account and its claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevAccount {
    /// The `sub` claim and the value of `login_hint`.
    pub id: String,
    /// The `name` claim.
    pub name: String,
    /// The `email` claim, with `email_verified`.
    pub email: String,
    /// The `groups` claim.
    pub groups: Vec<String>,
}

// === impl DevAccount ===

impl DevAccount {
    /// An account with an email address at `example.org`.
    pub fn new(id: &str, name: &str, groups: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            email: format!("{id}@example.org"),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    /// The fictional accounts of the demonstration: one of the staff and two others.
    pub fn demonstration() -> Vec<Self> {
        vec![
            Self::new("hanna", "Hanna Host", &["staff"]),
            Self::new("max", "Max Member", &[]),
            Self::new("mia", "Mia Member", &[]),
        ]
    }

    /// The claims of a scope (OpenID Connect Core 1.0 § 5.4). Groups, which have no standard scope,
    /// are part of `profile`.
    pub(crate) fn claims(&self, scope: &str) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), json!(self.id));
        let mut add = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        for scope in scope.split(' ') {
            match scope {
                "profile" => {
                    add("name", json!(self.name));
                    add("preferred_username", json!(self.id));
                    add("groups", json!(self.groups));
                }
                "email" => {
                    add("email", json!(self.email));
                    add("email_verified", json!(true));
                }
                _ => {}
            }
        }
        claims
    }
}
