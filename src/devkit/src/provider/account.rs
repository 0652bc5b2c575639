//! The people who can sign in.

use serde_json::{Map, Value, json};

/// Somebody who can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevAccount {
    /// The stable id, the `sub` claim; also what `login_hint` names.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// The address, which counts as verified.
    pub email: String,
    /// The groups.
    pub groups: Vec<String>,
}

// === impl DevAccount ===

impl DevAccount {
    /// Somebody with an address at `example.org`.
    pub fn new(id: &str, name: &str, groups: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            email: format!("{id}@example.org"),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    /// The invented people of the demonstration: one of the staff and two others.
    pub fn demonstration() -> Vec<Self> {
        vec![
            Self::new("hanna", "Hanna Host", &["staff"]),
            Self::new("max", "Max Member", &[]),
            Self::new("mia", "Mia Member", &[]),
        ]
    }

    /// The claims that the scopes ask for (OpenID Connect Core 1.0 § 5.4). Groups have no scope of
    /// their own; they come with the profile.
    pub(super) fn claims(&self, scope: &str) -> Map<String, Value> {
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
