//! The answers that a configuration is composed of.

use std::{fmt, str::FromStr};

use config::PublicUrl;
use model::policy::Condition;
use secrecy::SecretString;

use crate::{
    JitsiEnv, Platform, Provider,
    quoted::{Quoted, quoted_list},
};

/// What has to be known of a deployment.
#[derive(Debug)]
pub struct Deployment {
    /// The address that people open.
    pub public_url: PublicUrl,
    /// How Jitsi is installed.
    pub platform: Platform,
    /// The kind of the OpenID provider.
    pub provider: Provider,
    /// Its issuer, byte by byte as its discovery document has it.
    pub issuer: String,
    /// The gateway's client id there.
    pub client_id: String,
    /// The client's secret, unless it is still to be written.
    pub client_secret: Option<SecretString>,
    /// With Google, the domain of the Workspace whose accounts count as members; every Google account
    /// in the world otherwise.
    pub workspace: Option<String>,
    /// Who enters rooms.
    pub entry: RoomEntry,
    /// Who moderates rooms beside the creator of a meeting: conditions of `moderators`.
    pub moderators: Vec<String>,
    /// The settings that docker-jitsi-meet has already.
    pub jitsi: JitsiEnv,
}

/// Who enters rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomEntry {
    /// People with an account.
    Member,
    /// People with an account, and holders of a link that a host has made.
    Link,
    /// Also guests who write a name, once a host has come.
    Guest,
    /// All people, without a question.
    Open,
}

/// An answer that cannot be used; the text says what to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAnswer(pub(crate) &'static str);

// === impl Deployment ===

impl Deployment {
    /// Reads a list of conditions, separated by commas. `owner` stands for the creator of a meeting,
    /// who is host without a condition.
    ///
    /// # Errors
    ///
    /// An unknown condition.
    pub fn parse_moderators(text: &str) -> Result<Vec<String>, InvalidAnswer> {
        let conditions = text.split(',').map(str::trim);
        let others = conditions.filter(|condition| !condition.is_empty() && *condition != "owner");
        others
            .map(|condition| {
                let known = condition.parse::<Condition>();
                known.map(|_| condition.to_owned()).map_err(|_| {
                    InvalidAnswer(
                        "answer owner, member, or conditions as group:staff, separated by commas",
                    )
                })
            })
            .collect()
    }
}

// === impl RoomEntry ===

impl RoomEntry {
    /// All answers, in the order of the question.
    pub const ALL: [Self; 4] = [Self::Member, Self::Link, Self::Guest, Self::Open];

    /// The word of `enter` in `[[room]]`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Link => "link",
            Self::Guest => "guest",
            Self::Open => "open",
        }
    }

    /// What the question and the rule say about it.
    pub fn description(self) -> &'static str {
        match self {
            Self::Member => "people with an account",
            Self::Link => "people with an account, and holders of a link that a host has made",
            Self::Guest => "everybody: guests write a name, and wait for a host",
            Self::Open => "everybody, without a question; people with an account are hosts",
        }
    }

    /// The value of `enter`. Where not every account of the provider is one of the organisation,
    /// `workspace` names those that are.
    pub(crate) fn rule(self, workspace: Option<&str>) -> String {
        let Some(member) = workspace.map(workspace_condition) else {
            return Quoted(self.name()).to_string();
        };
        // What the words stand for (docs/people-and-rooms.md).
        let others: &[&str] = match self {
            Self::Member => &[],
            Self::Link => &["link"],
            Self::Guest => &["link", "guest"],
            Self::Open => &["link", "open"],
        };
        let others = others.iter().map(|word| (*word).to_owned());
        quoted_list(&[member].into_iter().chain(others).collect::<Vec<_>>())
    }

    /// Further lines of the rule.
    pub(crate) fn further(self, workspace: Option<&str>) -> Vec<String> {
        match (self, workspace) {
            (Self::Member | Self::Link, _) => Vec::new(),
            (Self::Guest, _) => vec![r#"start = "host""#.to_owned()],
            (Self::Open, None) => vec![r#"host = "member""#.to_owned()],
            (Self::Open, Some(domain)) => {
                vec![format!(
                    "host = {}",
                    quoted_list(&[workspace_condition(domain)])
                )]
            }
        }
    }
}

/// Google's claim `hd` is the domain of the Workspace that an account belongs to.
fn workspace_condition(domain: &str) -> String {
    format!("claim:hd={domain}")
}

impl fmt::Display for RoomEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RoomEntry {
    type Err = InvalidAnswer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_lowercase();
        let found = Self::ALL.into_iter().find(|own| own.name() == name);
        found.ok_or(InvalidAnswer("answer member, link, guest or open"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moderators_are_conditions_of_the_rules() {
        for (text, expected) in [
            ("owner", Some(vec![])),
            ("member", Some(vec!["member"])),
            (
                "owner, group:staff,email-domain:example.org",
                Some(vec!["group:staff", "email-domain:example.org"]),
            ),
            ("staff", None),
            ("group:", None),
        ] {
            let parsed = Deployment::parse_moderators(text).ok();
            let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect());
            assert_eq!(parsed, expected, "{text}");
        }
    }
}
