//! What one person or one stranger can hold of Prosody and of the gateway's memory.

use std::time::Duration;

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{CREATE, sid_of};
use crate::support::site::{Site, SiteOptions};

#[tokio::test]
async fn a_session_has_so_many_websockets_and_bosh_sessions() {
    let options = SiteOptions::default().limits("streams_per_session = 2");
    let site = Site::with(options).await.ready().await;
    let mut max = site.signed_in("max").await;
    let mut other = site.signed_in("mia").await;
    let socket = max.socket("room=x").await.unwrap();
    let created = max.bosh("room=x", CREATE).await.text();
    let refused = max.socket("room=x").await.map(drop);
    assert_eq!(refused, Err(StatusCode::TOO_MANY_REQUESTS));
    let refused = max.bosh("room=y", CREATE).await;
    assert!(
        refused.text().contains("policy-violation"),
        "{}",
        refused.text()
    );
    assert_eq!(refused.headers["retry-after"], "5");
    let metrics = site.metrics().await;
    let counted = "jitsi_auth_gateway_limits_total{limit=\"streams\"} 2\n";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(other.socket("room=x").await.is_ok());
    // An open stream goes on, and an ended one makes room.
    let end = format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{}' type='terminate'/>",
        sid_of(&created)
    );
    let ended = max.bosh("room=x", &end).await;
    assert_eq!(ended.status, StatusCode::OK, "{}", ended.text());
    site.wait_for("the BOSH session has ended", async || {
        max.socket("room=x").await.is_ok()
    })
    .await;
    drop(socket);
}

/// An app has no cookies: its token is in the address.
#[tokio::test]
async fn no_body_is_read_for_a_token_that_is_not_valid() {
    let options = SiteOptions::default().listen("trusted_proxies = [\"127.0.0.1/32\"]");
    let site = Site::with(options).await.ready().await;
    let address = site.http_address();
    for token in ["y", "e30.e30.e30"] {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /http-bind?room=x&token={token} HTTP/1.1\r\nHost: meet.example.org\r\n\
             X-Forwarded-Proto: https\r\nContent-Length: 262144\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 1024];
        let read = timeout(Duration::from_secs(5), connection.read(&mut answer));
        let length = read.await.expect("an answer before the body").unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    let metrics = site.metrics().await;
    assert!(metrics.contains("limits_total{limit=\"body_time\"} 0\n"));
}
