//! Reads the files of `tests/corpus`: a class of published attacks, and the requests it stands for.
//!
//! `tests/corpus/README.md` describes the format.

use std::{collections::BTreeMap, fs, path::Path};

/// A class of attacks.
#[derive(Debug)]
pub(crate) struct AttackClass {
    /// The name of the file, for messages.
    pub(crate) file: String,
    pub(crate) number: u16,
    pub(crate) over: Vec<Channel>,
    pub(crate) signed_in: bool,
    /// The client ends its side as soon as it has sent everything.
    pub(crate) ends: bool,
    /// Several answers are right.
    pub(crate) any_number: bool,
    pub(crate) expect: Expected,
    pub(crate) forwarded: Forwarded,
    pub(crate) never_answered: Vec<String>,
    pub(crate) never_forwarded: Vec<String>,
    variables: Vec<(String, Vec<String>)>,
    template: String,
}

/// How a request reaches the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// HTTP/1.1 over TLS, from an address that is not trusted.
    Tls,
    /// HTTP/1.1 from a trusted proxy.
    Proxy,
    /// HTTP/2 over TLS; the request is a list of fields and a body.
    Http2,
}

/// The answers that are right.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// From and to, both included.
    statuses: Vec<(u16, u16)>,
    /// No answer, and the end of the connection.
    closed: bool,
    /// The end of the stream or of the connection, in HTTP/2.
    reset: bool,
    /// The gateway ends the connection behind its answer.
    pub(crate) closes: bool,
}

/// How many requests the upstreams together may receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarded {
    Nothing,
    AtMostOne,
    One,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Status(u16),
    Closed,
    Reset,
    /// Neither an answer nor an end in time.
    Silence,
}

/// A name and a value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// One request of a class: the text of the template, with its variables replaced.
#[derive(Debug)]
pub(crate) struct Hostile {
    pub(crate) name: String,
    text: String,
}

// === impl AttackClass ===

impl AttackClass {
    /// Reads all files of a directory, by name.
    pub(crate) fn read_all(directory: &Path) -> Vec<Self> {
        let mut files: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
            .filter(|path| !path.ends_with(LEFT_OUT))
            .collect();
        files.sort();
        let read = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            Self::parse(name, &fs::read_to_string(path).unwrap())
        };
        files.iter().map(read).collect()
    }

    fn parse(file: &str, text: &str) -> Self {
        let (head, template) = text
            .split_once("\n\n")
            .unwrap_or_else(|| panic!("{file}: no empty line"));
        let mut class = Self {
            file: file.to_owned(),
            number: 0,
            // A handshake costs more than a request.
            over: vec![Channel::Tls, Channel::Proxy, Channel::Proxy],
            signed_in: false,
            ends: false,
            any_number: false,
            expect: Expected::default(),
            forwarded: Forwarded::AtMostOne,
            never_answered: Vec::new(),
            never_forwarded: Vec::new(),
            variables: Vec::new(),
            template: template.strip_suffix('\n').unwrap_or(template).to_owned(),
        };
        for line in head.lines().filter(|line| !line.starts_with('#')) {
            let (key, value) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("{file}: {line}"));
            let value = value.trim();
            match key {
                "class" => {
                    let (number, _title) = value.split_once(' ').unwrap();
                    class.number = number.parse().unwrap();
                }
                "advisories" => assert!(!value.is_empty(), "{file}"),
                "over" => class.over = value.split(", ").map(|word| channel(file, word)).collect(),
                "signed in" => class.signed_in = value == "yes",
                "ends" => class.ends = value == "yes",
                "answers" => class.any_number = value == "any",
                "expect" => class.expect = Expected::parse(file, value),
                "forwarded" => class.forwarded = forwarded(file, value),
                "never answered" => class.never_answered.push(value.to_lowercase()),
                "never forwarded" => class.never_forwarded.push(value.to_lowercase()),
                "where" => {
                    let (name, values) = value
                        .split_once(" = ")
                        .unwrap_or_else(|| panic!("{file}: {line}"));
                    let values = values.split(" | ").map(|it| it.trim().to_owned());
                    class.variables.push((name.to_owned(), values.collect()));
                }
                "or" => {
                    let (_, values) = class.variables.last_mut().unwrap();
                    values.extend(value.split(" | ").map(|it| it.trim().to_owned()));
                }
                other => panic!("{file}: unknown key {other}"),
            }
        }
        assert!(class.number > 0, "{file}: no class");
        class
    }

    /// The requests: one for each combination of the variables.
    pub(crate) fn requests(&self, given: &BTreeMap<&str, String>) -> Vec<Hostile> {
        let mut texts = vec![(self.file.clone(), self.template.clone())];
        for (name, values) in &self.variables {
            let slot = format!("{{{name}}}");
            let mut longer = Vec::new();
            for (label, text) in &texts {
                for value in values {
                    let shown: String = value.chars().take(60).collect();
                    let label = format!("{label} {name}={shown}");
                    longer.push((label, text.replace(&slot, value)));
                }
            }
            texts = longer;
        }
        let expand = |(name, mut text): (String, String)| {
            for (name, value) in given {
                text = text.replace(&format!("{{{name}}}"), value);
            }
            Hostile {
                name,
                text: repeated(&text),
            }
        };
        texts.into_iter().map(expand).collect()
    }
}

