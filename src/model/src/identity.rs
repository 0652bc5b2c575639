//! Identities: the attributes of a person that rules and tokens use, and how they were proved.

mod untrusted_text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::provider::{ProviderId, SEPARATOR};

pub use self::untrusted_text::{
    MAX_REGION_BYTES, fold_email, is_blank, is_email, is_plain, is_region, is_reserved_subject,
    parse_picture_url, sanitize_display_name,
};

/// The attributes of a person, reduced to those that this deployment uses.
///
/// Every text in it is hostile: its owner or a foreign directory chose it. The short field names
/// keep the session cookie small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The provider's stable id of the person: `sub` unless configured otherwise. With several
    /// providers the provider's id precedes it ([`SubjectScope`](crate::provider::SubjectScope)).
    #[serde(rename = "s")]
    pub subject: String,
    /// The provider whose id precedes `subject`.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderId>,
    /// The provider's `sub` in the same form, if `subject` is another claim. Logout tokens name the
    /// `sub`.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub provider_subject: Option<String>,
    /// The display name.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The e-mail address.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the provider verified the address; conditions on addresses require it.
    #[serde(rename = "v", default)]
    pub email_verified: bool,
    /// The URL of a picture.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// The region of the person, by which Jicofo selects a bridge.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The groups that some condition names; others are dropped.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The values of the claims that some condition names, by the condition's path.
    #[serde(rename = "c", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Vec<String>>,
}

/// The proof behind a visitor's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Signed in with the provider.
    #[default]
    Member,
    /// Unauthenticated, under a self-chosen name.
    Guest,
    /// Holds a link to one room.
    Invited(Invited),
    /// Named by an integration's token, for one room.
    Embedded(Embedded),
}

/// The proof of a visitor who holds a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invited {
    /// The link's id, for revocation.
    #[serde(rename = "l")]
    pub link: String,
    /// Whether it is a host link.
    #[serde(rename = "h", default)]
    pub host: bool,
    /// Whether the holder is signed in, too.
    #[serde(rename = "m", default)]
    pub member: bool,
}

/// The proof of an embedded user: an integration signed the token that named the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedded {
    /// The integration's id in the configuration.
    #[serde(rename = "i")]
    pub integration: String,
    /// Whether the integration claims a moderator and has the right to.
    #[serde(rename = "h", default)]
    pub host: bool,
}

/// An identity from a verified ID token. Only a completed sign-in creates one, and a member's
/// session requires one.
#[derive(Clone, Debug)]
pub struct VerifiedIdentity(Identity);

// === impl Identity ===

impl Identity {
    /// The provider's `sub`.
    pub fn provider_subject(&self) -> &str {
        self.provider_subject.as_deref().unwrap_or(&self.subject)
    }

    /// The subject as the provider issued it, which is not unique in the deployment.
    fn issued_subject(&self) -> &str {
        let provider = self.provider.as_ref().map(ProviderId::as_str);
        provider
            .and_then(|provider| self.subject.strip_prefix(provider)?.strip_prefix(SEPARATOR))
            .unwrap_or(&self.subject)
    }

    /// The display name, else the local part of the e-mail address, else the subject; `None` for a
    /// guest without a name (Jitsi's page then asks for one).
    pub fn display_name(&self) -> Option<&str> {
        let email_name = || {
            self.email
                .as_deref()
                .and_then(|email| email.split('@').next())
        };
        let id = || Some(self.issued_subject()).filter(|id| !id.starts_with(GUEST_PREFIX));
        self.name.as_deref().or_else(email_name).or_else(id)
    }
}

// === impl Standing ===

impl Standing {
    /// The name in logs and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Guest => "guest",
            Self::Invited(_) => "invited",
            Self::Embedded(_) => "embedded",
        }
    }

    /// Whether the visitor is signed in with the provider.
    pub const fn is_member(&self) -> bool {
        matches!(
            self,
            Self::Member | Self::Invited(Invited { member: true, .. })
        )
    }
}

// === impl VerifiedIdentity ===

impl VerifiedIdentity {
    /// Marks an identity as verified. The caller has verified the ID token; the architecture test
    /// allows exactly one caller.
    pub fn by_provider(identity: Identity) -> Self {
        Self(identity)
    }

    /// Returns the identity without the mark.
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

/// Prefix of the subjects of embedded users: `integration:<integration's id>:<user's id>`.
pub(crate) const INTEGRATION_PREFIX: &str = "integration:";

/// Prefix of the subjects of guests; random text follows.
pub const GUEST_PREFIX: &str = "guest:";

/// Prefix of the subjects of recorders (Jibri).
pub const RECORDER_PREFIX: &str = "recorder:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_display_name_falls_back_to_email_then_subject() {
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
    fn generated_subjects_are_reserved() {
        for id in ["guest:", "guest:x", "recorder:", "integration:school:1"] {
            assert!(is_reserved_subject(id), "{id}");
        }
        for id in ["guest", "42", "x:guest:"] {
            assert!(!is_reserved_subject(id), "{id}");
        }
    }

    #[test]
    fn a_name_of_a_region_is_short_and_plain() {
        assert!(is_region("eu-central-1"));
        assert!(is_region(&"a".repeat(63)));
        for text in ["", "a b", "a\r\nX: y", "eu,us", "\u{fc}"] {
            assert!(!is_region(text), "{text}");
        }
        assert!(!is_region(&"a".repeat(64)));
    }
}
