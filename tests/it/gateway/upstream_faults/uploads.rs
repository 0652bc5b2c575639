//! Requests with a body, and what an upstream writes when it was not asked.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{Outcome, UNASKED, ask, ask_honestly, check, site, write};
use crate::{
    gateway::locations::{address, fields},
    support::{
        browser::{Browser, Exchange},
        raw_upstream::{RawUpstream, Step},
        site::ORIGIN,
    },
};

async fn post(browser: &mut Browser, path: &str) -> Result<Exchange, hyper::Error> {
    let headers = fields(&[("origin", ORIGIN), ("sec-fetch-mode", "cors")]);
    let body = Bytes::from_static(b"body");
    browser
        .exchange(Method::POST, &address(path), headers, body)
        .await
}

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_reaches_the_client() {
    let upstream = RawUpstream::start().await;
    let site = site(&upstream).await;
    let mut browser = site.browser();
    for (name, status, close) in [
        ("200-kept", "200 OK", false),
        ("200-closed", "200 OK", true),
        ("413-kept", "413 Content Too Large", false),
        ("413-closed", "413 Content Too Large", true),
    ] {
        let path = format!("/notes/{name}");
        let field = if close { "Connection: close\r\n" } else { "" };
        let answer = format!("HTTP/1.1 {status}\r\n{field}Content-Length: 5\r\n\r\nearly");
        let last = if close { Step::Close } else { Step::Wait };
        upstream.script(&path, &[write(&answer), last]);
        let before = ask_honestly(&mut browser, &upstream, &format!("{path}/before")).await;
        let mut upload = browser.open_upload(&path, 100_000).await;
        upload.write_all(b"the beginning").await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"early") {
            let reading = timeout(PATIENCE, upload.read_buf(&mut received));
            let read = reading.await.expect("an answer in time").unwrap();
            assert!(read > 0, "{path}: {}", received.escape_ascii());
        }
        let start = format!("HTTP/1.1 {status}\r\n");
        let text = String::from_utf8(received).unwrap();
        assert!(text.starts_with(&start), "{path}: {text}");
        // The upstream waits for the rest of the body there.
        let used = upstream.connections_of(&path);
        assert_eq!(used, [before], "{path}");
        let after = ask_honestly(&mut browser, &upstream, &format!("{path}/after")).await;
        assert_ne!(after, before, "{path}");
    }
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let upstream = RawUpstream::start().await;
    let site = site(&upstream).await;
    let mut browser = site.browser();
    for (name, last) in [
        ("closed", Step::Close),
        ("reset", Step::Reset),
        ("half", Step::Close),
    ] {
        let path = format!("/notes/{name}");
        let mut steps = vec![Step::ReadBody, last];
        if name == "half" {
            steps.insert(1, write("HTTP/1.1 200 OK\r\nX: "));
        }
        upstream.script(&path, &steps);
        let before = ask_honestly(&mut browser, &upstream, &format!("{path}/before")).await;
        let answer = post(&mut browser, &path).await;
        check(&path, Outcome::Error(502), answer);
        assert_eq!(upstream.connections_of(&path), [before], "{path}");
    }
    // The control: one that is answered arrives.
    let answer = post(&mut browser, "/notes/answered").await;
    check("answered", Outcome::Whole(200, "/notes/answered"), answer);
}

#[tokio::test]
async fn a_connection_on_which_bytes_come_while_it_is_idle_is_not_used_again() {
    let upstream = RawUpstream::start().await;
    let site = site(&upstream).await;
    let mut browser = site.browser();
    for directory in ["/libs", "/notes"] {
        for (name, bytes) in [("response", UNASKED), ("bytes", "x")] {
            let path = format!("{directory}/{name}");
            let whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            let steps = [write(whole), Step::Gate, write(bytes), Step::Wait];
            upstream.script(&path, &steps);
            // The gate opens at the head: before or behind the end of the body, which is there already.
            let answer = ask(&mut browser, &upstream, &path).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert_eq!(answer.body.unwrap(), "ok", "{path}");
            let used = upstream.connections_of(&path)[0];
            site.wait_for("the gateway closes the connection", async || {
                upstream.has_ended(used)
            })
            .await;
            let after = ask_honestly(&mut browser, &upstream, &format!("{path}/after")).await;
            assert_ne!(after, used, "{path}");
        }
    }
}

/// A slow machine answers within it.
const PATIENCE: Duration = Duration::from_secs(4);
