//! One condition on a visitor, in the syntax of the configuration: `group:staff`,
//! `email-domain:example.org`, `link`, …

use std::{fmt, str::FromStr};

use super::{Requester, glob::Glob};
use crate::{
    identity::{Embedded, Identity, Invited, Standing, fold_email},
    provider::{ProviderId, ProviderIdError},
};

/// A condition on a visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `member`: the visitor signed in.
    Member,
    /// `guest`: any visitor; anonymous ones are asked for a name.
    Guest,
    /// `open`: any visitor, without a question.
    Open,
    /// `link`: the visitor holds a link to the room; among `host` and `moderators`, a host link.
    Link,
    /// `integration` or `integration:<id>`: the visitor has an integration's token; among `host` and
    /// `moderators`, as a moderator.
    Integration(Option<String>),
    /// `owner`: the owner tag in the room's name is the visitor's.
    Owner,
    /// `group:<pattern>`: one of the visitor's groups matches.
    Group(Glob),
    /// `email:<address>`: the visitor's verified address, in any case.
    Email(String),
    /// `email-domain:<domain>`: the verified address has exactly this domain.
    EmailDomain(String),
    /// `subject:<id>`: the provider's id of the visitor.
    Subject(String),
    /// `provider:<id>`: the visitor signed in with this one of several providers.
    Provider {
        /// The id in the configuration.
        id: ProviderId,
        /// The provider in the identities of its people; `None` if their ids are
        /// [unqualified](crate::provider::SubjectScope::unqualified).
        scope: Option<ProviderId>,
    },
    /// `claim:<path>=<pattern>`: a value of the claim matches.
    Claim {
        /// Dotted path of the claim, as in `realm_access.roles`.
        path: String,
        /// The pattern for one of its values.
        value: Glob,
    },
}

/// Why a text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// The keyword before the colon is unknown.
    #[error("unknown condition {0:?}; known are {list}", list = Condition::FORMS.join(", "))]
    Unknown(String),
    /// The value after the colon is empty: all visitors would meet the condition, or none.
    #[error("the condition {0:?} names nothing")]
    Empty(String),
    /// A claim condition without `=`.
    #[error("a claim condition reads claim:PATH=VALUE, got {0:?}")]
    Claim(String),
    /// The value is not the id of a provider.
    #[error("{0:?} is {1}")]
    Provider(String, ProviderIdError),
    /// The value is not an e-mail address or domain.
    #[error("{0:?} is not an e-mail {1}")]
    Email(String, &'static str),
}

// === impl Condition ===

impl Condition {
    /// The conditions as the configuration has them; a part in capitals stands for a value. Documents and
    /// messages list them all.
    pub const FORMS: [&str; 13] = [
        "member",
        "guest",
        "open",
        "link",
        "integration",
        "integration:ID",
        "owner",
        "group:NAME",
        "email:ADDRESS",
        "email-domain:DOMAIN",
        "subject:ID",
        "provider:ID",
        "claim:PATH=VALUE",
    ];

    /// Whether the visitor meets the condition to enter.
    pub fn admits(&self, visitor: &Requester<'_>) -> bool {
        match (self, visitor.standing) {
            (Self::Guest | Self::Open, _) | (Self::Link, Standing::Invited(_)) => true,
            (Self::Integration(id), Standing::Embedded(Embedded { integration, .. })) => {
                id.as_ref().is_none_or(|id| id == integration)
            }
            (Self::Member, standing) => standing.is_member(),
            (Self::Provider { scope, .. }, standing) => {
                standing.is_member() && visitor.identity.provider == *scope
            }
            (Self::Owner, _) => visitor.owner,
            _ => self.describes(visitor.identity),
        }
    }

    /// Whether the visitor meets the condition to be a host or moderator. Unlike
    /// [`admits`](Self::admits), it takes a host link, or an integration that claims a moderator.
    pub fn elevates(&self, visitor: &Requester<'_>) -> bool {
        match (self, visitor.standing) {
            (Self::Link, Standing::Invited(Invited { host, .. }))
            | (Self::Integration(_), Standing::Embedded(Embedded { host, .. })) => {
                *host && self.admits(visitor)
            }
            _ => self.admits(visitor),
        }
    }

