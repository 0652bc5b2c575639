//! The language of the tables: `id | kind | exchange | exchange …`, one case a line.
//!
//! | kind | meaning |
//! |---|---|
//! | `required` | a requirement |
//! | `optimal` | permitted, and what the best cache does |
//! | `check yes`, `check no` | a question without a right answer, and that of this cache |
//! | … `!reason` | this cache stores or reuses less than the case expects |
//! | … `~reason` | this cache does something else than the case expects |
//!
//! An exchange is a list of these, separated by ` ; `:
//!
//! | text | meaning |
//! |---|---|
//! | `> name: value`, `> HEAD`, `> ?query` | a field, the method and the query of the request |
//! | `name: value`, `503`, `body text`, `abort`, `delay 5` | the response of the web server |
//! | `pause` | three seconds follow |
//! | `reused`, `fetched`, `validated etag`, `validated date` | what the cache does; with `?`, a presupposition |
//! | `= 304`, `= name: value`, `= name`, `= -name`, `= age > 2`, `= body text` | what the client gets |
//! | `^ name: value`, `^ HEAD` | what the web server gets |
//!
//! A number with a sign in the field of a date counts seconds from the time of the exchange (of the first one in
//! requests and answers). `{…}` is one of [`FRAGMENTS`]; `each a b: line` stands for the line with `a` and with `b`
//! in place of `{}`.

use http::{Method, StatusCode};

/// A case of the suite.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) departure: Option<Departure>,
    pub(super) exchanges: Vec<Exchange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Required,
    Optimal,
    /// The answer of this cache.
    Check(bool),
    LeftOut,
}

/// How and why this cache departs from what a case expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    Stricter(String),
    Different(String),
}

/// One request of a case: its fields, the response that the web server has for it, and the expected outcome.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) method: Method,
    pub(super) query: Option<String>,
    pub(super) sent: Vec<Field>,
    pub(super) response: ScriptedResponse,
    pub(super) pauses: bool,
    pub(super) expected: Option<Expectation>,
    pub(super) answer: Vec<Check>,
    pub(super) received: Vec<Check>,
}

#[derive(Debug, Default)]
pub(super) struct ScriptedResponse {
    pub(super) status: StatusCode,
    pub(super) fields: Vec<Field>,
    pub(super) body: Option<String>,
    pub(super) aborts: bool,
    /// Seconds.
    pub(super) delay: u64,
}

/// A field; its value may be relative to a time.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Expectation {
    pub(super) outcome: Outcome,
    /// The case is about something else, which shows only with this outcome.
    pub(super) presupposed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A stored response, without a request to the web server or in place of its error.
    Reused,
    Fetched,
    /// A stored response that the web server confirmed, by this field of the request.
    Validated(&'static str),
}

/// What is expected of an answer, or of the request that the web server received.
#[derive(Debug)]
pub(super) enum Check {
    Status(u16),
    Method(Method),
    Body(String),
    Equals(Field),
    Present(String),
    Absent(String),
    Above(String, u64),
}

/// The cases of a table.
pub(super) fn parse(text: &str) -> Vec<Case> {
    let lines = text.lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(repeated).flat_map(|it| cases(&it)).collect()
}

/// The lines for which an `each` stands.
fn repeated(line: &str) -> Vec<String> {
    let Some((words, pattern)) = line
        .strip_prefix("each ")
        .and_then(|rest| rest.split_once(": "))
    else {
        return vec![line.to_owned()];
    };
    let lines = words.split(' ').map(|word| pattern.replace("{}", word));
    lines.collect()
}

fn cases(line: &str) -> Vec<Case> {
    let mut line = line.to_owned();
    for (name, meaning) in FRAGMENTS {
        line = line.replace(name, meaning);
    }
    let mut columns = line.split(" | ");
    let first = columns.next().unwrap();
    let second = columns.next().unwrap();
    if let Some(reason) = first.strip_prefix("left out, ") {
        let ids = second.split(' ').map(|id| Case {
            id: id.to_owned(),
            kind: Kind::LeftOut,
            departure: Some(Departure::Different(reason.to_owned())),
            exchanges: Vec::new(),
        });
        return ids.collect();
    }
    let (kind, departure) = kind_of(second);
    vec![Case {
        id: first.to_owned(),
        kind,
        departure,
        exchanges: columns.map(exchange).collect(),
    }]
}

