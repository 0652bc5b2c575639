//! What is examined, by stable ids.

use std::{fmt, str::FromStr};

/// One thing that is examined. In this order causes come before what follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// The certificate that the public address shows.
    C2,
    /// The neighbours' clocks.
    C3,
    /// Discovery, client and redirect address at the OpenID provider.
    C4,
    /// Signing out at the OpenID provider.
    C5,
    /// Jitsi's page.
    W1,
    /// Jitsi's `config.js`.
    W2,
    /// Prosody's BOSH address.
    B1,
    /// A BOSH session for the XMPP domain.
    B2,
    /// The same session over several connections.
    B3,
    /// How Prosody lets people log in.
    B4,
    /// The public keys that Prosody fetches.
    K1,
    /// A good token logs in.
    A1,
    /// No token does not log in.
    A2,
    /// A token by another key does not.
    A3,
    /// A token that has expired does not.
    A4,
    /// A token without a signature does not.
    A5,
    /// A token of another issuer does not.
    A6,
    /// A token for another audience does not.
    A7,
    /// Jicofo opens a room.
    J1,
    /// A good token enters its room.
    J2,
    /// A token for another room does not.
    J3,
    /// Roles are those that tokens say.
    J4,
    /// Jicofo has a bridge.
    J5,
    /// Two people in a room see each other, and nobody waits in a lobby.
    J6,
    /// Prosody's WebSocket.
    S1,
    /// The public address leads to the gateway.
    P1,
    /// Nobody reaches Prosody past the gateway at the public address.
    P2,
    /// A login through the public address comes to the same as one straight at Prosody.
    S4,
    /// What a client claims in headers and parameters changes nothing.
    S6,
    /// A WebSocket through the public address lives while nothing is said.
    S2,
    /// A BOSH request through the public address may wait.
    S3,
    /// The store.
    R1,
    /// All replicas are of one kind.
    R2,
    /// The heads of our answers fit through proxies.
    R3,
    /// What Prosody's log holds is not good for long.
    L1,
}

/// Which checks were asked for.
#[derive(Clone, Debug, Default)]
pub struct Selection(Vec<Check>);

/// A text that names no check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no check {0:?}; known are {known}, or a letter for all that begin with it",
    known = Check::ALL.map(|check| check.to_string()).join(", ")
)]
pub struct UnknownCheck(String);

// === impl Check ===

impl Check {
    /// All checks.
    pub const ALL: [Self; 35] = [
        Self::C2,
        Self::C3,
        Self::C4,
        Self::C5,
        Self::W1,
        Self::W2,
        Self::B1,
        Self::B2,
        Self::B3,
        Self::B4,
        Self::K1,
        Self::A1,
        Self::A2,
        Self::A3,
        Self::A4,
        Self::A5,
        Self::A6,
        Self::A7,
        Self::J1,
        Self::J2,
        Self::J3,
        Self::J4,
        Self::J5,
        Self::J6,
        Self::S1,
        Self::P1,
        Self::P2,
        Self::S4,
        Self::S6,
        Self::S2,
        Self::S3,
        Self::R1,
        Self::R2,
        Self::R3,
        Self::L1,
    ];

