//! One condition on a visitor, as rules write it: `group:staff`, `email-domain:example.org`, `link`, …

use std::{fmt, str::FromStr};

use super::{Visitor, glob::Glob};
use crate::identity::{Embedded, Identity, Invited, Standing};

/// A condition on a visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `member`: anybody who signed in.
    Member,
    /// `guest`: anybody, after saying a name.
    Guest,
    /// `open`: anybody, without being asked.
    Open,
    /// `link`: whoever holds a link to the room; a host link where it is about hosts.
    Link,
    /// `integration` or `integration:<id>`: whom an integration vouches for; whom it calls a
    /// moderator where it is about hosts.
    Integration(Option<String>),
    /// `owner`: the person who made the meeting, by the tag in the room's name.
    Owner,
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
pub enum ConditionError {
    /// The part before the colon is not known.
    #[error(
        "unknown condition {0:?}; known are member, guest, open, link, integration, \
         integration:ID, owner, group:NAME, email:ADDRESS, email-domain:DOMAIN, subject:ID, \
         claim:PATH=VALUE"
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

// === impl Condition ===

impl Condition {
    /// Whether the visitor meets the condition to enter.
    pub fn admits(&self, visitor: &Visitor<'_>) -> bool {
        match (self, visitor.standing) {
            (Self::Guest | Self::Open, _) | (Self::Link, Standing::Invited(_)) => true,
            (Self::Integration(id), Standing::Embedded(Embedded { integration, .. })) => {
                id.as_ref().is_none_or(|id| id == integration)
            }
            (Self::Member, standing) => standing.is_member(),
            (Self::Owner, _) => visitor.owner,
            _ => self.describes(visitor.identity),
        }
    }

    /// Whether the visitor meets the condition to be a host or moderator: of links and
    /// integrations only what they say of hosts counts.
    pub fn elevates(&self, visitor: &Visitor<'_>) -> bool {
        match (self, visitor.standing) {
            (Self::Link, Standing::Invited(Invited { host, .. }))
            | (Self::Integration(_), Standing::Embedded(Embedded { host, .. })) => {
                *host && self.admits(visitor)
            }
            _ => self.admits(visitor),
        }
    }

    /// Whether signing in could meet the condition.
    pub(super) fn is_about_accounts(&self) -> bool {
        !matches!(
            self,
            Self::Guest | Self::Open | Self::Link | Self::Integration(_)
        )
    }

    fn describes(&self, person: &Identity) -> bool {
        match self {
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
            Self::Member
            | Self::Guest
            | Self::Open
            | Self::Link
            | Self::Integration(_)
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
            "email" if domain_of(value).is_some() => Ok(Self::Email(value.to_lowercase())),
            "email" => Err(ConditionError::Email(value.to_owned(), "address")),
            "email-domain" => {
                let domain = value.trim_start_matches('@').to_lowercase();
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
        let person = Visitor::member(&person);
        for text in yes {
            let matcher: Condition = text.parse().unwrap();
            assert!(matcher.admits(&person), "{text}");
        }
        for text in no {
            assert!(
                !text.parse::<Condition>().unwrap().admits(&person),
                "{text}"
            );
        }
    }

    #[test]
    fn standing_lets_in_and_only_the_word_of_a_host_raises() {
        let identity = Identity::default();
        let invited = |host, member| {
            Standing::Invited(Invited {
                link: "l".to_owned(),
                host,
                member,
            })
        };
        let embedded = |host| {
            Standing::Embedded(Embedded {
                integration: "shop".to_owned(),
                host,
            })
        };
        let (y, n) = (true, false);
        for (text, standing, admits, elevates) in [
            ("member", Standing::Guest, n, n),
            ("member", invited(y, n), n, n),
            ("member", invited(n, y), y, y),
            ("member", embedded(y), n, n),
            ("guest", Standing::Guest, y, y),
            ("guest", Standing::Member, y, y),
            ("link", Standing::Guest, n, n),
            ("link", Standing::Member, n, n),
            ("link", invited(n, n), y, n),
            ("link", invited(y, n), y, y),
            ("integration", embedded(n), y, n),
            ("integration", embedded(y), y, y),
            ("integration:shop", embedded(y), y, y),
            ("integration:crm", embedded(y), n, n),
            ("integration", Standing::Member, n, n),
            ("owner", Standing::Member, n, n),
        ] {
            let visitor = Visitor {
                identity: &identity,
                standing: &standing,
                owner: false,
            };
            let matcher: Condition = text.parse().unwrap();
            assert_eq!(matcher.to_string(), text);
            assert_eq!(matcher.admits(&visitor), admits, "{text} {standing:?}");
            assert_eq!(matcher.elevates(&visitor), elevates, "{text} {standing:?}");
        }
    }

    #[test]
    fn addresses_count_only_when_verified_and_unambiguous() {
        let rule: Condition = "email-domain:company.com".parse().unwrap();
        let fits = |email, verified| rule.admits(&Visitor::member(&person(email, verified)));
        assert!(fits("a@company.com", true));
        for hostile in [
            "a@evil.com@company.com",
            "\"a@evil.com\"@company.com",
            "a@company.com.",
            "@company.com",
            "a@evilcompany.com",
            "a@sub.company.com",
            "company.com",
        ] {
            assert!(!fits(hostile, true), "{hostile}");
        }
        assert!(!fits("a@company.com", false));
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
            "integration:",
        ] {
            let error = text.parse::<Condition>().unwrap_err();
            assert!(!error.to_string().is_empty(), "{text}");
        }
    }
}