// === impl Expected ===

impl Expected {
    fn parse(file: &str, text: &str) -> Self {
        let mut expected = Self::default();
        for word in text.split(' ') {
            match word {
                "closed" => expected.closed = true,
                "reset" => expected.reset = true,
                "closes" => expected.closes = true,
                "refused" => {
                    expected.statuses.push((400, 499));
                    (expected.closed, expected.reset) = (true, true);
                }
                // Anything but a fault of the gateway.
                "harmless" => {
                    expected.statuses.push((101, 499));
                    (expected.closed, expected.reset) = (true, true);
                }
                range if range.ends_with("xx") => {
                    let first = range[..1].parse::<u16>().unwrap() * 100;
                    expected.statuses.push((first, first + 99));
                }
                status => {
                    let status = status
                        .parse()
                        .unwrap_or_else(|_| panic!("{file}: {status}"));
                    expected.statuses.push((status, status));
                }
            }
        }
        expected
    }

    pub(crate) fn permits(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Status(status) => self
                .statuses
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&status)),
            Outcome::Closed => self.closed || self.reset,
            Outcome::Reset => self.reset,
            Outcome::Silence => false,
        }
    }
}

// === impl Hostile ===

impl Hostile {
    /// The bytes of a request of HTTP/1.1.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let lines: Vec<_> = self.text.split('\n').collect();
        let mut bytes = Vec::new();
        let mut open = false;
        for line in &lines {
            let (line, ends) = match line.strip_suffix("\\c") {
                Some(line) => (line, false),
                None => (*line, true),
            };
            bytes.extend(unescape(line));
            if ends {
                bytes.extend(b"\r\n");
            }
            open = ends;
        }
        // A request without a body ends with its head.
        if open && !lines.contains(&"") {
            bytes.extend(b"\r\n");
        }
        bytes
    }

    /// The fields of a request of HTTP/2, and its body.
    pub(crate) fn fields(&self) -> (Vec<Field>, Option<Vec<u8>>) {
        let (head, body) = match self.text.split_once("\n\n") {
            Some((head, body)) => (head, Some(unescape(body))),
            None => (&*self.text, None),
        };
        let fields = head.lines().map(|line| {
            let (name, value) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("{}: {line}", self.name));
            (unescape(name), unescape(value))
        });
        (fields.collect(), body)
    }
}

fn channel(file: &str, word: &str) -> Channel {
    match word {
        "tls" => Channel::Tls,
        "proxy" => Channel::Proxy,
        "http2" => Channel::Http2,
        other => panic!("{file}: {other}"),
    }
}

fn forwarded(file: &str, word: &str) -> Forwarded {
    match word {
        "nothing" => Forwarded::Nothing,
        "at most one" => Forwarded::AtMostOne,
        "one" => Forwarded::One,
        other => panic!("{file}: {other}"),
    }
}

/// Replaces `{repeat 3 ab}` by `ababab`.
pub(crate) fn repeated(text: &str) -> String {
    let mut rest = text;
    let mut whole = String::new();
    while let Some((before, after)) = rest.split_once("{repeat ") {
        let (inside, after) = after.split_once('}').unwrap();
        let (count, part) = inside.split_once(' ').unwrap();
        whole += before;
        whole += &part.repeat(count.parse().unwrap());
        rest = after;
    }
    whole + rest
}

/// Replaces `\r`, `\n`, `\t`, `\s` (a blank), `\e` (nothing), `\xNN` and `\\`.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next().unwrap() {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b's' => bytes.push(b' '),
            b'e' => {}
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
            }
            other => panic!("\\{} in {text}", char::from(other)),
        }
    }
    bytes
}

/// The file that names the classes without a file.
pub(crate) const LEFT_OUT: &str = "left-out.txt";
