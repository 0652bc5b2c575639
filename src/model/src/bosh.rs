//! BOSH bodies: who a request belongs to, read from the start tag of `<body/>` (XEP-0124).
//!
//! At Prosody a BOSH session's id is its only credential: who knows it is the person. So the
//! gateway never lets one out as it is. It adds a tag over id, gateway session and room, and takes
//! only ids back whose tag fits the one who sends them: any replica can tell, nothing is stored.

use bytes::{Bytes, BytesMut};

use crate::{clock::Timestamp, seal::Tagger};

/// The start tag of a `<body/>`, as far as the gateway needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartTag {
    sid: Option<Span>,
    rid: Option<u64>,
    terminates: bool,
}

/// Binds BOSH session ids to the gateway session and room that they were made for.
#[derive(Debug)]
pub struct BoshSessionIds(Tagger);

/// What a bound session id says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoshSessionId {
    /// The id as Prosody knows it.
    pub sid: String,
    /// When the session began.
    pub began: Timestamp,
    /// The shard on which it was made, if there were shards.
    pub shard: Option<String>,
}

/// Why a body is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoshBodyError {
    /// Not an XML document whose root is `body`, in UTF-8.
    #[error("the body is not a BOSH body")]
    NotBosh,
    /// An attribute that decides something is there twice or is written with entities, which
    /// different readers read differently.
    #[error("the BOSH body is ambiguous")]
    Ambiguous,
    /// The session id was not made for whoever sends it.
    #[error("the BOSH session belongs to somebody else or to another room")]
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

/// Reads attributes from the front of a text, keeping track of where it is.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

// === impl StartTag ===

impl StartTag {
    /// Reads the start tag of a BOSH body.
    pub fn parse(body: &[u8]) -> Result<Self, BoshBodyError> {
        // Only the tag has to be text for us; what follows is Prosody's to judge.
        let head = body
            .get(..body.len().min(MAX_TAG_BYTES))
            .unwrap_or_default();
        let end = head
            .iter()
            .position(|byte| *byte == b'<')
            .ok_or(BoshBodyError::NotBosh)?;
        let text = match std::str::from_utf8(head) {
            Ok(text) => text,
            Err(error) if error.valid_up_to() > end => {
                std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default())
                    .map_err(|_| BoshBodyError::NotBosh)?
            }
            Err(_) => return Err(BoshBodyError::NotBosh),
        };
        let mut reader = Reader { text, at: 0 };
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
            let again = match name {
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
            if again {
                return Err(BoshBodyError::Ambiguous);
            }
        }
        Ok(tag)
    }

    /// Whether this body asks for a new session.
    pub fn creates(&self) -> bool {
        self.sid.is_none()
    }

    /// The request id.
    pub fn rid(&self) -> Option<u64> {
        self.rid
    }

    /// Whether this body ends the session.
    pub fn terminates(&self) -> bool {
        self.terminates
    }
}

// === impl BoshSessionIds ===

impl BoshSessionIds {
    /// Binds ids with this tagger.
    pub fn new(tagger: Tagger) -> Self {
        Self(tagger)
    }

    /// Prosody's answer to a session's first request, with the id bound to `owner`, `room`, the time
    /// and the shard, if it has a name.
    ///
    /// An answer that is no BOSH body, or has no id, is given back as it is: it created nothing.
    pub fn bind(
        &self,
        answer: &Bytes,
        (owner, room): (&str, &str),
        now: Timestamp,
        shard: Option<&str>,
    ) -> Bytes {
        let Ok(StartTag {
            sid: Some(span), ..
        }) = StartTag::parse(answer)
        else {
            return answer.clone();
        };
        let Some(sid) = text_at(answer, span) else {
            return answer.clone();
        };
        let began = now.as_unix().to_string();
        let tag = match shard {
            Some(shard) => self.0.tag(&[sid, &began, owner, room, shard]),
            None => self.0.tag(&[sid, &began, owner, room]),
        };
        let shard = shard.map(|shard| format!("{SEPARATOR}{shard}"));
        let shard = shard.unwrap_or_default();
        replaced(
            answer,
            Span {
                start: span.end,
                end: span.end,
            },
            &format!("{shard}{SEPARATOR}{began}{SEPARATOR}{tag}"),
        )
    }