    /// What is done, for whoever watches.
    pub const fn title(self) -> &'static str {
        match self {
            Self::C2 => "the certificate of the public address",
            Self::C3 => "the neighbours' clocks",
            Self::C4 => "the OpenID provider: description, client and redirect address",
            Self::C5 => "signing out at the OpenID provider",
            Self::W1 => "Jitsi's page",
            Self::W2 => "Jitsi's config.js",
            Self::B1 => "Prosody's BOSH address",
            Self::B2 => "a BOSH session for the XMPP domain",
            Self::B3 => "one session over several connections",
            Self::B4 => "how Prosody lets people log in",
            Self::K1 => "the public keys that Prosody fetches",
            Self::A1 => "a good token logs in",
            Self::A2 => "no token is refused",
            Self::A3 => "a token by another key is refused",
            Self::A4 => "an expired token is refused",
            Self::A5 => "a token without a signature is refused",
            Self::A6 => "a token of another issuer is refused",
            Self::A7 => "a token for another audience is refused",
            Self::J1 => "Jicofo opens a room",
            Self::J2 => "a good token enters its room",
            Self::J3 => "a token for another room is refused",
            Self::J4 => "roles are those that tokens say",
            Self::J5 => "Jicofo has a bridge",
            Self::J6 => "two people in a room see each other",
            Self::S1 => "Prosody's WebSocket",
            Self::P1 => "the public address leads to the gateway",
            Self::P2 => "nobody reaches Prosody past the gateway",
            Self::S4 => "a login through the public address",
            Self::S6 => "forged headers and parameters change nothing",
            Self::S2 => "a WebSocket may be quiet",
            Self::S3 => "a BOSH request may wait",
            Self::R1 => "the store",
            Self::R2 => "all replicas are of one kind",
            Self::R3 => "the heads of our answers are small enough",
            Self::L1 => "tokens in Prosody's log are not good for long",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

// === impl Selection ===

impl Selection {
    /// Whether the check was asked for.
    pub fn has(&self, check: Check) -> bool {
        self.0.is_empty() || self.0.contains(&check)
    }

    /// Whether one of the checks was asked for.
    pub(super) fn has_any(&self, checks: &[Check]) -> bool {
        checks.iter().any(|check| self.has(*check))
    }
}

impl FromStr for Selection {
    type Err = UnknownCheck;

    fn from_str(text: &str) -> Result<Self, UnknownCheck> {
        let mut chosen = Vec::new();
        for word in text.split(',').map(str::trim) {
            let folded = word.to_ascii_uppercase();
            let fits = |check: &Check| {
                let id = check.to_string();
                id == folded || (folded.len() == 1 && id.starts_with(&folded))
            };
            let before = chosen.len();
            chosen.extend(Check::ALL.into_iter().filter(fits));
            if chosen.len() == before {
                return Err(UnknownCheck(word.to_owned()));
            }
        }
        Ok(Self(chosen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_chosen_by_id_or_letter() {
        let some: Selection = "b1, A3,j".parse().unwrap();
        for (check, chosen) in [
            (Check::B1, true),
            (Check::B2, false),
            (Check::A3, true),
            (Check::J1, true),
            (Check::J6, true),
            (Check::R1, false),
        ] {
            assert_eq!(some.has(check), chosen, "{check}");
        }
        assert!(Selection::default().has(Check::R1));
        assert_eq!(
            "Z9".parse::<Selection>().unwrap_err(),
            UnknownCheck("Z9".to_owned())
        );
        assert!("".parse::<Selection>().is_err());
        let text = "Z9".parse::<Selection>().unwrap_err().to_string();
        for check in Check::ALL {
            assert!(text.contains(&check.to_string()), "{check} in {text}");
        }
    }

    #[test]
    fn all_checks_are_listed_once_and_in_order() {
        assert!(Check::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// What every finding's id in the sources is made of, besides those of `reach`.
    fn sources() -> String {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        let mut directories = vec![std::path::PathBuf::from(own)];
        let mut text = String::new();
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let file = std::fs::read_to_string(path).unwrap();
                    text.push_str(file.split("#[cfg(test)]\nmod tests {").next().unwrap());
                }
            }
        }
        text
    }

    #[test]
    fn the_page_and_the_checks_have_the_same_ids() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doctor.md");
        let page = std::fs::read_to_string(path).unwrap();
        let rows = page.lines().filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
            let id = cells.first()?;
            let is_id = id.len() == 2 && id.starts_with(|c: char| c.is_ascii_uppercase());
            is_id.then(|| ((*id).to_owned(), cells.last().unwrap().to_owned()))
        });
        let rows: Vec<(String, &str)> = rows.collect();
        let ids: Vec<_> = rows.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(ids, Check::ALL.map(|check| check.to_string()));
        let sources = sources();
        for (id, findings) in rows {
            let words = findings.split('`').skip(1).step_by(2);
            for word in words.filter(|word| !word.starts_with('-')) {
                assert!(
                    sources.contains(&format!("\"{word}\"")),
                    "{id}.{word} is on the page and in no source"
                );
            }
        }
        let calls = ["error", "warning", "danger", "advice"];
        for (id, word) in calls.iter().flat_map(|call| named(&sources, call)) {
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| {id} |")));
            assert!(
                row.is_some_and(|row| row.contains(&format!("`{word}`"))),
                "{id}.{word} is in the sources and not on the page"
            );
        }
    }

    /// Ids and words of calls such as `Finding::error(Check::A1, "key")`.
    fn named<'s>(sources: &'s str, call: &str) -> Vec<(&'s str, &'s str)> {
        let begins = format!("Finding::{call}(Check::");
        let rests = sources
            .match_indices(&begins)
            .map(|(at, _)| &sources[at + begins.len()..]);
        rests
            .filter_map(|rest| {
                let word = rest[2..].strip_prefix(", \"")?.split('"').next()?;
                Some((&rest[..2], word))
            })
            .collect()
    }
}
