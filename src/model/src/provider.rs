//! Several OpenID providers: their ids, and the ids of people and sessions at each.
//!
//! A `sub` or `sid` is unique at one provider only (OpenID Connect Core 1.0 § 2). [`SubjectScope`] makes
//! it unique in the deployment, at the border to the provider: everything behind compares texts.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::identity::{Identity, is_reserved_subject};

/// The id of one of several providers, in addresses, sessions and subjects: `school`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderId(Arc<str>);

/// Why a text is not the id of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderIdError {
    /// Too short, too long, or with other characters.
    #[error(
        "not an id: 2 to 20 lower-case letters, digits and '-', of which a letter is the first"
    )]
    Form,
    /// Subjects of people without an account begin with it.
    #[error("reserved for people without an account")]
    Reserved,
}

/// How the ids that one provider issues are written in this deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectScope {
    /// The provider whose id precedes each; `None` writes them as they are.
    provider: Option<ProviderId>,
    /// The providers whose ids precede those that they issue.
    others: Vec<ProviderId>,
}

/// The providers of a deployment: those whose members' sessions count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberScopes(Vec<SubjectScope>);

// === impl ProviderId ===

impl ProviderId {
    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text begins with this id as that of its provider.
    fn precedes(&self, text: &str) -> bool {
        text.strip_prefix(self.as_str())
            .is_some_and(|rest| rest.starts_with(SEPARATOR))
    }
}

impl FromStr for ProviderId {
    type Err = ProviderIdError;

    fn from_str(text: &str) -> Result<Self, ProviderIdError> {
        let is_id_byte = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let is_id = (MIN_BYTES..=MAX_BYTES).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(is_id_byte);
        if !is_id {
            return Err(ProviderIdError::Form);
        }
        if is_reserved_subject(&format!("{text}{SEPARATOR}")) {
            return Err(ProviderIdError::Reserved);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for ProviderId {
    type Error = ProviderIdError;

    fn try_from(text: String) -> Result<Self, ProviderIdError> {
        text.parse()
    }
}

impl From<ProviderId> for String {
    fn from(id: ProviderId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

// === impl SubjectScope ===

impl SubjectScope {
    /// The scope of a provider whose id precedes the ids that it issues.
    pub fn of(provider: ProviderId) -> Self {
        Self {
            provider: Some(provider),
            others: Vec::new(),
        }
    }

    /// The scope of the provider whose ids are written as they are, beside `others`.
    pub fn unqualified(others: Vec<ProviderId>) -> Self {
        Self {
            provider: None,
            others,
        }
    }

    /// The provider whose id precedes each; `None` for ids that are written as they are.
    pub fn provider(&self) -> Option<&ProviderId> {
        self.provider.as_ref()
    }

    /// The form of an id that the provider issued. `None` if it could be taken for the id of
    /// another provider's person or session.
    pub fn qualify(&self, id: &str) -> Option<String> {
        match &self.provider {
            Some(provider) => Some(format!("{provider}{SEPARATOR}{id}")),
            None => self.includes(id).then(|| id.to_owned()),
        }
    }

    /// Whether an id has this form.
    fn includes(&self, id: &str) -> bool {
        match &self.provider {
            Some(provider) => provider.precedes(id),
            None => !self.others.iter().any(|other| other.precedes(id)),
        }
    }
}

// === impl MemberScopes ===

impl MemberScopes {
    /// The scopes of all providers.
    pub fn new(scopes: impl IntoIterator<Item = SubjectScope>) -> Self {
        Self(scopes.into_iter().collect())
    }

    /// Whether a member's identity is of one of the providers. That of a provider that the
    /// configuration no longer has is of none.
    pub fn include(&self, member: &Identity) -> bool {
        self.0.iter().any(|scope| {
            scope.provider() == member.provider.as_ref()
                && scope.includes(&member.subject)
                && scope.includes(member.provider_subject())
        })
    }
}

/// The scope of the only provider.
impl Default for MemberScopes {
    fn default() -> Self {
        Self(vec![SubjectScope::default()])
    }
}

/// Precedes the id that a provider issued; no provider's id has it.
pub(crate) const SEPARATOR: char = ':';

/// The longest `sub` or `sid` of a provider (OpenID Connect Core 1.0 § 2: 255 ASCII characters).
pub const MAX_ISSUED_ID_BYTES: usize = 255;

/// The longest subject of a person in this deployment: a `sub` behind the id of one of several providers.
pub const MAX_SUBJECT_BYTES: usize = MAX_BYTES + SEPARATOR.len_utf8() + MAX_ISSUED_ID_BYTES;

/// One letter precedes a colon in the subjects of some providers (Keycloak's `f:` of federated users).
const MIN_BYTES: usize = 2;

/// The id is in each subject, and in every address of the provider.
const MAX_BYTES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ProviderId {
        text.parse().unwrap()
    }

    #[test]
    fn ids_are_short_lower_case_and_not_those_of_other_subjects() {
        for text in ["ab", "school", "school-2", "a2345678901234567890"] {
            assert_eq!(id(text).as_str(), text);
        }
        let long = "a".repeat(21);
        for text in [
            "", "a", "School", "2school", "-a", "a b", "a:b", "ä1", "a/b", &long,
        ] {
            assert_eq!(
                text.parse::<ProviderId>(),
                Err(ProviderIdError::Form),
                "{text}"
            );
        }
        for text in ["guest", "integration", "recorder"] {
            let reserved = Err(ProviderIdError::Reserved);
            assert_eq!(text.parse::<ProviderId>(), reserved, "{text}");
        }
        assert!(serde_json::from_str::<ProviderId>("\"A\"").is_err());
    }

    #[test]
    fn the_same_id_of_two_providers_differs() {
        let (school, firm) = (SubjectScope::of(id("school")), SubjectScope::of(id("firm")));
        assert_eq!(school.qualify("4711").as_deref(), Some("school:4711"));
        assert_ne!(school.qualify("4711"), firm.qualify("4711"));
        assert_eq!(
            SubjectScope::default().qualify("a:4711").as_deref(),
            Some("a:4711")
        );
    }

    #[test]
    fn an_unqualified_id_is_never_one_of_another_provider() {
        let first = SubjectScope::unqualified(vec![id("school")]);
        assert_eq!(first.qualify("school:4711"), None);
        for text in ["4711", "school", "schools:4711", "f:school:4711"] {
            assert_eq!(first.qualify(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn members_of_other_providers_are_not_included() {
        let member = |provider: Option<&str>, subject: &str| Identity {
            provider: provider.map(id),
            subject: subject.to_owned(),
            ..Identity::default()
        };
        let only = MemberScopes::default();
        assert!(only.include(&member(None, "school:4711")));
        assert!(!only.include(&member(Some("school"), "school:4711")));
        let both = MemberScopes::new([
            SubjectScope::unqualified(vec![id("school")]),
            SubjectScope::of(id("school")),
        ]);
        for (provider, subject, included) in [
            (None, "4711", true),
            (Some("school"), "school:4711", true),
            (None, "school:4711", false),
            (Some("school"), "4711", false),
            (Some("firm"), "firm:4711", false),
        ] {
            let who = member(provider, subject);
            assert_eq!(both.include(&who), included, "{who:?}");
        }
    }
}