    /// A later request's body with the id as Prosody knows it, and what the id says.
    pub fn unbind(
        &self,
        tag: &StartTag,
        body: &Bytes,
        owner: &str,
        room: &str,
    ) -> Result<(Bytes, BoshSessionId), BoshBodyError> {
        let span = tag.sid.ok_or(BoshBodyError::Foreign)?;
        let bound = text_at(body, span).ok_or(BoshBodyError::Foreign)?;
        let (bound, proof) = bound.rsplit_once(SEPARATOR).ok_or(BoshBodyError::Foreign)?;
        let (sid, began) = bound.rsplit_once(SEPARATOR).ok_or(BoshBodyError::Foreign)?;
        let (sid, shard) = if self.0.verify(&[sid, began, owner, room], proof) {
            (sid, None)
        } else {
            let (sid, shard) = sid.rsplit_once(SEPARATOR).ok_or(BoshBodyError::Foreign)?;
            if !self.0.verify(&[sid, began, owner, room, shard], proof) {
                return Err(BoshBodyError::Foreign);
            }
            (sid, Some(shard.to_owned()))
        };
        let seconds = began.parse().map_err(|_| BoshBodyError::Foreign)?;
        let known = BoshSessionId {
            sid: sid.to_owned(),
            began: Timestamp::from_unix(seconds),
            shard,
        };
        let cut = Span {
            start: span.start + sid.len(),
            end: span.end,
        };
        Ok((replaced(body, cut, ""), known))
    }
}

// === impl Reader ===

impl<'t> Reader<'t> {
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
        self.rest()
            .strip_prefix(expected)
            .ok_or(BoshBodyError::NotBosh)?;
        self.at += expected.len();
        Ok(())
    }

    /// `<?xml …?>`: only in the one encoding that XMPP has.
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

    /// The next attribute's name and where its value is; `None` at the end of the tag.
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
            .filter(|c| matches!(c, '"' | '\''));
        let quote = quote.ok_or(BoshBodyError::NotBosh)?;
        self.at += 1;
        let start = self.at;
        let length = self.rest().find(quote).ok_or(BoshBodyError::NotBosh)?;
        if self
            .rest()
            .get(..length)
            .is_some_and(|value| value.contains('<'))
        {
            return Err(BoshBodyError::NotBosh);
        }
        self.at += length + 1;
        Ok(Some((
            name,
            Span {
                start,
                end: start + length,
            },
        )))
    }
}

/// The answer that ends a BOSH session at the client, in the form that clients read (XEP-0124
/// § 17).
pub fn terminate(condition: &str) -> Bytes {
    format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' condition='{condition}'/>"
    )
    .into()
}

/// The request that ends a session at Prosody on behalf of a client that is not asked.
pub fn terminate_request(sid: &str, rid: u64) -> Bytes {
    format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' rid='{rid}' sid='{sid}'/>"
    )
    .into()
}

fn text_at(bytes: &Bytes, span: Span) -> Option<&str> {
    std::str::from_utf8(bytes.get(span.start..span.end)?).ok()
}

fn replaced(bytes: &Bytes, span: Span, text: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes.len() + text.len());
    out.extend_from_slice(bytes.get(..span.start).unwrap_or_default());
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(bytes.get(span.end..).unwrap_or_default());
    out.freeze()
}

/// White space of XML (XML 1.0 § 2.3).
const WHITE: &[char] = &[' ', '\t', '\r', '\n'];

/// Not in Prosody's ids, which are UUIDs.
const SEPARATOR: char = '.';

