//! Glob patterns: `*` matches any run of characters, `?` one character, any other character itself.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// A pattern. Matching takes at most time proportional to pattern length × text length.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Glob(Vec<char>);

// === impl Glob ===

impl Glob {
    /// A case-sensitive pattern.
    pub fn exact_case(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// A pattern in the canonical form of room names: NFKC and lower case.
    pub fn folded(pattern: &str) -> Self {
        Self(
            pattern
                .nfkc()
                .collect::<String>()
                .to_lowercase()
                .chars()
                .collect(),
        )
    }

    /// Whether every text matches.
    pub fn matches_all(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|c| *c == '*')
    }

    /// Whether every text matches, or every text of some length on.
    pub fn matches_everything(&self) -> bool {
        self.0.contains(&'*') && self.0.iter().all(|c| matches!(c, '*' | '?'))
    }

    /// Whether one text alone matches.
    pub fn is_literal(&self) -> bool {
        !self.0.iter().any(|c| matches!(c, '*' | '?'))
    }

    /// The text before the first wildcard; the whole pattern, if it has none.
    pub(super) fn literal_beginning(&self) -> String {
        let literal = self.0.iter().take_while(|c| !matches!(c, '*' | '?'));
        literal.collect()
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let mut pattern = self.0.as_slice();
        let mut text = text.chars();
        // The state to return to when the last `*` has to match one more character.
        let mut resume: Option<(&[char], std::str::Chars<'_>)> = None;
        loop {
            match pattern.split_first() {
                Some(('*', rest)) => {
                    resume = Some((rest, text.clone()));
                    pattern = rest;
                    continue;
                }
                Some((expected, rest)) => {
                    let mut ahead = text.clone();
                    if ahead
                        .next()
                        .is_some_and(|c| *expected == '?' || *expected == c)
                    {
                        pattern = rest;
                        text = ahead;
                        continue;
                    }
                }
                None if text.as_str().is_empty() => return true,
                None => {}
            }
            let Some((after_star, from)) = &mut resume else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            pattern = after_star;
            text = from.clone();
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|c| fmt::Write::write_char(f, *c))
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_match_runs_and_question_marks_one_character() {
        let yes = [
            ("*", ""),
            ("*", "x"),
            ("a*", "a"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c", "ac"),
            ("a*b*c", "a-b-b-c"),
            ("?", "é"),
            ("a?c", "abc"),
            ("", ""),
            ("**", "x"),
            ("*a", "aaa"),
        ];
        let no = [
            ("a", "A"),
            ("a*", "ba"),
            ("?", ""),
            ("a?c", "ac"),
            ("", "x"),
            ("*ab", "aba"),
        ];
        for (pattern, text) in yes {
            assert!(Glob::exact_case(pattern).matches(text), "{pattern} {text}");
        }
        for (pattern, text) in no {
            assert!(!Glob::exact_case(pattern).matches(text), "{pattern} {text}");
        }
        assert!(Glob::folded("Café *").matches("café x"));
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_with_a_star_inserted_anywhere(text in "[a-z ]{0,12}", at in 0usize..12) {
            prop_assert!(Glob::exact_case(&text).matches(&text));
            let cut = at.min(text.len());
            let starred = format!("{}*{}", &text[..cut], &text[cut..]);
            prop_assert!(Glob::exact_case(&starred).matches(&text));
        }
    }
}
