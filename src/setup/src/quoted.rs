//! Quoted texts of generated files.

use std::fmt::{self, Write as _};

/// A text in double quotes, as TOML (basic string), YAML (double-quoted scalar) and Lua read it.
///
/// Control characters have the form `\u0000`, which Lua lacks; no value in its files has one.
pub(crate) struct Quoted<'t>(pub(crate) &'t str);

// === impl Quoted ===

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// A list of quoted texts, as TOML and YAML read it.
pub(crate) fn quoted_list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| Quoted(text).to_string()).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_backslashes_and_control_characters_are_escaped() {
        for (text, expected) in [
            ("staff", r#""staff""#),
            (r#"a "b" \c"#, r#""a \"b\" \\c""#),
            ("a\nb", r#""a\u000ab""#),
            ("Zoë", r#""Zoë""#),
        ] {
            assert_eq!(Quoted(text).to_string(), expected);
        }
        assert_eq!(quoted_list(&["a".into(), "b".into()]), r#"["a", "b"]"#);
    }
}