fn kind_of(text: &str) -> (Kind, Option<Departure>) {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let departure = match rest.split_at_checked(1) {
        Some(("!", reason)) => Some(Departure::Stricter(reason.to_owned())),
        Some(("~", reason)) => Some(Departure::Different(reason.to_owned())),
        _ => None,
    };
    let kind = match (kind, rest) {
        ("required", _) => Kind::Required,
        ("optimal", _) => Kind::Optimal,
        ("check", "yes") => Kind::Check(true),
        ("check", "no") => Kind::Check(false),
        _ => panic!("{text}"),
    };
    (kind, departure)
}

fn exchange(text: &str) -> Exchange {
    let mut exchange = Exchange::default();
    for item in text.split(" ; ") {
        let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
        match word {
            ">" => match rest.strip_prefix('?') {
                Some(query) => exchange.query = Some(query.to_owned()),
                None if rest.contains(':') => exchange.sent.push(field(rest)),
                None => exchange.method = rest.parse().unwrap(),
            },
            "=" => exchange.answer.push(check(rest)),
            "^" => exchange.received.push(check(rest)),
            "body" => exchange.response.body = Some(rest.to_owned()),
            "abort" => exchange.response.aborts = true,
            "delay" => exchange.response.delay = rest.parse().unwrap(),
            "pause" => exchange.pauses = true,
            _ => match (item.parse(), expectation(item)) {
                (Ok(status), _) => exchange.response.status = status,
                (_, Some(expected)) => exchange.expected = Some(expected),
                _ => exchange.response.fields.push(field(item)),
            },
        }
    }
    exchange
}

fn expectation(item: &str) -> Option<Expectation> {
    let outcome = match item.trim_end_matches('?') {
        "reused" => Outcome::Reused,
        "fetched" => Outcome::Fetched,
        "validated etag" => Outcome::Validated("if-none-match"),
        "validated date" => Outcome::Validated("if-modified-since"),
        _ => return None,
    };
    Some(Expectation {
        outcome,
        presupposed: item.ends_with('?'),
    })
}

fn check(text: &str) -> Check {
    if let Some(body) = text.strip_prefix("body ") {
        Check::Body(body.to_owned())
    } else if let Some((name, least)) = text.split_once(" > ") {
        Check::Above(name.to_owned(), least.parse().unwrap())
    } else if text.contains(':') {
        Check::Equals(field(text))
    } else if let Some(name) = text.strip_prefix('-') {
        Check::Absent(name.to_ascii_lowercase())
    } else if let Ok(status) = text.parse() {
        Check::Status(status)
    } else if text == "HEAD" {
        Check::Method(Method::HEAD)
    } else {
        Check::Present(text.to_owned())
    }
}

fn field(text: &str) -> Field {
    let (name, value) = text.split_once(':').unwrap_or_else(|| panic!("{text}"));
    Field {
        name: name.trim().to_ascii_lowercase(),
        value: value.trim().to_owned(),
    }
}

/// Responses that many cases share.
const FRAGMENTS: [(&str, &str); 8] = [
    ("{hour}", "cache-control: max-age=3600"),
    (
        "{fresh}",
        "cache-control: max-age=100000 ; date: +0 ; pause",
    ),
    (
        "{stale}",
        "expires: -5000 ; last-modified: -100000 ; date: +0 ; pause",
    ),
    (
        "{short}",
        "cache-control: max-age=2 ; date: +0 ; template-a: 1 ; pause",
    ),
    ("{day-old}", "last-modified: -86400 ; date: +0"),
    (
        "{varied}",
        "cache-control: max-age=5000 ; last-modified: -3000 ; date: +0",
    ),
    (
        "{tagged}",
        "cache-control: max-age=2 ; date: +0 ; etag: \"1\"",
    ),
    (
        "{part}",
        "206 ; cache-control: max-age=3600 ; body 01234 ; content-range: bytes",
    ),
];
