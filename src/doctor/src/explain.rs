//! Lines of logs and of browsers' consoles, and what they mean.

mod patterns;
#[cfg(test)]
mod symptoms;

use std::fmt;

use self::patterns::{PATTERNS, Pattern};

/// A line that is known, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The line's number, from 1.
    pub line: usize,
    /// How many lines say the same.
    pub times: usize,
    /// The line, shortened, without what may be a token.
    pub text: String,
    pattern: &'static Pattern,
}

/// Explains the lines that are known, each cause once. Causes come before what follows from them.
pub fn explain(text: &str) -> Vec<Explanation> {
    let mut explanations: Vec<(usize, Explanation)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let folded = line.to_lowercase();
        let known = PATTERNS
            .iter()
            .enumerate()
            .find(|(_, own)| own.fits(&folded));
        let Some((rank, pattern)) = known else {
            continue;
        };
        match explanations.iter_mut().find(|(own, _)| *own == rank) {
            Some((_, explanation)) => explanation.times += 1,
            None => explanations.push((
                rank,
                Explanation {
                    line: number,
                    times: 1,
                    text: shown(line),
                    pattern,
                },
            )),
        }
    }
    explanations.sort_by_key(|(rank, _)| *rank);
    explanations.into_iter().map(|(_, own)| own).collect()
}

// === impl Explanation ===

impl Explanation {
    /// What the line means.
    pub fn meaning(&self) -> &'static str {
        self.pattern.meaning
    }

    /// What to change.
    pub fn remedy(&self) -> &'static str {
        self.pattern.remedy
    }

    /// The check of the doctor that looks at it, if one does.
    pub fn check(&self) -> Option<&'static str> {
        self.pattern.check
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if self.times > 1 {
            write!(f, " and {} more", self.times - 1)?;
        }
        writeln!(f, ": {}", self.text)?;
        writeln!(f, "  means   {}", self.meaning())?;
        writeln!(f, "  change  {}", self.remedy())?;
        if let Some(check) = self.check() {
            writeln!(f, "  see     doctor --only {check}")?;
        }
        Ok(())
    }
}

/// A line that can be shown to others: short, one line, without tokens.
fn shown(line: &str) -> String {
    let words = line.split_whitespace().map(|word| match word.find("eyJ") {
        // The head of every JWT begins with an opening brace and a quotation mark.
        Some(at) => format!("{}<token>", word.get(..at).unwrap_or_default()),
        None => word.to_owned(),
    });
    super::wire::quoted(&words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_come_first_and_once() {
        let log = "Nov 21 08:00:01 muc.meet.jitsi:token_verification warn Room does not exist\n\
                   nothing to see here\n\
                   startup error 'app_id' must not be empty\n\
                   startup error 'app_id' must not be empty\n";
        let found = explain(log);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[0].times), (3, 2));
        assert_eq!(found[0].check(), Some("B4,J3"));
        let text = found[0].to_string();
        assert!(
            text.starts_with("line 3 and 1 more: startup error 'app_id'"),
            "{text}"
        );
        assert!(text.contains("JWT_APP_ID"), "{text}");
        assert!(explain("all is well\n").is_empty());
    }

    #[test]
    fn tokens_are_not_shown() {
        let line = "Invalid signature for token=eyJhbGciOiJIUzI1NiJ9.e30.c2ln and more";
        let found = explain(line);
        assert_eq!(
            found[0].text,
            "Invalid signature for token=<token> and more"
        );
    }
}
