//! Who somebody is, as far as rules and tokens need to know.

mod untrusted_text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::untrusted_text::{
    is_blank, is_email, is_plain, is_reserved_subject, parse_picture_url, sanitize_display_name,
};

/// A person as an OpenID provider described them, cut down to what this deployment uses.
///
/// Every text in it is hostile: it was chosen by its owner or by somebody else's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The provider's stable id of the person (`sub` unless configured otherwise).
    #[serde(rename = "s")]
    pub subject: String,
    /// The provider's own name for the person, its `sub`, where that is not the id that rules go by:
    /// what its logouts name.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub provider_subject: Option<String>,
    /// The name to show.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The e-mail address.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the provider vouches for the address; rules on addresses need it.
    #[serde(rename = "v", default)]
    pub email_verified: bool,
    /// The address of a picture.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// The groups that some rule names; others are not kept.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The values of the claims that some rule names, by the path the rule gives.
    #[serde(rename = "c", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Vec<String>>,
}

/// On what grounds somebody stands before a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Signed in with the provider.
    #[default]
    Member,
    /// Nobody in particular, under a name of their own choice.
    Guest,
    /// Holds a link to one room.
    Invited(Invited),
    /// An integration vouches for them in one room.
    Embedded(Embedded),
}

/// What a link says of whoever holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invited {
    /// The link's id, by which it is revoked.
    #[serde(rename = "l")]
    pub link: String,
    /// It is a host link.
    #[serde(rename = "h", default)]
    pub host: bool,
    /// The holder is signed in, too.
    #[serde(rename = "m", default)]
    pub member: bool,
}

/// What an integration says of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedded {
    /// The integration's name in the configuration.
    #[serde(rename = "i")]
    pub integration: String,
    /// It calls the person a moderator, and may.
    #[serde(rename = "h", default)]
    pub host: bool,
}

/// An identity that a provider proved: only signing in makes one, and only from one can a session
/// begin.
#[derive(Clone, Debug)]
pub struct VerifiedIdentity(Identity);

// === impl Identity ===

impl Identity {
    /// The `sub` by which the provider knows the person.
    pub fn provider_subject(&self) -> &str {
        self.provider_subject.as_deref().unwrap_or(&self.subject)
    }

    /// The name to show, or the best stand-in for one; none of nobody in particular, whom Jitsi
    /// asks for a name itself.
    pub fn display_name(&self) -> Option<&str> {
        let email_name = || {
            self.email
                .as_deref()
                .and_then(|email| email.split('@').next())
        };
        let id = || Some(self.subject.as_str()).filter(|id| !id.starts_with(GUEST_PREFIX));
        self.name.as_deref().or_else(email_name).or_else(id)
    }
}

// === impl Standing ===

impl Standing {
    /// The word for logs and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Guest => "guest",
            Self::Invited(_) => "invited",
            Self::Embedded(_) => "embedded",
        }
    }

    /// Whether the person signed in with the provider.
    pub const fn is_member(&self) -> bool {
        matches!(
            self,
            Self::Member | Self::Invited(Invited { member: true, .. })
        )
    }
}

// === impl VerifiedIdentity ===

impl VerifiedIdentity {
    /// To be called by the code that checked the provider's proof, and by nobody else.
    pub fn by_provider(identity: Identity) -> Self {
        Self(identity)
    }

    /// Gives the identity up.
    pub fn into_inner(self) -> Identity {
        self.0
    }
}

impl std::ops::Deref for VerifiedIdentity {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

/// Begins the subjects of people whom integrations vouch for: `integration:<its id>:<their id>`.
pub(crate) const INTEGRATION_PREFIX: &str = "integration:";

/// Begins the subjects of people of whom nobody vouched for anything; random text follows.
pub const GUEST_PREFIX: &str = "guest:";

/// Stands for the subjects of recorders.
pub const RECORDER_PREFIX: &str = "recorder:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_that_is_known_of_somebody_is_their_name() {
        let mut who = Identity {
            subject: "42".to_owned(),
            name: Some("Zoë".to_owned()),
            email: Some("zoe@example.org".to_owned()),
            ..Identity::default()
        };
        assert_eq!(who.display_name(), Some("Zoë"));
        who.name = None;
        assert_eq!(who.display_name(), Some("zoe"));
        who.email = None;
        assert_eq!(who.display_name(), Some("42"));
        who.subject = format!("{GUEST_PREFIX}Vc1PiQWwnhrl");
        assert_eq!(who.display_name(), None);
    }

    #[test]
    fn no_account_has_an_id_of_those_that_we_make_up() {
        for id in ["guest:", "guest:x", "recorder:", "integration:school:1"] {
            assert!(is_reserved_subject(id), "{id}");
        }
        for id in ["guest", "42", "x:guest:"] {
            assert!(!is_reserved_subject(id), "{id}");
        }
    }
}
