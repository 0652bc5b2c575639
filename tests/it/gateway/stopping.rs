//! Stopping: not ready, polls answered, sockets closed with 1001, and then an end.

use std::time::Duration;

use futures_util::StreamExt;
use http::StatusCode;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{CREATE, sid_of};
use crate::support::site::{Site, Wishes};

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_closes_sockets() {
    let wishes = Wishes {
        listen: "drain_delay = \"1s\"",
        ..Wishes::default()
    };
    let site = Site::with(wishes).await.ready().await;
    let mut max = site.signed_in("max").await;
    let mut socket = max.socket("room=x").await.unwrap();
    let create = CREATE.replace("wait='60'", "wait='2'");
    let created = max.bosh("room=x", &create).await;
    let sid = sid_of(&created.text()).to_owned();
    let poll = format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'/>");
    let mut polling = max.clone();
    let poll = tokio::spawn(async move { polling.bosh("room=x", &poll).await.text() });
    site.wait_for("the poll is under way", async || site.bosh_requests() > 0)
        .await;
    let mut probe = site.browser();
    let admin = site.running.addresses.admin;
    let gone = site.running.addresses.https.unwrap();

    let Site { running, .. } = site;
    let stopping = tokio::spawn(running.stop(CancellationToken::new()));
    let unready = async {
        loop {
            let page = probe.get_plain(&format!("http://{admin}/readyz")).await;
            if page.status == StatusCode::SERVICE_UNAVAILABLE {
                return page.text();
            }
        }
    };
    let reasons = tokio::time::timeout(Duration::from_millis(900), unready)
        .await
        .unwrap();
    assert!(reasons.contains("stopping"), "{reasons}");

    let answer = poll.await.unwrap();
    assert!(
        answer.starts_with("<body") && !answer.contains("terminate"),
        "{answer}"
    );
    let closed = loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => break u16::from(frame.code),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(closed, 1001);
    tokio::time::timeout(Duration::from_secs(10), stopping)
        .await
        .unwrap()
        .unwrap();
    assert!(tokio::net::TcpStream::connect(gone).await.is_err());
}

#[tokio::test]
async fn who_is_in_a_hurry_does_not_wait() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let _socket = max.socket("room=x").await.unwrap();
    let hurry = CancellationToken::new();
    hurry.cancel();
    let Site { running, .. } = site;
    tokio::time::timeout(Duration::from_secs(5), running.stop(hurry))
        .await
        .unwrap();
}
