//! The language of `cases.txt`.

use crate::support::{
    corpus::{repeated, unescape},
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE,
        RST_STREAM, SETTINGS, WINDOW_UPDATE, field_block,
    },
};

/// A case: the frames that the client sends, and the required reactions of the server.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) sent: String,
    pub(super) verdict: Verdict,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    Send(Frame),
    Raw(Vec<u8>),
    Await(Awaited),
}

#[derive(Debug)]
pub(super) enum Awaited {
    /// The acknowledgement of SETTINGS.
    Ack,
    Data,
    /// The end of the answer.
    End,
}

/// What has to follow; the end of the connection is as good as its error, and both as that of a stream.
#[derive(Debug)]
pub(super) enum Verdict {
    /// SETTINGS of the server.
    Settings,
    Ack,
    Pong {
        or_close: bool,
    },
    Headers,
    /// DATA, of this length.
    Data(Option<usize>),
    Connection(Vec<u32>),
    Stream(Vec<u32>),
    Goaway(u32),
    Reset(u32),
    Close,
}

// === impl Awaited ===

impl Awaited {
    pub(super) fn is(&self, frame: &Frame) -> bool {
        match self {
            Self::Ack => frame.kind == SETTINGS && frame.flags & ACK != 0,
            Self::Data => frame.kind == DATA,
            Self::End => matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0,
        }
    }
}

// === impl Verdict ===

impl Verdict {
    pub(super) fn is_met_by(&self, frame: &Frame) -> bool {
        match self {
            Self::Settings => frame.kind == SETTINGS && frame.flags & ACK == 0,
            Self::Ack => Awaited::Ack.is(frame),
            Self::Pong { .. } => {
                frame.kind == PING && frame.flags & ACK != 0 && frame.payload == b"12345678"
            }
            Self::Headers => frame.kind == HEADERS && frame.stream == 1,
            Self::Data(_) => frame.kind == DATA,
            Self::Connection(codes) => frame.kind == GOAWAY && codes.contains(&frame.code()),
            Self::Stream(codes) => {
                matches!(frame.kind, GOAWAY | RST_STREAM) && codes.contains(&frame.code())
            }
            Self::Goaway(code) => frame.kind == GOAWAY && frame.code() == *code,
            Self::Reset(code) => frame.kind == RST_STREAM && frame.code() == *code,
            Self::Close => false,
        }
    }

    /// Whether the end of the connection will do.
    pub(super) fn is_met_by_the_end(&self) -> bool {
        matches!(
            self,
            Self::Connection(_) | Self::Stream(_) | Self::Close | Self::Pong { or_close: true }
        )
    }

    fn parse(text: &str) -> Self {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let codes = || rest.split(' ').map(code).collect();
        match word {
            "settings" => Self::Settings,
            "ack" => Self::Ack,
            "pong" => Self::Pong {
                or_close: rest == "or close",
            },
            "headers" => Self::Headers,
            "data" => Self::Data(rest.parse().ok()),
            "connection" => Self::Connection(codes()),
            "stream" => Self::Stream(codes()),
            "goaway" => Self::Goaway(code(rest)),
            "reset" => Self::Reset(code(rest)),
            "close" => Self::Close,
            other => panic!("{other}"),
        }
    }
}

pub(super) fn parse(text: &str) -> Vec<Case> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &str| {
        let mut parts = line.splitn(4, " | ").map(str::to_owned);
        let (id, sent) = (parts.next().unwrap(), parts.next().unwrap());
        let verdict = Verdict::parse(&parts.next().unwrap());
        let steps = parts.next().unwrap();
        let steps = steps.split(" ; ").flat_map(steps_of).collect();
        Case {
            id,
            sent,
            verdict,
            steps,
        }
    };
    lines.map(case).collect()
}

fn steps_of(text: &str) -> Vec<Step> {
    let (word, rest) = text.split_once(' ').unwrap();
    match word {
        "raw" => vec![Step::Raw(content(rest))],
        "await" => vec![Step::Await(match rest {
            "ack" => Awaited::Ack,
            "data" => Awaited::Data,
            "end" => Awaited::End,
            other => panic!("{other}"),
        })],
        "streams" => {
            let streams = 0..rest.parse::<u32>().unwrap();
            let flags = END_STREAM | END_HEADERS;
            let frame = |number| Frame::new(HEADERS, flags, 2 * number + 1, content("{get}"));
            streams.map(|number| Step::Send(frame(number))).collect()
        }
        kind => {
            let mut parts = rest.splitn(3, ' ');
            let flags = parts.next().unwrap();
            let stream = parts.next().unwrap().parse().unwrap();
            let payload = content(parts.next().unwrap());
            let flags = flags.chars().map(flag).sum();
            vec![Step::Send(Frame::new(
                kind_of(kind),
                flags,
                stream,
                payload,
            ))]
        }
    }
}

