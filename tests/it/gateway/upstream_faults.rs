//! Upstreams that break HTTP: the client gets an error or a body that it sees as truncated, the connection
//! is not used again, and the next request gets none of its bytes.

mod pages;
mod signalling;
mod uploads;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::locations::{address, fields};
use crate::support::{
    browser::{Browser, Exchange},
    raw_upstream::{RawUpstream, Step},
    site::{ORIGIN, Site, SiteOptions},
};

/// Where the response of a client comes from.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The upstream, whole.
    Whole(u16, &'static str),
    /// The upstream: its head with status 200, and a body that breaks off.
    Truncated,
    /// The gateway.
    Error(u16),
}

/// An upstream's answer to a GET, and what follows from it.
struct Fault {
    name: &'static str,
    steps: Vec<Step>,
    outcome: Outcome,
    /// Whether the next request may use the same connection.
    reusable: bool,
    /// How often the upstream gets the request: a GET on a reused connection is sent once more, if the
    /// connection ended before a response.
    requests: usize,
}

fn write(bytes: &str) -> Step {
    Step::Write(bytes.as_bytes().to_vec())
}

fn fault(name: &'static str, steps: Vec<Step>, outcome: Outcome) -> Fault {
    Fault {
        name,
        steps,
        outcome,
        reusable: false,
        requests: 1,
    }
}

/// A whole response that belongs to no request.
const UNASKED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";

/// The framing of a response (RFC 9112 § 6.3) is wrong.
fn framing_faults() -> Vec<Fault> {
    use Outcome::{Error, Truncated, Whole};
    let with_bytes_behind = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{UNASKED}");
    let no_content = format!("HTTP/1.1 204 No Content\r\n\r\n{UNASKED}");
    let not_modified = format!("HTTP/1.1 304 Not Modified\r\n\r\n{UNASKED}");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
    let chunked_with_bytes_behind = format!("{chunked}\r\n2\r\nok\r\n0\r\n\r\n{UNASKED}");
    let both = format!("{chunked}Content-Length: 1\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    vec![
        Fault {
            reusable: true,
            ..fault(
                "control",
                vec![write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")],
                Whole(200, "ok"),
            )
        },
        fault(
            "bytes-behind-a-body",
            vec![write(&with_bytes_behind)],
            Whole(200, "ok"),
        ),
        fault(
            "bytes-behind-the-last-chunk",
            vec![write(&chunked_with_bytes_behind)],
            Whole(200, "ok"),
        ),
        fault("body-of-204", vec![write(&no_content)], Whole(204, "")),
        fault("body-of-304", vec![write(&not_modified)], Whole(304, "")),
        fault("length-and-chunks", vec![write(&both)], Error(502)),
        fault(
            "two-lengths",
            vec![write(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
            )],
            Error(502),
        ),
        fault(
            "negative-length",
            vec![write("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok")],
            Error(502),
        ),
        fault(
            "short-body",
            vec![
                write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"),
                Step::Gate,
                Step::Close,
            ],
            Truncated,
        ),
        fault(
            "reset-in-a-body",
            vec![
                write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"),
                Step::Gate,
                Step::Reset,
            ],
            Truncated,
        ),
        fault(
            "chunk-that-breaks-off",
            vec![
                write(&format!("{chunked}\r\n9\r\nok")),
                Step::Gate,
                Step::Close,
            ],
            Truncated,
        ),
        fault(
            "no-last-chunk",
            vec![
                write(&format!("{chunked}\r\n2\r\nok\r\n")),
                Step::Gate,
                Step::Close,
            ],
            Truncated,
        ),
        fault(
            "chunk-size-that-is-no-number",
            vec![
                write(&format!("{chunked}\r\n2\r\nok\r\n")),
                Step::Gate,
                write("zz\r\nok\r\n0\r\n\r\n"),
            ],
            Truncated,
        ),
    ]
}

/// The head of a response is wrong, or does not come.
fn head_faults() -> Vec<Fault> {
    use Outcome::{Error, Whole};
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1000));
    let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(200_000));
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let twice = |fault| Fault {
        requests: 2,
        ..fault
    };
    vec![
        fault("many-fields", vec![write(&many)], Error(502)),
        fault("large-field", vec![write(&large)], Error(502)),
        fault(
            "endless-head",
            vec![
                write("HTTP/1.1 200 OK\r\nX: "),
                Step::Repeat(vec![b'y'; 4096]),
            ],
            Error(502),
        ),
        Fault {
            reusable: true,
            ..fault(
                "a-thousand-hints",
                vec![write(&(hints.repeat(1000) + ok))],
                Whole(200, "ok"),
            )
        },
        Fault {
            reusable: true,
            ..fault(
                "a-thousand-100s",
                vec![write(&("HTTP/1.1 100 Continue\r\n\r\n".repeat(1000) + ok))],
                Whole(200, "ok"),
            )
        },
        fault(
            "endless-hints",
            vec![Step::Repeat(hints.into())],
            Error(504),
        ),
        fault("silence", vec![Step::Wait], Error(504)),
        fault(
            "garbage",
            vec![write("\u{1}\u{2}\u{3}\r\n\r\n")],
            Error(502),
        ),
        fault(
            "http-0.9",
            vec![write("<p>ok</p>\n"), Step::Close],
            Error(502),
        ),
        fault(
            "http-1.0",
            vec![write("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")],
            Whole(200, "ok"),
        ),
        fault(
            "unrequested-upgrade",
            vec![write(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbytes",
            )],
            Error(502),
        ),
        // On a reused connection, these may be its end by a timeout of the upstream.
        twice(fault("close-without-a-head", vec![Step::Close], Error(502))),
        twice(fault("reset-without-a-head", vec![Step::Reset], Error(502))),
        twice(fault(
            "half-a-head",
            vec![write("HTTP/1.1 200 OK\r\nX: "), Step::Close],
            Error(502),
        )),
    ]
}