    /// Whether an anonymous visitor could meet the condition by signing in.
    pub(super) fn is_about_accounts(&self) -> bool {
        match self {
            Self::Guest | Self::Open | Self::Link | Self::Integration(_) => false,
            Self::Member
            | Self::Owner
            | Self::Group(_)
            | Self::Email(_)
            | Self::EmailDomain(_)
            | Self::Subject(_)
            | Self::Provider { .. }
            | Self::Claim { .. } => true,
        }
    }

    fn describes(&self, person: &Identity) -> bool {
        match self {
            Self::Group(pattern) => person.groups.iter().any(|group| pattern.matches(group)),
            Self::Email(address) => {
                verified_address(person).is_some_and(|email| fold_email(email) == *address)
            }
            Self::EmailDomain(domain) => verified_address(person)
                .and_then(domain_of)
                .is_some_and(|actual| fold_email(actual) == *domain),
            Self::Subject(subject) => person.subject == *subject,
            Self::Claim { path, value } => person
                .claims
                .get(path)
                .is_some_and(|values| values.iter().any(|text| value.matches(text))),
            Self::Member
            | Self::Guest
            | Self::Open
            | Self::Link
            | Self::Integration(_)
            | Self::Provider { .. }
            | Self::Owner => false,
        }
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        match text {
            "member" => return Ok(Self::Member),
            "guest" => return Ok(Self::Guest),
            "open" => return Ok(Self::Open),
            "link" => return Ok(Self::Link),
            "integration" => return Ok(Self::Integration(None)),
            "owner" => return Ok(Self::Owner),
            _ => {}
        }
        let unknown = || ConditionError::Unknown(text.to_owned());
        let (kind, value) = text.split_once(':').ok_or_else(unknown)?;
        if value.trim().is_empty() {
            return Err(ConditionError::Empty(text.to_owned()));
        }
        match kind {
            "group" => Ok(Self::Group(Glob::exact_case(value))),
            "subject" => Ok(Self::Subject(value.to_owned())),
            "integration" => Ok(Self::Integration(Some(value.to_owned()))),
            "provider" => match value.parse::<ProviderId>() {
                Ok(id) => Ok(Self::Provider {
                    scope: Some(id.clone()),
                    id,
                }),
                Err(error) => Err(ConditionError::Provider(value.to_owned(), error)),
            },
            "email" if domain_of(value).is_some() => Ok(Self::Email(fold_email(value))),
            "email" => Err(ConditionError::Email(value.to_owned(), "address")),
            "email-domain" => {
                let domain = fold_email(value.trim_start_matches('@'));
                let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
                if domain.chars().all(plain) && !domain.starts_with('.') && !domain.is_empty() {
                    Ok(Self::EmailDomain(domain))
                } else {
                    Err(ConditionError::Email(value.to_owned(), "domain"))
                }
            }
            "claim" => {
                let (path, value) = value
                    .split_once('=')
                    .filter(|(path, value)| !path.is_empty() && !value.is_empty())
                    .ok_or_else(|| ConditionError::Claim(text.to_owned()))?;
                Ok(Self::Claim {
                    path: path.to_owned(),
                    value: Glob::exact_case(value),
                })
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member => f.write_str("member"),
            Self::Guest => f.write_str("guest"),
            Self::Open => f.write_str("open"),
            Self::Link => f.write_str("link"),
            Self::Integration(None) => f.write_str("integration"),
            Self::Integration(Some(id)) => write!(f, "integration:{id}"),
            Self::Owner => f.write_str("owner"),
            Self::Group(pattern) => write!(f, "group:{pattern}"),
            Self::Email(address) => write!(f, "email:{address}"),
            Self::EmailDomain(domain) => write!(f, "email-domain:{domain}"),
            Self::Subject(subject) => write!(f, "subject:{subject}"),
            Self::Provider { id, .. } => write!(f, "provider:{id}"),
            Self::Claim { path, value } => write!(f, "claim:{path}={value}"),
        }
    }
}

fn verified_address(person: &Identity) -> Option<&str> {
    person.email.as_deref().filter(|_| person.email_verified)
}

/// The domain of an address with exactly one `@`. With several, taking the text after the last one
/// would accept `a@evil@company.com` (CVE-2026-40574).
fn domain_of(address: &str) -> Option<&str> {
    let (local, domain) = address.split_once('@')?;
    let plain = !local.is_empty()
        && !domain.is_empty()
        && !domain.contains('@')
        && !local.contains(['"', ' '])
        && !domain.ends_with('.');
    plain.then_some(domain)
}

#[cfg(test)]
mod tests;