/// The bytes of a content: escapes, and what stands in braces.
fn content(text: &str) -> Vec<u8> {
    let text = repeated(text);
    let mut rest = &*text;
    let mut bytes = Vec::new();
    while let Some((before, after)) = rest.split_once('{') {
        bytes.extend(unescape(before));
        let (inside, after) = after.split_once('}').unwrap();
        let mut part = macro_of(inside);
        rest = after;
        if let Some(range) = rest.strip_prefix('[') {
            let (range, after) = range.split_once(']').unwrap();
            let (from, to) = range.split_once("..").unwrap();
            let to = to.parse().unwrap_or(part.len());
            part = part[from.parse().unwrap_or(0)..to].to_vec();
            rest = after;
        }
        bytes.extend(part);
    }
    bytes.extend(unescape(rest));
    bytes
}

fn macro_of(text: &str) -> Vec<u8> {
    let mut words = text.split(' ');
    let name = words.next().unwrap();
    let fields = |method: &str, path: &str| {
        let pairs = [
            (":method", method),
            (":scheme", "https"),
            (":path", path),
            (":authority", "meet.example.org"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let mut fields: Vec<_> = match name {
        "preface" => return PREFACE.to_vec(),
        // No dependency, weight 256.
        "prio" => return vec![0, 0, 0, 0, 255],
        "u32" => {
            let number: u32 = words.next().unwrap().parse().unwrap();
            return number.to_be_bytes().to_vec();
        }
        "window" => {
            let size: u32 = words.next().unwrap().parse().unwrap();
            return [&[0, 4][..], &size.to_be_bytes()].concat();
        }
        "get" => fields("GET", super::PATH).into(),
        "post" => fields("POST", "/x").into(),
        // The gateway waits for the body.
        "hold" => {
            let mut fields = fields("POST", "/_gateway/backchannel-logout").to_vec();
            let kind = "application/x-www-form-urlencoded";
            fields.push(("content-type".to_owned(), kind.to_owned()));
            fields
        }
        "none" => Vec::new(),
        other => panic!("{other}"),
    };
    for word in words {
        if let Some(name) = word.strip_prefix('-') {
            fields.retain(|(found, _)| found != name);
            continue;
        }
        let (name, value) = word.rsplit_once('=').unwrap();
        let value = value.to_owned();
        if let Some(name) = name.strip_prefix('~') {
            let field = fields.iter_mut().find(|(found, _)| found == name);
            field.unwrap().1 = value;
        } else if let Some(name) = name.strip_prefix('^') {
            fields.insert(0, (name.to_owned(), value));
        } else {
            fields.push((name.to_owned(), value));
        }
    }
    let fields = fields.iter();
    field_block(fields.map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn kind_of(name: &str) -> u8 {
    match name {
        "DATA" => DATA,
        "HEADERS" => HEADERS,
        "PRIORITY" => 2,
        "RST_STREAM" => RST_STREAM,
        "SETTINGS" => SETTINGS,
        "PING" => PING,
        "GOAWAY" => GOAWAY,
        "WINDOW_UPDATE" => WINDOW_UPDATE,
        "CONTINUATION" => CONTINUATION,
        number => number.parse().unwrap(),
    }
}

fn flag(letter: char) -> u8 {
    match letter {
        'e' => END_STREAM,
        'h' => END_HEADERS,
        'p' => 8,
        'r' => 0x20,
        '-' => 0,
        other => panic!("{other}"),
    }
}

/// RFC 9113 section 7.
fn code(name: &str) -> u32 {
    match name {
        "PROTOCOL" => 1,
        "FLOW_CONTROL" => 3,
        "STREAM_CLOSED" => 5,
        "FRAME_SIZE" => 6,
        "REFUSED_STREAM" => 7,
        "COMPRESSION" => 9,
        other => panic!("{other}"),
    }
}
