//! Probes of a shard's Prosody over HTTP.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tracing::debug;

use super::{
    health::{Finding, Streak},
    shard_map::Shard,
};

/// Sends one probe to a shard.
pub(super) type Probe =
    Arc<dyn Fn(Arc<Shard>) -> BoxFuture<'static, Result<(), ProbeError>> + Send + Sync>;

/// A probe failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("cannot connect")]
    Connect(#[from] std::io::Error),
    #[error("no HTTP response")]
    Http(#[from] hyper::Error),
    #[error("the XMPP domain is not a valid `Host`")]
    Host(#[from] http::Error),
    #[error("responded with {0}")]
    Status(StatusCode),
    #[error("no response in time")]
    Timeout,
}

/// Probes a shard until the task is dropped, and reports each change of the finding. The pause is
/// shorter while probes contradict the finding.
pub(super) async fn watch(
    shard: Arc<Shard>,
    probe: Probe,
    failed: impl Fn(&Shard),
    found: impl Fn(&Shard, Finding),
) {
    let mut streak = Streak::default();
    loop {
        let response = timeout(PROBE_TIMEOUT, probe(Arc::clone(&shard))).await;
        let outcome = response.unwrap_or(Err(ProbeError::Timeout));
        if let Err(error) = &outcome {
            debug!(shard = %shard.name, %error, "a probe failed");
            failed(&shard);
        }
        if let Some(finding) = streak.observe(outcome.is_ok()) {
            found(&shard, finding);
        }
        // The minimum pause, however many failed requests ask for a probe.
        sleep(CONTESTED_PAUSE).await;
        if !streak.is_contested() {
            tokio::select! {
                () = sleep(FURTHER_PAUSE) => {}
                () = shard.probe_requested.notified() => {}
            }
        }
    }
}

/// Probes by a GET of the BOSH endpoint, to which Prosody's `mod_bosh` responds with a page; 403
/// also proves that Prosody is alive.
pub(super) fn by_http(xmpp_domain: Arc<str>) -> Probe {
    Arc::new(move |shard| {
        let host = Arc::clone(&xmpp_domain);
        Box::pin(async move {
            let to = &shard.endpoints.xmpp;
            let address = (
                to.host().trim_matches(['[', ']']),
                to.port_u16().unwrap_or(80),
            );
            let stream = TcpStream::connect(address).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let request = Request::get("/http-bind").header(header::HOST, &*host);
            let request = request.body(Empty::<Bytes>::new())?;
            let mut responding = pin!(sender.send_request(request));
            // Drives the connection until the response head has arrived; the body is not read.
            let response = tokio::select! {
                response = &mut responding => response,
                ended = connection => {
                    ended?;
                    responding.await
                }
            }?;
            match response.status() {
                StatusCode::OK | StatusCode::FORBIDDEN => Ok(()),
                other => Err(ProbeError::Status(other)),
            }
        })
    })
}

/// Added to the pause while probes confirm the finding: five seconds in total bound the time until
/// a loss is noticed, at a negligible load.
const FURTHER_PAUSE: Duration = Duration::from_secs(4);

/// Pause while probes contradict the finding, and the minimum pause otherwise: three failures in a
/// row then take three seconds.
const CONTESTED_PAUSE: Duration = Duration::from_secs(1);

/// A busy Prosody responds within milliseconds, so three seconds mean that it hangs.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    };

    use http::uri::Authority;
    use model::shard::ShardName;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::{Instant, advance},
    };

    use super::*;
    use crate::placement::ShardEndpoints;

    fn shard(xmpp: &str) -> Arc<Shard> {
        let xmpp: Authority = xmpp.parse().unwrap();
        let endpoints = ShardEndpoints {
            web: xmpp.clone(),
            jicofo: None,
            xmpp,
            visitors: vec![],
        };
        Arc::new(Shard::new(ShardName::parse("s1").unwrap(), endpoints))
    }

    #[tokio::test(start_paused = true)]
    async fn findings_change_after_three_failures_and_two_responses() {
        let (up, probes) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
        let probe: Probe = {
            let (up, probes) = (Arc::clone(&up), Arc::clone(&probes));
            Arc::new(move |_| {
                probes.fetch_add(1, Ordering::Relaxed);
                let outcome = up.load(Ordering::Relaxed).then_some(());
                let outcome = outcome.ok_or(ProbeError::Timeout);
                Box::pin(async move { outcome })
            })
        };
        let began = Instant::now();
        let found = Arc::new(Mutex::new(Vec::new()));
        let shard = shard("127.0.0.1:1");
        let sink = Arc::clone(&found);
        let record = move |_: &Shard, finding| {
            let after = began.elapsed().as_secs();
            sink.lock().unwrap().push((finding, after));
        };
        let failures = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&failures);
        let count = move |_: &Shard| {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let watching = tokio::spawn(watch(Arc::clone(&shard), probe, count, record));
        let wait = async |seconds| {
            for _ in 0..seconds {
                advance(Duration::from_secs(1)).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::task::yield_now().await;
        wait(12).await;
        assert_eq!(*found.lock().unwrap(), [(Finding::Reached, 0)]);
        assert_eq!(probes.load(Ordering::Relaxed), 3);
        // A request for a probe ends the long pause.
        up.store(false, Ordering::Relaxed);
        shard.probe_requested.notify_one();
        wait(3).await;
        assert_eq!(found.lock().unwrap().last(), Some(&(Finding::Lost, 15)));
        up.store(true, Ordering::Relaxed);
        wait(10).await;
        let back = found.lock().unwrap().last().copied();
        assert!(
            matches!(back, Some((Finding::Reached, 18..=22))),
            "{back:?}"
        );
        // One failed probe changes nothing.
        up.store(false, Ordering::Relaxed);
        shard.probe_requested.notify_one();
        wait(1).await;
        up.store(true, Ordering::Relaxed);
        wait(10).await;
        assert_eq!(found.lock().unwrap().len(), 3);
        assert!(failures.load(Ordering::Relaxed) >= 4);
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn requested_probes_are_limited_to_one_per_second() {
        let probes = Arc::new(AtomicU32::new(0));
        let probe: Probe = {
            let probes = Arc::clone(&probes);
            Arc::new(move |_| {
                probes.fetch_add(1, Ordering::Relaxed);
                Box::pin(async { Ok(()) })
            })
        };
        let shard = shard("127.0.0.1:1");
        let watching = tokio::spawn(watch(Arc::clone(&shard), probe, |_| {}, |_, _| {}));
        for _ in 0..100 {
            shard.probe_requested.notify_one();
            advance(Duration::from_millis(100)).await;
            tokio::task::yield_now().await;
        }
        let count = probes.load(Ordering::Relaxed);
        assert!((9..=11).contains(&count), "{count}");
        watching.abort();
    }

    /// Responds to one connection with a status line; the task returns the request.
    async fn respond(status: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let request = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).await.unwrap();
            let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(response.as_bytes()).await.unwrap();
            String::from_utf8(request[..count].to_vec()).unwrap()
        });
        (address, request)
    }

    #[tokio::test]
    async fn a_probe_sends_the_xmpp_domain_and_accepts_200_and_403() {
        let probe = by_http("meet.jitsi".into());
        for (status, alive) in [
            ("200 OK", true),
            ("403 Forbidden", true),
            ("404 Not Found", false),
            ("502 Bad Gateway", false),
        ] {
            let (address, request) = respond(status).await;
            let outcome = probe(shard(&address)).await;
            assert_eq!(outcome.is_ok(), alive, "{status}: {outcome:?}");
            let request = request.await.unwrap();
            assert!(
                request.starts_with("GET /http-bind HTTP/1.1\r\n"),
                "{request}"
            );
            assert!(request.contains("host: meet.jitsi\r\n"), "{request}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = closed.local_addr().unwrap().to_string();
        drop(closed);
        assert!(probe(shard(&address)).await.is_err());
    }
}
