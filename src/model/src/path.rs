//! Canonical paths: one spelling for every path, so the matched path is also the forwarded path.

use std::{borrow::Cow, fmt::Write as _};

/// A path in canonical form: begins with `/`, has no dot segments and no empty segments except a
/// trailing one, no encoded separators or control characters, unreserved characters unencoded and
/// escapes in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath {
    text: Cow<'static, str>,
    respelled: bool,
}

/// Why a path is refused in any spelling. Origin servers resolve each of these forms to another
/// path than the one that the routes were matched against (`..%2f`, `//`, `\`, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// `.` or `..`, plain or encoded.
    #[error("the path has dot segments")]
    DotSegment,
    /// `//` at any position.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// A separator or control character, plain or percent-encoded.
    #[error("the path has a character that paths cannot have")]
    Character,
    /// `%` without two hexadecimal digits.
    #[error("the path has a broken escape")]
    Escape,
}

// === impl CanonicalPath ===

impl CanonicalPath {
    /// Converts a raw path to canonical form.
    ///
    /// # Errors
    ///
    /// [`PathError`], if the path has no canonical form.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        if !raw.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let text = respell(raw)?;
        let mut segments = text.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            match segment {
                "." | ".." => return Err(PathError::DotSegment),
                "" if segments.peek().is_some() => return Err(PathError::EmptySegment),
                _ => {}
            }
        }
        let respelled = text != raw;
        Ok(Self {
            text: text.into(),
            respelled,
        })
    }

    /// Creates a path from a literal that is already canonical.
    pub(crate) const fn known(text: &'static str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            respelled: false,
        }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the client's spelling was not canonical. Such a request never reaches a protected
    /// route.
    pub fn was_respelled(&self) -> bool {
        self.respelled
    }

    /// The segments between the slashes, still percent-encoded; a trailing slash yields an empty
    /// last segment.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').skip(1)
    }
}

fn respell(raw: &str) -> Result<String, PathError> {
    let mut text = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = bytes.next().and_then(hex).ok_or(PathError::Escape)?;
                let low = bytes.next().and_then(hex).ok_or(PathError::Escape)?;
                push_decoded(&mut text, high << 4 | low)?;
            }
            b'\\' | b'#' | b'?' | ..=b' ' | 0x7f => return Err(PathError::Character),
            // Not allowed in a path (RFC 3986 § 3.3), but browsers send some of them.
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                escape(&mut text, byte);
            }
            _ => text.push(char::from(byte)),
        }
    }
    Ok(text)
}

fn push_decoded(text: &mut String, byte: u8) -> Result<(), PathError> {
    match byte {
        b'/' | b'\\' | ..=0x1f | 0x7f => return Err(PathError::Character),
        b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
        _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
        _ => escape(text, byte),
    }
    Ok(())
}

fn escape(text: &mut String, byte: u8) {
    write!(text, "%{byte:02X}").expect("writing to a string does not fail");
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_spelling_for_each_path() {
        let cases = [
            ("/", "/"),
            ("/http-bind", "/http-bind"),
            ("/%68ttp%2Dbind", "/http-bind"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%20b/", "/a%20b/"),
            ("/a;b=c", "/a;b=c"),
            ("/a|b", "/a%7Cb"),
            ("/a%3fb", "/a%3Fb"),
            ("/%25", "/%25"),
        ];
        for (raw, canonical) in cases {
            let path = CanonicalPath::parse(raw).unwrap();
            assert_eq!(path.as_str(), canonical);
            assert_eq!(path.was_respelled(), raw != canonical);
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        let cases = [
            ("", PathError::NotAbsolute),
            ("http-bind", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("/./a", PathError::DotSegment),
            ("/a/..", PathError::DotSegment),
            ("/a/%2e%2E/b", PathError::DotSegment),
            ("/.%2e/", PathError::DotSegment),
            ("//http-bind", PathError::EmptySegment),
            ("/a//b", PathError::EmptySegment),
            ("/a//", PathError::EmptySegment),
            ("/a%2fb", PathError::Character),
            ("/a%5Cb", PathError::Character),
            ("/a\\b", PathError::Character),
            ("/a%00", PathError::Character),
            ("/a%0d%0a", PathError::Character),
            ("/a b", PathError::Character),
            ("/a#b", PathError::Character),
            ("/a\tb", PathError::Character),
            ("/%", PathError::Escape),
            ("/%zz", PathError::Escape),
            ("/%4", PathError::Escape),
        ];
        for (raw, error) in cases {
            assert_eq!(CanonicalPath::parse(raw), Err(error), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn canonical_paths_parse_unchanged(raw in "/[ -~é/.%]{0,30}") {
            if let Ok(path) = CanonicalPath::parse(&raw) {
                let again = CanonicalPath::parse(path.as_str()).unwrap();
                prop_assert_eq!(again.as_str(), path.as_str());
                prop_assert!(!again.was_respelled());
            }
        }
    }
}
