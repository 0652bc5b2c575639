//! The start tag of a BOSH `<body/>`: the attributes by which the gateway routes a request.
//!
//! A parser of its own, because it has to know *where* the session id stands, so as to replace it
//! byte for byte, and because it has to refuse whatever Prosody's parser could read differently.

use super::BoshBodyError;

/// The attributes of a `<body>` start tag that the gateway needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartTag {
    pub(super) sid: Option<Span>,
    rid: Option<u64>,
    terminates: bool,
}

/// A range of bytes in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads attributes from the front of a text and tracks the position.
struct AttributeReader<'t> {
    text: &'t str,
    at: usize,
}

// === impl StartTag ===

impl StartTag {
    /// Parses the start tag of a BOSH body; the rest of the body may be anything.
    ///
    /// # Errors
    ///
    /// [`BoshBodyError::NotBosh`] and [`BoshBodyError::Ambiguous`].
    pub fn parse(body: &[u8]) -> Result<Self, BoshBodyError> {
        let mut reader = AttributeReader {
            text: readable_head(body)?,
            at: 0,
        };
        reader.skip_declaration()?;
        reader.skip_exactly("<body")?;
        let mut tag = Self {
            sid: None,
            rid: None,
            terminates: false,
        };
        let (mut rid_seen, mut type_seen) = (false, false);
        while let Some((name, value)) = reader.attribute()? {
            let text = reader.text.get(value.start..value.end).unwrap_or_default();
            if matches!(name, "sid" | "rid" | "type") && text.contains('&') {
                return Err(BoshBodyError::Ambiguous);
            }
            let repeated = match name {
                "sid" => tag.sid.replace(value).is_some(),
                "rid" => {
                    tag.rid = text.parse().ok();
                    std::mem::replace(&mut rid_seen, true)
                }
                "type" => {
                    tag.terminates = text == "terminate";
                    std::mem::replace(&mut type_seen, true)
                }
                _ => false,
            };
            if repeated {
                return Err(BoshBodyError::Ambiguous);
            }
        }
        Ok(tag)
    }

    /// Whether the body creates a session: it has no `sid`.
    pub fn creates(&self) -> bool {
        self.sid.is_none()
    }

    /// The request id, if it is a number.
    pub fn rid(&self) -> Option<u64> {
        self.rid
    }

    /// Whether the body ends the session: `type='terminate'`.
    pub fn terminates(&self) -> bool {
        self.terminates
    }
}

// === impl AttributeReader ===

impl<'t> AttributeReader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_white(&mut self) -> bool {
        let rest = self.rest();
        let white = rest.len() - rest.trim_start_matches(WHITE).len();
        self.at += white;
        white > 0
    }

    fn skip_exactly(&mut self, expected: &str) -> Result<(), BoshBodyError> {
        if !self.rest().starts_with(expected) {
            return Err(BoshBodyError::NotBosh);
        }
        self.at += expected.len();
        Ok(())
    }

    /// Skips `<?xml …?>`; XMPP allows no encoding but UTF-8 (RFC 6120 § 11.6).
    fn skip_declaration(&mut self) -> Result<(), BoshBodyError> {
        self.skip_white();
        let Some(declaration) = self.rest().strip_prefix("<?xml") else {
            return Ok(());
        };
        let (inside, _) = declaration.split_once("?>").ok_or(BoshBodyError::NotBosh)?;
        let encoding = inside.to_ascii_lowercase();
        if encoding.contains("encoding") && !encoding.contains("utf-8") {
            return Err(BoshBodyError::NotBosh);
        }
        self.at += "<?xml".len() + inside.len() + "?>".len();
        self.skip_white();
        Ok(())
    }

    /// Reads the next attribute's name and the range of its value; `None` at the end of the tag.
    fn attribute(&mut self) -> Result<Option<(&'t str, Span)>, BoshBodyError> {
        let separated = self.skip_white();
        let rest = self.rest();
        if rest.starts_with('>') || rest.starts_with("/>") {
            return Ok(None);
        }
        if !separated {
            return Err(BoshBodyError::NotBosh);
        }
        let length = rest
            .find(|c: char| WHITE.contains(&c) || matches!(c, '=' | '<' | '>' | '/' | '"' | '\''))
            .ok_or(BoshBodyError::NotBosh)?;
        let name = rest
            .get(..length)
            .filter(|name| !name.is_empty())
            .ok_or(BoshBodyError::NotBosh)?;
        self.at += length;
        self.skip_white();
        self.skip_exactly("=")?;
        self.skip_white();
        let quote = self
            .rest()
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''))
            .ok_or(BoshBodyError::NotBosh)?;
        self.at += 1;
        let start = self.at;
        let (value, _) = self
            .rest()
            .split_once(quote)
            .filter(|(value, _)| !value.contains('<'))
            .ok_or(BoshBodyError::NotBosh)?;
        let end = start + value.len();
        self.at = end + 1;
        Ok(Some((name, Span { start, end })))
    }
}

