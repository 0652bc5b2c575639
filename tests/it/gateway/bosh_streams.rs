//! A BOSH stream whose requests arrive over several kept-alive connections, on several workers.

use http::StatusCode;

use super::{CREATE, sid_of};
use crate::support::{browser::KeepAliveClient, logs::Logs, site::Site};

/// The acceptor gives a connection to the worker with the fewest, and the site has two workers.
#[tokio::test]
async fn a_bosh_stream_over_two_workers_is_counted_once_and_cut_once() {
    const ROOM: &str = "bosh-over-two-workers";
    let logs = Logs::keep();
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let query = format!("room={ROOM}");
    let create = CREATE.replace("wait='60'", "wait='0'");
    let created = max.bosh(&query, &create).await.text();
    let sid = sid_of(&created).to_owned();
    let metric = async |sample: &str| site.metrics().await.contains(&format!("\n{sample}\n"));
    site.wait_for("the connections of the sign-in are closed", async || {
        metric("jitsi_auth_gateway_connections_open 0").await
    })
    .await;

    let mut connections = [KeepAliveClient::new(max.clone()), KeepAliveClient::new(max)];
    let poll = |rid: usize| {
        format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='{rid}' sid='{sid}'/>")
    };
    for (turn, rid) in (101..107).enumerate() {
        let answer = connections[turn % 2].bosh(&query, &poll(rid)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert!(!answer.text().contains("terminate"), "{answer:?}");
    }
    assert!(metric("jitsi_auth_gateway_connections_open 2").await);
    let one_stream = metric("jitsi_auth_gateway_streams_open{kind=\"bosh\"} 1").await;
    assert!(one_stream, "{}", site.metrics().await);

    let before = site.bosh_requests();
    let revoked = site.order("/revoke", r#"{"subject":"max"}"#, &[]).await;
    assert_eq!(revoked, StatusCode::OK);
    site.wait_for("no stream is open", async || {
        metric("jitsi_auth_gateway_streams_open{kind=\"bosh\"} 0").await
    })
    .await;
    let cuts = logs.audit();
    let cuts: Vec<&str> = cuts
        .lines()
        .filter(|line| line.contains("\"event\":\"cut\"") && line.contains(ROOM))
        .collect();
    assert_eq!(cuts.len(), 1, "{cuts:#?}");
    // One for each request id that Prosody may expect: the next, and one more.
    site.wait_for("Prosody has the terminate requests", async || {
        site.bosh_requests() >= before + 2
    })
    .await;
    assert_eq!(site.bosh_requests(), before + 2, "terminate requests");
}
