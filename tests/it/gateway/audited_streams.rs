//! The audit lines of BOSH streams: as many of entering as of leaving.

use http::StatusCode;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::{CREATE, broken_polls::silent_prosody, sid_of};
use crate::support::{
    browser::Browser,
    logs::Logs,
    site::{Site, SiteOptions},
};

const HTTP_BIND: &str = "xmlns='http://jabber.org/protocol/httpbind'";

/// A member's stream in a room of its own.
struct Stream {
    browser: Browser,
    query: String,
    sid: String,
    rid: usize,
}

impl Stream {
    async fn create(site: &Site, room: &str) -> Self {
        let mut browser = site.signed_in("max").await;
        let query = format!("room={room}");
        let created = browser.bosh(&query, CREATE).await.text();
        Self {
            sid: sid_of(&created).to_owned(),
            browser,
            query,
            rid: 100,
        }
    }

    /// The next request; the last one ends the stream.
    fn body(&mut self, attributes: &str) -> String {
        self.rid += 1;
        let (rid, sid) = (self.rid, &self.sid);
        format!("<body {HTTP_BIND} rid='{rid}' sid='{sid}'{attributes}/>")
    }

    async fn terminate(&mut self) {
        let body = self.body(" type='terminate'");
        let answer = self.browser.bosh(&self.query, &body).await;
        assert!(answer.text().contains("terminate"), "{answer:?}");
    }

    /// Breaks off a request that Prosody holds.
    async fn break_off(&mut self, site: &Site) {
        let before = site.bosh_requests();
        let body = self.body("");
        let mut poll = self.browser.open_bosh(&self.query, body.len()).await;
        poll.write_all(body.as_bytes()).await.unwrap();
        poll.flush().await.unwrap();
        site.wait_for("Prosody has the request", async || {
            site.bosh_requests() > before
        })
        .await;
        drop(poll);
    }
}

/// The events of a room, with how or why.
fn events(logs: &Logs, room: &str) -> Vec<String> {
    let audit = logs.audit();
    let lines = audit
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["room"] == room)
        .map(|line| {
            let detail = line["how"].as_str().or(line["reason"].as_str());
            let event = line["event"].as_str().unwrap();
            format!("{event} {}", detail.unwrap_or_default())
                .trim()
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn an_idle_stream_leaves_a_process_that_stops_and_continues_at_the_next() {
    const ROOM: &str = "audited-restart";
    let logs = Logs::keep();
    let site = Site::start().await.ready().await;
    let mut stream = Stream::create(&site, ROOM).await;
    let site = site.restart().await;
    assert_eq!(events(&logs, ROOM), ["admitted", "cut shutdown"]);
    stream.browser = site.again(&stream.browser);
    stream.terminate().await;
    let all = ["admitted", "cut shutdown", "continued", "left closed"];
    assert_eq!(events(&logs, ROOM), all);
}

#[tokio::test]
async fn a_stream_that_goes_on_behind_a_broken_request_has_entered_again() {
    const ROOM: &str = "audited-broken";
    let logs = Logs::keep();
    let site = Site::start().await.ready().await;
    let mut stream = Stream::create(&site, ROOM).await;
    stream.break_off(&site).await;
    site.wait_for("the request is broken", async || {
        events(&logs, ROOM) == ["admitted", "left broken"]
    })
    .await;
    stream.terminate().await;
    let all = ["admitted", "left broken", "continued", "left closed"];
    assert_eq!(events(&logs, ROOM), all);
}

#[tokio::test]
async fn a_stream_leaves_once_though_it_is_revoked_behind_a_broken_request() {
    const ROOM: &str = "audited-revoked";
    let logs = Logs::keep();
    let site = Site::start().await.ready().await;
    let mut stream = Stream::create(&site, ROOM).await;
    stream.break_off(&site).await;
    site.wait_for("the request is broken", async || {
        events(&logs, ROOM) == ["admitted", "left broken"]
    })
    .await;
    let before = site.bosh_requests();
    let revoked = site.order("/revoke", r#"{"subject":"max"}"#, &[]).await;
    assert_eq!(revoked, StatusCode::OK);
    site.wait_for("Prosody has the terminate requests", async || {
        site.bosh_requests() >= before + 2
    })
    .await;
    assert_eq!(events(&logs, ROOM), ["admitted", "left broken"]);
}

#[tokio::test]
async fn a_stream_that_is_revoked_before_prosody_created_it_has_no_line() {
    const ROOM: &str = "audited-creation";
    let logs = Logs::keep();
    let (prosody, held) = silent_prosody().await;
    let rules =
        format!("[[room]]\nmatch = \"*\"\nenter = \"member\"\n[upstream]\nxmpp = \"{prosody}\"\n");
    let options = SiteOptions::default().rules(&rules);
    let site = Site::with(options).await.ready().await;
    let mut max = site.signed_in("max").await;
    let query = format!("room={ROOM}");
    let creating = tokio::spawn(async move { max.bosh(&query, CREATE).await });
    site.wait_for("Prosody has the request", async || {
        held.load(std::sync::atomic::Ordering::SeqCst) == 1
    })
    .await;
    let revoked = site.order("/revoke", r#"{"subject":"max"}"#, &[]).await;
    assert_eq!(revoked, StatusCode::OK);
    let answer = creating.await.unwrap();
    assert_eq!(answer.headers["x-gateway-ended"], "signed-out");
    assert_eq!(events(&logs, ROOM), [""; 0]);
}