/// The front of a body as text. Bytes after the tag may be cut or not UTF-8: only Prosody reads
/// them.
fn readable_head(body: &[u8]) -> Result<&str, BoshBodyError> {
    let head = body
        .get(..body.len().min(MAX_TAG_BYTES))
        .unwrap_or_default();
    let begin = head
        .iter()
        .position(|byte| *byte == b'<')
        .ok_or(BoshBodyError::NotBosh)?;
    match std::str::from_utf8(head) {
        Ok(text) => Ok(text),
        Err(error) if error.valid_up_to() > begin => head
            .get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .ok_or(BoshBodyError::NotBosh),
        Err(_) => Err(BoshBodyError::NotBosh),
    }
}

/// White space of XML (XML 1.0 § 2.3).
const WHITE: &[char] = &[' ', '\t', '\r', '\n'];

/// Start tags of clients have some hundred bytes.
const MAX_TAG_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn start_tags_are_parsed_whatever_follows_them() {
        let create = StartTag::parse(b"<body rid='17' to='meet.jitsi' xml:lang='en'/>").unwrap();
        assert!(create.creates() && create.rid() == Some(17) && !create.terminates());
        let end = StartTag::parse(
            b" <?xml version='1.0' encoding='UTF-8'?>\n<body sid=\"x\" type = 'terminate' rid='1'>",
        )
        .unwrap();
        assert!(!end.creates() && end.terminates());
        let mut long = b"<body rid='1' sid='a'><message>".to_vec();
        long.extend(vec![0xff; 10]);
        assert!(!StartTag::parse(&long).unwrap().creates());
    }

    #[test]
    fn ambiguous_bodies_are_refused() {
        for body in [
            "<body sid='a' sid='b'/>",
            "<body sid='&#97;'/>",
            "<body rid='1' rid='2'/>",
            "<body type='terminate' type='x'/>",
        ] {
            assert_eq!(
                StartTag::parse(body.as_bytes()),
                Err(BoshBodyError::Ambiguous),
                "{body}"
            );
        }
    }

    #[test]
    fn bodies_that_are_not_bosh_are_refused() {
        for body in [
            "",
            "x",
            "<bod/>",
            "<bodyguard sid='a'/>",
            "<body sid=a/>",
            "<body sid='a",
            "<body",
            "<body sid='a'rid='1'/>",
            "<body a='<' sid='b'/>",
            "<!DOCTYPE body><body/>",
            "<!-- sid='a' --><body/>",
            "<?xml encoding='utf-16'?><body/>",
            "<?x?><body/>",
            "\u{feff}<body/>",
            "<body sid='a' /x>",
            "<body =''/>",
            "{\"a\":1}",
        ] {
            assert_eq!(
                StartTag::parse(body.as_bytes()),
                Err(BoshBodyError::NotBosh),
                "{body}"
            );
        }
        assert_eq!(
            StartTag::parse(b"\xff\xfe<\0b\0"),
            Err(BoshBodyError::NotBosh)
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(body: Vec<u8>) {
            let _ = StartTag::parse(&body);
        }

        #[test]
        fn almost_valid_tags_do_not_panic(tail in "[ a-z='\"<>/&?!é-]{0,40}") {
            let _ = StartTag::parse(format!("<body{tail}").as_bytes());
        }
    }
}
