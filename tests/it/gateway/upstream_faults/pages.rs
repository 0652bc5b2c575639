//! Room pages are read before they are answered, so that the client of one that breaks off gets an error. Long ones are
//! streamed.

use http::StatusCode;

use super::{Outcome, ask, ask_honestly, check, site, write};
use crate::support::raw_upstream::{RawUpstream, Step};

const HTML: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";

#[tokio::test]
async fn a_room_page_that_breaks_off_is_an_error_and_its_connection_is_not_used_again() {
    let upstream = RawUpstream::start().await;
    let site = site(&upstream).await;
    let mut browser = site.browser();
    let landing = browser.sign_in("max", "/team").await;
    assert_eq!(landing.status, StatusCode::OK);
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let faults = [
        ("short", "Content-Length: 90\r\n\r\n<head>", Step::Close),
        ("reset", "Content-Length: 90\r\n\r\n<head>", Step::Reset),
        (
            "no-last-chunk",
            &format!("{chunked}6\r\n<head>\r\n"),
            Step::Close,
        ),
        (
            "no-chunk",
            &format!("{chunked}x\r\n<head>\r\n"),
            Step::Close,
        ),
    ];
    for (number, (room, rest, end)) in faults.into_iter().enumerate() {
        let path = format!("/{room}");
        let before = ask_honestly(&mut browser, &upstream, &format!("/libs/{room}/before")).await;
        upstream.script(&path, &[write(&format!("{HTML}{rest}")), end]);
        let answer = ask(&mut browser, &upstream, &path).await;
        check(&path, Outcome::Error(502), answer);
        assert_eq!(upstream.connections_of(&path), [before], "{path}");
        let after = ask_honestly(&mut browser, &upstream, &format!("/libs/{room}/after")).await;
        assert_ne!(before, after, "{path}");
        let failures = format!(
            "upstream_failures_total{{upstream=\"web\",kind=\"invalid_response\"}} {}\n",
            number + 1
        );
        let metrics = site.metrics().await;
        assert!(metrics.contains(&failures), "{path}: {metrics}");
    }
}

#[tokio::test]
async fn a_long_page_is_streamed_with_the_script() {
    let upstream = RawUpstream::start().await;
    let site = site(&upstream).await;
    let mut browser = site.browser();
    browser.sign_in("max", "/team").await;
    let head = "<html><head><script src=libs/lib-jitsi-meet.min.js></script></head>";
    for length in [1_000, 127 * 1024, 129 * 1024, 400 * 1024] {
        let page = format!("{head}{}", "x".repeat(length));
        let path = format!("/page-{length}");
        let answer = format!("{HTML}Content-Length: {}\r\n\r\n{page}", page.len());
        upstream.script(&path, &[write(&answer)]);
        let answer = ask(&mut browser, &upstream, &path).await.unwrap();
        let body = answer.body.unwrap();
        let text = str::from_utf8(&body).unwrap();
        let (script, rest) = text.split_once("<script src=libs").unwrap();
        assert!(script.starts_with("<html><head><script>if("), "{script}");
        assert_eq!(format!("<html><head><script src=libs{rest}"), page);
    }
}