/// A deployment whose web server, and the server of whose location `/notes/`, is the upstream. One worker,
/// as each has a pool of its own.
async fn site(upstream: &RawUpstream) -> Site {
    let url = upstream.url();
    let rules = format!(
        "[[room]]\nmatch = \"*\"\nenter = \"member\"\n\
        [upstream]\nweb = \"{url}\"\nweb_timeout = \"1s\"\n\
        [[location]]\npath = \"/notes/\"\nmethods = [\"GET\", \"POST\"]\nwho = \"anybody\"\n\
        websocket = true\n"
    );
    let options = SiteOptions::default().rules(&rules).listen("workers = 1");
    Site::with(options).await
}

/// GETs a path; at the head of the response, the gate of the upstream opens.
async fn ask(
    browser: &mut Browser,
    upstream: &RawUpstream,
    path: &str,
) -> Result<Exchange, hyper::Error> {
    let headers = fields(&[("origin", ORIGIN), ("sec-fetch-mode", "cors")]);
    let (url, body) = (address(path), Bytes::new());
    let is_gated = upstream.is_gated(path);
    let at_head = || {
        if is_gated {
            upstream.open_gate();
        }
    };
    browser
        .exchange_with(Method::GET, &url, headers, body, at_head)
        .await
}

/// The connection of a request that the upstream answers as it should.
async fn ask_honestly(browser: &mut Browser, upstream: &RawUpstream, path: &str) -> usize {
    let answer = ask(browser, upstream, path).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{path}");
    assert_eq!(answer.body.unwrap(), path.as_bytes(), "{path}");
    let connections = upstream.connections_of(path);
    assert_eq!(connections.len(), 1, "{path}");
    connections[0]
}

fn check(what: &str, outcome: Outcome, answer: Result<Exchange, hyper::Error>) {
    let answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
    let got = format!("{what}: {} {:?}", answer.status, answer.body);
    match outcome {
        Outcome::Whole(status, body) => {
            assert_eq!(answer.status.as_u16(), status, "{got}");
            assert_eq!(answer.body.expect(&got), body, "{got}");
        }
        Outcome::Truncated => {
            assert_eq!(answer.status, StatusCode::OK, "{got}");
            assert!(answer.body.is_err(), "{got}");
        }
        Outcome::Error(status) => {
            assert_eq!(answer.status.as_u16(), status, "{got}");
            assert!(answer.body.is_ok(), "{got}");
        }
    }
}

async fn check_faults(faults: &[Fault]) {
    let upstream = RawUpstream::start().await;
    let site = site(&upstream).await;
    let mut browser = site.browser();
    for directory in ["/libs", "/notes"] {
        for fault in faults {
            let what = format!("{directory}/{}", fault.name);
            upstream.script(&what, &fault.steps);
            let before = ask_honestly(&mut browser, &upstream, &format!("{what}/before")).await;
            let answer = ask(&mut browser, &upstream, &what).await;
            check(&what, fault.outcome, answer);
            let used = upstream.connections_of(&what);
            assert_eq!(used.len(), fault.requests, "{what}");
            assert_eq!(used[0], before, "{what}: the control of reuse");
            let after = ask_honestly(&mut browser, &upstream, &format!("{what}/after")).await;
            assert_eq!(used.contains(&after), fault.reusable, "{what}");
        }
    }
}

#[tokio::test]
async fn bytes_of_a_misframed_response_reach_no_other_request() {
    check_faults(&framing_faults()).await;
}

#[tokio::test]
async fn an_upstream_without_a_valid_head_gets_its_client_an_error() {
    check_faults(&head_faults()).await;
}
