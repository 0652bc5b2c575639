//! Draining: `/readyz` fails, polls are answered, WebSockets are closed one by one with 1001.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use http::{HeaderMap, Method, StatusCode, header};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{CREATE, sid_of};
use crate::support::{
    browser::{KeepAliveClient, Socket},
    site::{ORIGIN, Site, SiteOptions},
};

async fn site(listen: &str) -> Site {
    let options = SiteOptions::default().listen(listen);
    Site::with(options).await.ready().await
}

/// The close code of a WebSocket.
async fn closed(socket: &mut Socket) -> u16 {
    let closing = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let closing = tokio::time::timeout(Duration::from_secs(30), closing);
    closing.await.expect("the socket is closed")
}

#[tokio::test]
async fn stopping_answers_in_flight_polls_and_closes_websockets() {
    let site = site("drain_delay = \"1s\"\ndrain_window = \"1s\"").await;
    let mut max = site.signed_in("max").await;
    let mut socket = max.socket("room=x").await.unwrap();
    let create = CREATE.replace("wait='60'", "wait='1'");
    let created = max.bosh("room=x", &create).await;
    let sid = sid_of(&created.text()).to_owned();
    let poll = format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'/>");
    let mut polling = max.clone();
    let poll = tokio::spawn(async move { polling.bosh("room=x", &poll).await.text() });
    site.wait_for("the poll is under way", async || site.bosh_requests() > 0)
        .await;
    let mut probe = site.browser();
    let admin = site.running.addresses.admin.clone();
    let closed_address = site.running.addresses.https.unwrap();

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
    let metrics = probe.get_plain(&format!("http://{admin}/metrics")).await;
    assert!(
        metrics.text().contains("\njitsi_auth_gateway_ready 0\n"),
        "{metrics:?}"
    );
    // Load balancers have not noticed yet, so connections are accepted.
    for _ in 0..3 {
        let page = probe.navigate("/config.js").await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
    }

    let answer = poll.await.unwrap();
    assert!(
        answer.starts_with("<body") && !answer.contains("terminate"),
        "{answer}"
    );
    assert_eq!(closed(&mut socket).await, 1001);
    tokio::time::timeout(Duration::from_secs(10), stopping)
        .await
        .unwrap()
        .unwrap();
    assert!(
        tokio::net::TcpStream::connect(closed_address)
            .await
            .is_err()
    );
}

/// An empty answer would lose what Prosody answers to the same request. Strophe repeats a request with its
/// id after a status of 500 or more (jitsi/strophejs v1.5-jitsi-3 `src/bosh.js`, `_onRequestStateChange`).
#[tokio::test]
async fn held_polls_do_not_delay_a_stop_and_are_to_be_repeated() {
    let site = site("drain_window = \"1s\"").await;
    let mut max = site.signed_in("max").await;
    let created = max.bosh("room=x", CREATE).await;
    let sid = sid_of(&created.text()).to_owned();
    let poll = format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'/>");
    let mut polling = max.clone();
    let poll = tokio::spawn(async move { polling.bosh("room=x", &poll).await });
    site.wait_for("the poll is under way", async || site.bosh_requests() > 0)
        .await;
    let began = Instant::now();
    let Site { running, .. } = site;
    running.stop(CancellationToken::new()).await;
    // Without this the stop waits for the poll, which is held for a minute, as long as `grace`.
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let answer = poll.await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
}

#[tokio::test]
async fn draining_closes_websockets_one_by_one_and_still_answers_requests() {
    let site = site("drain_window = \"2s\"").await;
    let mut max = site.signed_in("max").await;
    let mut sockets = Vec::new();
    for _ in 0..8 {
        sockets.push(max.socket("room=x").await.unwrap());
    }
    let mut line = KeepAliveClient::new(max.clone());
    let url = Url::parse(&format!("{ORIGIN}/config.js")).unwrap();
    let kept = line.send(Method::GET, &url, &HeaderMap::new()).await;
    assert_eq!(kept.headers.get(header::CONNECTION), None);
    let mut idle = KeepAliveClient::new(max.clone());
    idle.send(Method::GET, &url, &HeaderMap::new()).await;
    let closed_address = site.running.addresses.https.unwrap();

    let Site { running, .. } = site;
    let began = Instant::now();
    let stopping = tokio::spawn(running.stop(CancellationToken::new()));
    let closing = async {
        while tokio::net::TcpStream::connect(closed_address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let closing = tokio::time::timeout(Duration::from_secs(10), closing).await;
    closing.expect("it listens no more");
    // On the existing connection; new ones are refused.
    let last = line.send(Method::GET, &url, &HeaderMap::new()).await;
    assert_eq!(last.status, StatusCode::OK);
    assert_eq!(last.headers.get(header::CONNECTION).unwrap(), "close");

    let times = futures_util::future::join_all(sockets.iter_mut().map(async |socket| {
        assert_eq!(closed(socket).await, 1001);
        began.elapsed()
    }))
    .await;
    let mut sorted = times.clone();
    sorted.sort();
    // Two workers close about four each, one per 250 ms. Load can delay this, never advance it.
    let pause = Duration::from_millis(250);
    for (position, time) in (0u32..).zip(&sorted) {
        assert!(*time + pause >= pause * position, "{sorted:?}");
    }
    // An idle connection does not delay the stop.
    tokio::time::timeout(Duration::from_secs(10), stopping)
        .await
        .unwrap()
        .unwrap();
    drop(idle);
}

#[tokio::test]
async fn event_streams_close_when_the_gateway_stops() {
    let options = SiteOptions::default()
        .jaas()
        .listen("drain_delay = \"0s\"\ndrain_window = \"0s\"");
    let site = Site::with(options).await.ready().await;
    let max = site.signed_in("max").await;
    let mut events = max.listen("/_gateway/events?room=x&call=1").await;
    assert!(events.next().await.is_some());
    let Site { running, .. } = site;
    let stopping = tokio::spawn(running.stop(CancellationToken::new()));
    let ending = async { while events.next().await.is_some() {} };
    let ended = tokio::time::timeout(Duration::from_secs(10), ending).await;
    ended.expect("the stream ends");
    drop(events);
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_second_signal_skips_the_drain_and_still_closes_websockets() {
    let site = site("drain_delay = \"10m\"\ndrain_window = \"10s\"").await;
    let mut max = site.signed_in("max").await;
    let mut socket = max.socket("room=x").await.unwrap();
    let hurry = CancellationToken::new();
    let Site { running, .. } = site;
    let stopping = tokio::spawn(running.stop(hurry.clone()));
    hurry.cancel();
    assert_eq!(closed(&mut socket).await, 1001);
    tokio::time::timeout(Duration::from_secs(5), stopping)
        .await
        .unwrap()
        .unwrap();
}
