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
    to: Option<String>,
    terminates: bool,
    condition: Option<String>,
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
            to: None,
            terminates: false,
            condition: None,
        };
        let mut type_seen = false;
        while let Some((name, value)) = reader.attribute()? {
            let text = reader.text.get(value.start..value.end).unwrap_or_default();
            if DECIDING.contains(&name) && text.contains('&') {
                return Err(BoshBodyError::Ambiguous);
            }
            let repeated = match name {
                "sid" => tag.sid.replace(value).is_some(),
                "rid" => tag.rid.replace(request_id(text)?).is_some(),
                "to" => tag.to.replace(text.to_owned()).is_some(),
                "condition" => tag.condition.replace(text.to_owned()).is_some(),
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

    /// The session id, in the text that was parsed.
    pub fn sid<'b>(&self, body: &'b [u8]) -> Option<&'b str> {
        let span = self.sid?;
        std::str::from_utf8(body.get(span.start..span.end)?).ok()
    }

    /// The request id. Answers have none.
    pub fn rid(&self) -> Option<u64> {
        self.rid
    }

    /// The XMPP domain of a session to be created, or of a stream to be restarted.
    pub fn to(&self) -> Option<&str> {
        self.to.as_deref()
    }

    /// Whether the body ends the session: `type='terminate'`.
    pub fn terminates(&self) -> bool {
        self.terminates
    }

    /// Whether an answer of Prosody says that the session is over. It also answers `terminate` to a
    /// request that it does not take, and the session goes on (Prosody 0.12 `plugins/mod_bosh.lua`,
    /// "rid out of range" and "Error parsing BOSH payload").
    pub fn ends_stream(&self) -> bool {
        self.terminates
            && matches!(
                self.condition.as_deref(),
                None | Some("remote-stream-error")
            )
    }

    /// Whether an answer of Prosody confirms that it took the request.
    pub fn acknowledges_request(&self) -> bool {
        !self.terminates || self.ends_stream()
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

/// A request id is a decimal number below 2⁵³ (XEP-0124 § 14). Prosody takes other spellings of a
/// number, too (Lua's `tonumber`), and would count on with what the gateway has not read.
fn request_id(text: &str) -> Result<u64, BoshBodyError> {
    let decimal = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 16;
    let number = text.parse().ok().filter(|_| decimal);
    number
        .filter(|rid| *rid <= MAX_REQUEST_ID)
        .ok_or(BoshBodyError::RequestId)
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

/// Attributes that decide what Prosody does with a request.
const DECIDING: &[&str] = &["sid", "rid", "to", "type", "condition"];

/// 2⁵³ − 1, the largest id of XEP-0124 § 14.
const MAX_REQUEST_ID: u64 = (1 << 53) - 1;

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
            "<body to='a' to='b'/>",
            "<body to='&#97;'/>",
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
    fn request_ids_are_decimal_numbers() {
        for rid in [
            "",
            "1.0",
            "0x3e9",
            " 1",
            "1 ",
            "1e3",
            "+1",
            "-1",
            "1_0",
            "\u{661}",
            "9007199254740992",
            "00000000000000001",
        ] {
            let body = format!("<body rid='{rid}' sid='a'/>");
            let parsed = StartTag::parse(body.as_bytes());
            assert_eq!(parsed, Err(BoshBodyError::RequestId), "{rid}");
        }
        for (rid, number) in [("0", 0), ("9007199254740991", MAX_REQUEST_ID), ("007", 7)] {
            let tag = StartTag::parse(format!("<body rid='{rid}'/>").as_bytes()).unwrap();
            assert_eq!(tag.rid(), Some(number));
        }
    }

    #[test]
    fn only_some_terminations_end_a_session() {
        for (attributes, over, taken) in [
            ("", false, true),
            ("type='terminate'", true, true),
            (
                "type='terminate' condition='remote-stream-error'",
                true,
                true,
            ),
            ("type='terminate' condition='item-not-found'", false, false),
            ("condition='bad-request' type='terminate'", false, false),
        ] {
            let tag = StartTag::parse(format!("<body {attributes}/>").as_bytes()).unwrap();
            assert_eq!(
                (tag.ends_stream(), tag.acknowledges_request()),
                (over, taken),
                "{attributes}"
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
