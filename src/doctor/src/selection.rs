//! The selection of checks by an operator.

use std::str::FromStr;

use super::Check;

/// The checks to run. The default is all of them.
#[derive(Clone, Debug, Default)]
pub struct CheckSelection(Vec<Check>);

/// A word that is neither a check's id nor the first letter of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no check {0:?}; known are {known}, or a letter for all that begin with it",
    known = known_ids()
)]
pub struct UnknownCheck(String);

// === impl CheckSelection ===

impl CheckSelection {
    /// Whether the check is selected.
    pub fn has(&self, check: Check) -> bool {
        self.0.is_empty() || self.0.contains(&check)
    }

    /// Whether one of the checks is selected.
    pub(super) fn has_any(&self, checks: impl IntoIterator<Item = Check>) -> bool {
        checks.into_iter().any(|check| self.has(check))
    }
}

/// Parses ids and letters with commas between, in any case: `b1,J`.
impl FromStr for CheckSelection {
    type Err = UnknownCheck;

    fn from_str(text: &str) -> Result<Self, UnknownCheck> {
        let mut selected = Vec::new();
        for word in text.split(',').map(str::trim) {
            let folded = word.to_ascii_uppercase();
            let matches = |check: &&Check| {
                let id = check.id();
                id == folded || (folded.len() == 1 && id.starts_with(&folded))
            };
            let before = selected.len();
            selected.extend(Check::ALL.iter().filter(matches));
            if selected.len() == before {
                return Err(UnknownCheck(word.to_owned()));
            }
        }
        Ok(Self(selected))
    }
}

fn known_ids() -> String {
    let ids: Vec<_> = Check::ALL.iter().map(|check| check.id()).collect();
    ids.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_selected_by_id_or_letter() {
        let selection: CheckSelection = "b1, A3,j".parse().unwrap();
        for (check, selected) in [
            (Check::BoshEndpoint, true),
            (Check::BoshSession, false),
            (Check::ForgedToken, true),
            (Check::RoomCreation, true),
            (Check::SecondOccupant, true),
            (Check::Store, false),
        ] {
            assert_eq!(selection.has(check), selected, "{check}");
        }
        assert!(CheckSelection::default().has(Check::Store));
    }

    #[test]
    fn unknown_words_are_refused_with_all_known_ids() {
        let error = "Z9".parse::<CheckSelection>().unwrap_err();
        assert_eq!(error, UnknownCheck("Z9".to_owned()));
        let text = error.to_string();
        for check in Check::ALL {
            assert!(text.contains(check.id()), "{check} in {text}");
        }
        assert!("".parse::<CheckSelection>().is_err());
    }
}
