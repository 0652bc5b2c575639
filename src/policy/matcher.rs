//! One condition on a person, as rules write it: `group:staff`, `email-domain:example.org`, …

use std::{fmt, str::FromStr};

use super::glob::Glob;
use crate::identity::Identity;

/// A condition on a signed-in person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// `member`: anybody who signed in.
    Member,
    /// `group:<pattern>`: one of the person's groups fits.
    Group(Glob),
    /// `email:<address>`: the person's verified address, compared without case.
    Email(String),
    /// `email-domain:<domain>`: the verified address is at exactly this domain.
    EmailDomain(String),
    /// `subject:<id>`: the provider's id of the person.
    Subject(String),
    /// `claim:<path>=<pattern>`: a value of the claim fits.
    Claim {
        /// Dotted path of the claim, as in `realm_access.roles`.
        path: String,
        /// What one of its values has to look like.
        value: Glob,
    },
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// The part before the colon is not known.
    #[error(
        "unknown condition {0:?}; known are member, group:NAME, email:ADDRESS, \
         email-domain:DOMAIN, subject:ID, claim:PATH=VALUE"
    )]
    Unknown(String),
    /// Nothing stands behind the colon: a condition that everybody or nobody would meet.
    #[error("the condition {0:?} names nothing")]
    Empty(String),
    /// A claim condition without `=`.
    #[error("a claim condition reads claim:PATH=VALUE, got {0:?}")]
    Claim(String),
    /// A domain or address that is not one.
    #[error("{0:?} is not an e-mail {1}")]
    Email(String, &'static str),
}

// === impl Matcher ===

impl Matcher {
    /// Whether the person meets the condition.
    pub fn matches(&self, person: &Identity) -> bool {
        match self {
            Self::Member => true,
            Self::Group(pattern) => person.groups.iter().any(|group| pattern.matches(group)),
            Self::Email(address) => {
                verified_address(person).is_some_and(|email| email.to_lowercase() == *address)
            }
            Self::EmailDomain(domain) => verified_address(person)
                .and_then(domain_of)
                .is_some_and(|own| own.to_lowercase() == *domain),
            Self::Subject(subject) => person.subject == *subject,
            Self::Claim { path, value } => person
                .claims
                .get(path)
                .is_some_and(|values| values.iter().any(|text| value.matches(text))),
        }
    }
}

impl FromStr for Matcher {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Self, MatcherError> {
        if text == "member" {
            return Ok(Self::Member);
        }
        let unknown = || MatcherError::Unknown(text.to_owned());
        let (kind, value) = text.split_once(':').ok_or_else(unknown)?;
        if value.trim().is_empty() {
            return Err(MatcherError::Empty(text.to_owned()));
        }
        match kind {
            "group" => Ok(Self::Group(Glob::exact_case(value))),
            "subject" => Ok(Self::Subject(value.to_owned())),
            "email" if domain_of(value).is_some() => Ok(Self::Email(value.to_lowercase())),
            "email" => Err(MatcherError::Email(value.to_owned(), "address")),
            "email-domain" => {
                let domain = value.trim_start_matches('@').to_lowercase();
                let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
                if domain.chars().all(plain) && !domain.starts_with('.') && !domain.is_empty() {
                    Ok(Self::EmailDomain(domain))
                } else {
                    Err(MatcherError::Email(value.to_owned(), "domain"))
                }
            }
            "claim" => {
                let (path, value) = value
                    .split_once('=')
                    .filter(|(path, value)| !path.is_empty() && !value.is_empty())
                    .ok_or_else(|| MatcherError::Claim(text.to_owned()))?;
                Ok(Self::Claim {
                    path: path.to_owned(),
                    value: Glob::exact_case(value),
                })
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member => f.write_str("member"),
            Self::Group(pattern) => write!(f, "group:{pattern}"),
            Self::Email(address) => write!(f, "email:{address}"),
            Self::EmailDomain(domain) => write!(f, "email-domain:{domain}"),
            Self::Subject(subject) => write!(f, "subject:{subject}"),
            Self::Claim { path, value } => write!(f, "claim:{path}={value}"),
        }
    }
}

fn verified_address(person: &Identity) -> Option<&str> {
    person.email.as_deref().filter(|_| person.email_verified)
}

/// The domain of an address with exactly one `@`: `a@evil@company.com` has none (CVE-2026-40574
/// in another gateway was just this).
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
mod tests {
    use super::*;

    fn person(email: &str, verified: bool) -> Identity {
        Identity {
            subject: "42".to_owned(),
            email: Some(email.to_owned()),
            email_verified: verified,
            groups: vec!["staff".to_owned(), "Eng/Core".to_owned()],
            claims: [("dept".to_owned(), vec!["sales".to_owned()])].into(),
            ..Identity::default()
        }
    }

    #[test]
    fn conditions_mean_what_they_say() {
        let person = person("Ann@Example.org", true);
        let yes = [
            "member",
            "group:staff",
            "group:Eng/*",
            "email:ann@example.org",
            "email-domain:example.org",
            "email-domain:@Example.org",
            "subject:42",
            "claim:dept=sal*",
        ];
        let no = [
            "group:Staff",
            "group:eng/*",
            "email-domain:ample.org",
            "email-domain:org",
            "subject:4",
            "claim:dept=x",
            "claim:other=sales",
            "email:bob@example.org",
        ];
        for text in yes {
            let matcher: Matcher = text.parse().unwrap();
            assert!(matcher.matches(&person), "{text}");
        }
        for text in no {
            assert!(!text.parse::<Matcher>().unwrap().matches(&person), "{text}");
        }
    }

    #[test]
    fn addresses_count_only_when_verified_and_unambiguous() {
        let rule: Matcher = "email-domain:company.com".parse().unwrap();
        assert!(rule.matches(&person("a@company.com", true)));
        for hostile in [
            "a@evil.com@company.com",
            "\"a@evil.com\"@company.com",
            "a@company.com.",
            "@company.com",
            "a@evilcompany.com",
            "a@sub.company.com",
            "company.com",
        ] {
            assert!(!rule.matches(&person(hostile, true)), "{hostile}");
        }
        assert!(!rule.matches(&person("a@company.com", false)));
    }

    #[test]
    fn texts_that_are_no_condition_say_why() {
        for text in [
            "",
            "staff",
            "group:",
            "group: ",
            "claim:x",
            "claim:=y",
            "claim:x=",
            "email:x",
            "email-domain:.",
            "email-domain:a b",
            "grp:x",
            "Member",
        ] {
            let error = text.parse::<Matcher>().unwrap_err();
            assert!(!error.to_string().is_empty(), "{text}");
        }
    }
}
