//! Counters move with the events that they count.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use url::Url;

use crate::{
    gateway::CREATE,
    support::site::{ORIGIN, Site},
};

/// The sum of all samples with this prefix.
fn total(metrics: &str, sample: &str) -> u64 {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(sample));
    let numbers = lines.filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok());
    let numbers: Vec<_> = numbers.collect();
    assert!(!numbers.is_empty(), "no {sample} in\n{metrics}");
    numbers.into_iter().sum()
}

/// Waits until the samples with this prefix add up to `times`.
async fn counted(site: &Site, sample: &str, times: u64) {
    site.wait_for(sample, async || {
        total(&site.metrics().await, sample) == times
    })
    .await;
}

/// Sends a request that is refused before it is read; the connection may close before the response.
async fn send_too_much(site: &Site, method: Method, path: &str, headers: HeaderMap, body: Bytes) {
    let mut browser = site.browser();
    let url = Url::parse(&format!("{ORIGIN}{path}")).unwrap();
    let sending = tokio::spawn(async move { browser.send(method, &url, headers, body).await });
    let _ = sending.await;
}

#[tokio::test]
async fn a_sign_in_with_a_bosh_session_and_a_websocket_is_counted() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let create = CREATE.replace("wait='60'", "wait='1'");
    let created = max.bosh("room=x", &create).await.text();
    let sid = crate::gateway::sid_of(&created);
    let poll = format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'/>");
    max.bosh("room=x", &poll).await;
    let socket = max.socket("room=x").await.unwrap();
    for (sample, times) in [
        ("jitsi_auth_gateway_entries_total{transport=\"bosh\"", 1),
        (
            "jitsi_auth_gateway_entries_total{transport=\"websocket\"",
            1,
        ),
        (
            "jitsi_auth_gateway_admissions_total{outcome=\"admitted\"",
            2,
        ),
        ("jitsi_auth_gateway_bosh_sessions_total", 1),
        ("jitsi_auth_gateway_sign_ins_started_total", 1),
        ("jitsi_auth_gateway_sign_ins_total{outcome=\"ok\"", 1),
        ("jitsi_auth_gateway_bosh_wait_seconds_count", 1),
        (
            "jitsi_auth_gateway_upstream_duration_seconds_count{upstream=\"xmpp\"",
            2,
        ),
        ("jitsi_auth_gateway_session_renewals_total", 0),
        ("jitsi_auth_gateway_provider_ready", 1),
    ] {
        let metrics = site.metrics().await;
        assert_eq!(total(&metrics, sample), times, "{sample} in\n{metrics}");
    }
    assert!(
        total(
            &site.metrics().await,
            "jitsi_auth_gateway_tls_handshakes_total{outcome=\"ok\""
        ) > 3
    );
    drop(socket);
    site.clock_control.advance(Duration::from_hours(2));
    max.navigate("/x").await;
    counted(&site, "jitsi_auth_gateway_session_renewals_total", 1).await;
}

#[tokio::test]
async fn oversized_requests_and_failed_handshakes_are_counted() {
    let site = Site::start().await.ready().await;
    let max = site.signed_in("max").await;
    let mut stream = TcpStream::connect(site.running.addresses.https.unwrap())
        .await
        .unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let failed = "jitsi_auth_gateway_tls_handshakes_total{outcome=\"failed\"";
    counted(&site, failed, 1).await;
    let long = HeaderValue::try_from("a".repeat(200_000)).unwrap();
    let headers = HeaderMap::from_iter([(http::header::USER_AGENT, long)]);
    send_too_much(&site, Method::GET, "/x", headers, Bytes::new()).await;
    counted(
        &site,
        "jitsi_auth_gateway_limits_total{limit=\"head_size\"",
        1,
    )
    .await;
    let body = format!("<body x='{}'/>", "a".repeat(300_000));
    let mut sender = max.clone();
    let _ = tokio::spawn(async move { sender.bosh("room=x", &body).await }).await;
    counted(
        &site,
        "jitsi_auth_gateway_limits_total{limit=\"body_size\"",
        1,
    )
    .await;
}

#[tokio::test]
async fn unreachable_upstreams_are_counted() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let failures = "jitsi_auth_gateway_upstream_failures_total";
    for (upstream, times) in [("web", 1), ("xmpp", 2)] {
        site.reload(|configuration| {
            configuration["upstream"][upstream] = "http://127.0.0.1:9".into();
        });
        if upstream == "web" {
            max.navigate("/x").await;
        } else {
            max.bosh("room=x", CREATE).await;
            max.socket("room=x").await.unwrap_err();
        }
        let sample = format!("{failures}{{upstream=\"{upstream}\",kind=\"connect\"");
        counted(&site, &sample, times).await;
    }
}

#[tokio::test]
async fn reloads_are_counted_by_outcome() {
    let site = Site::start().await.ready().await;
    let last = "jitsi_auth_gateway_config_last_reload_successful";
    let hash = async || {
        let metrics = site.metrics().await;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("jitsi_auth_gateway_config_info{"));
        line.unwrap().to_owned()
    };
    let before = hash().await;
    site.running.reload_failed();
    counted(
        &site,
        "jitsi_auth_gateway_config_reloads_total{outcome=\"failed\"",
        1,
    )
    .await;
    assert_eq!(total(&site.metrics().await, last), 0);
    let (_, ready) = site.readiness().await;
    let reasons = ready["reasons"].to_string();
    assert!(
        reasons.contains("reload of the configuration failed"),
        "{ready}"
    );
    assert_eq!(hash().await, before);
    site.reload(|configuration| configuration["room"][0]["enter"] = "closed".into());
    counted(
        &site,
        "jitsi_auth_gateway_config_reloads_total{outcome=\"ok\"",
        1,
    )
    .await;
    assert_eq!(total(&site.metrics().await, last), 1);
    let reasons = site.readiness().await.1["reasons"].to_string();
    assert!(!reasons.contains("reload"), "{reasons}");
    assert_ne!(hash().await, before);
}
