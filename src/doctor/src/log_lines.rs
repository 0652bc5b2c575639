//! Explains known lines of logs and of browsers' consoles.

use std::fmt;

use self::patterns::{Pattern, patterns};
use super::client::single_line;

mod patterns;
#[cfg(test)]
mod symptoms;

/// A known line with its explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogExplanation {
    /// The number of the first such line, from 1.
    pub line: usize,
    /// The number of lines with this explanation.
    pub times: usize,
    /// The first such line, shortened, with tokens removed.
    pub text: String,
    pattern: &'static Pattern,
}

/// Explains the known lines of a log, each explanation once. Causes come before consequences.
pub fn explain_log(text: &str) -> Vec<LogExplanation> {
    let mut explanations: Vec<(usize, LogExplanation)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let folded = line.to_lowercase();
        let known = patterns()
            .enumerate()
            .find(|(_, pattern)| pattern.matches(&folded));
        let Some((rank, pattern)) = known else {
            continue;
        };
        match explanations
            .iter_mut()
            .find(|(known_rank, _)| *known_rank == rank)
        {
            Some((_, explanation)) => explanation.times += 1,
            None => explanations.push((
                rank,
                LogExplanation {
                    line: number,
                    times: 1,
                    text: shorten_and_redact(line),
                    pattern,
                },
            )),
        }
    }
    explanations.sort_by_key(|(rank, _)| *rank);
    explanations
        .into_iter()
        .map(|(_, explanation)| explanation)
        .collect()
}

// === impl LogExplanation ===

impl LogExplanation {
    /// The cause of the line.
    pub fn meaning(&self) -> &'static str {
        self.pattern.meaning
    }

    /// The setting to change.
    pub fn remedy(&self) -> &'static str {
        self.pattern.remedy
    }

    /// The checks that confirm the explanation, for `--only`.
    pub fn checks(&self) -> Option<&'static str> {
        self.pattern.checks
    }
}

impl fmt::Display for LogExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if self.times > 1 {
            write!(f, " and {} more", self.times - 1)?;
        }
        writeln!(f, ": {}", self.text)?;
        writeln!(f, "  means   {}", self.meaning())?;
        writeln!(f, "  change  {}", self.remedy())?;
        if let Some(checks) = self.checks() {
            writeln!(f, "  see     doctor --only {checks}")?;
        }
        Ok(())
    }
}

/// Shortens a line and removes tokens, so that it can be passed on.
fn shorten_and_redact(line: &str) -> String {
    let words = line.split_whitespace().map(|word| match word.find("eyJ") {
        // The base64url of `{"`, with which the header of every JWT begins.
        Some(at) => format!("{}<token>", word.get(..at).unwrap_or_default()),
        None => word.to_owned(),
    });
    single_line(&words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_listed_first_and_once() {
        let log = "Nov 21 08:00:01 muc.meet.jitsi:token_verification warn Room does not exist\n\
                   nothing to see here\n\
                   startup error 'app_id' must not be empty\n\
                   startup error 'app_id' must not be empty\n";
        let found = explain_log(log);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[0].times), (3, 2));
        assert_eq!(found[0].checks(), Some("B4,J3"));
        let text = found[0].to_string();
        assert!(
            text.starts_with("line 3 and 1 more: startup error 'app_id'"),
            "{text}"
        );
        assert!(text.contains("JWT_APP_ID"), "{text}");
        assert!(explain_log("all is well\n").is_empty());
    }

    #[test]
    fn tokens_are_removed() {
        let line = "Invalid signature for token=eyJhbGciOiJIUzI1NiJ9.e30.c2ln and more";
        let found = explain_log(line);
        assert_eq!(
            found[0].text,
            "Invalid signature for token=<token> and more"
        );
    }
}