/// Start tags are some hundred bytes long.
const MAX_TAG_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1000);
    use crate::seal::{Keyring, Purpose};

    fn ids() -> BoshSessionIds {
        BoshSessionIds::new(Keyring::single([9; 32]).tagger(Purpose::BoshSession))
    }

    const CREATED: &str = "<body xmlns='http://jabber.org/protocol/httpbind' wait='60' \
        sid='7d3f-1' authid='7d3f-1'><stream:features/></body>";

    #[test]
    fn start_tags() {
        let create = StartTag::parse(b"<body rid='17' to='meet.jitsi' xml:lang='en'/>").unwrap();
        assert!(create.creates() && create.rid() == Some(17) && !create.terminates());
        let end = StartTag::parse(
            b" <?xml version='1.0' encoding='UTF-8'?>\n<body sid=\"x\" type = 'terminate' rid='1'>",
        )
        .unwrap();
        assert!(!end.creates() && end.terminates());
        // Only the tag has to be readable; a message may be cut anywhere.
        let mut long = b"<body rid='1' sid='a'><message>".to_vec();
        long.extend(vec![0xff; 10]);
        assert!(!StartTag::parse(&long).unwrap().creates());
    }

    #[test]
    fn ambiguous_bodies_are_refused() {
        let ambiguous = [
            "<body sid='a' sid='b'/>",
            "<body sid='&#97;'/>",
            "<body rid='1' rid='2'/>",
            "<body type='terminate' type='x'/>",
        ];
        for body in ambiguous {
            assert_eq!(
                StartTag::parse(body.as_bytes()),
                Err(BoshBodyError::Ambiguous),
                "{body}"
            );
        }
        let not = [
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
        ];
        for body in not {
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

    #[test]
    fn an_id_works_only_for_whom_and_where_it_was_made() {
        let bound = ids().bind(
            &Bytes::from_static(CREATED.as_bytes()),
            ("session-1", "room-a"),
            NOW,
            None,
        );
        let bound = std::str::from_utf8(&bound).unwrap();
        let sid = bound
            .split("sid='")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap();
        assert!(sid.starts_with("7d3f-1.") && sid.len() > 20);
        assert!(bound.ends_with("authid='7d3f-1'><stream:features/></body>"));

        let body = Bytes::from(format!("<body rid='2' sid='{sid}'><iq id='é'/></body>"));
        let tag = StartTag::parse(&body).unwrap();
        let (plain, own) = ids().unbind(&tag, &body, "session-1", "room-a").unwrap();
        assert_eq!(plain, "<body rid='2' sid='7d3f-1'><iq id='é'/></body>");
        assert_eq!((own.sid.as_str(), own.began), ("7d3f-1", NOW));
        // Nobody makes a visit longer by saying that it began later.
        let later = sid.replace(".1000.", ".2000.");
        assert_ne!(later, sid);
        let later = Bytes::from(format!("<body rid='2' sid='{later}'/>"));
        let tag_of_later = StartTag::parse(&later).unwrap();
        assert_eq!(
            ids().unbind(&tag_of_later, &later, "session-1", "room-a"),
            Err(BoshBodyError::Foreign)
        );
        for (owner, room) in [
            ("session-2", "room-a"),
            ("session-1", "room-b"),
            ("", "room-a"),
        ] {
            assert_eq!(
                ids().unbind(&tag, &body, owner, room),
                Err(BoshBodyError::Foreign)
            );
        }
        let raw = Bytes::from_static(b"<body rid='2' sid='7d3f-1'/>");
        let tag = StartTag::parse(&raw).unwrap();
        assert_eq!(
            ids().unbind(&tag, &raw, "session-1", "room-a"),
            Err(BoshBodyError::Foreign)
        );
    }

    #[test]
    fn an_id_says_on_which_shard_it_was_made_and_nobody_changes_that() {
        let created = Bytes::from_static(CREATED.as_bytes());
        let bound = ids().bind(&created, ("session-1", "room-a"), NOW, Some("s1"));
        let text = std::str::from_utf8(&bound).unwrap();
        assert!(text.contains("sid='7d3f-1.s1.1000."), "{text}");
        let unbind = |text: &str| {
            let body = Bytes::from(text.to_owned());
            let tag = StartTag::parse(&body).unwrap();
            ids().unbind(&tag, &body, "session-1", "room-a")
        };
        let (plain, own) = unbind(text).unwrap();
        assert_eq!(plain, created);
        assert_eq!((&*own.sid, own.shard.as_deref()), ("7d3f-1", Some("s1")));
        for (what, forged) in [
            (".s1.", ".s2."),
            (".s1.", "."),
            ("-1.s1.", "-1-s1."),
            ("7d3f", "7d3e"),
        ] {
            assert_eq!(
                unbind(&text.replace(what, forged)),
                Err(BoshBodyError::Foreign),
                "{forged}"
            );
        }
    }

    #[test]
    fn answers_without_an_id_are_left_alone() {
        for answer in ["<body type='terminate' condition='x'/>", "not xml", ""] {
            assert_eq!(
                ids().bind(&Bytes::from(answer), ("s", "r"), NOW, None),
                answer
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(body: Vec<u8>) {
            let _ = StartTag::parse(&body);
        }

        #[test]
        fn near_misses_do_not_panic_either(tail in "[ a-z='\"<>/&?!é-]{0,40}") {
            let _ = StartTag::parse(format!("<body{tail}").as_bytes());
        }
    }
}
