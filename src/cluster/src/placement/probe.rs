//! Probes: whether a shard's Prosody answers.

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
    view::Shard,
};

/// Asks a shard for a sign of life.
pub(super) type Probe =
    Arc<dyn Fn(Arc<Shard>) -> BoxFuture<'static, Result<(), ProbeError>> + Send + Sync>;

/// Why a shard gave no sign of life.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("cannot connect")]
    Connect(#[from] std::io::Error),
    #[error("no HTTP answer")]
    Http(#[from] hyper::Error),
    #[error("the XMPP domain is no host name")]
    Host(#[from] http::Error),
    #[error("answers with {0}")]
    Status(StatusCode),
    #[error("no answer in time")]
    Timeout,
}

/// Probes a shard for ever, sooner while it is in doubt, and tells what was found whenever that is
/// something else.
pub(super) async fn watch(
    shard: Arc<Shard>,
    probe: Probe,
    failed: impl Fn(&Shard),
    found: impl Fn(&Shard, Finding),
) {
    let mut streak = Streak::default();
    loop {
        let answer = timeout(PROBE_TIMEOUT, probe(Arc::clone(&shard))).await;
        let outcome = answer.unwrap_or(Err(ProbeError::Timeout));
        if let Err(error) = &outcome {
            debug!(shard = %shard.name, %error, "a probe failed");
            failed(&shard);
        }
        if let Some(finding) = streak.observe(outcome.is_ok()) {
            found(&shard, finding);
        }
        // However many requests fail, Prosody is not asked more often than this.
        sleep(DOUBTFUL_PAUSE).await;
        if !streak.is_doubtful() {
            tokio::select! {
                () = sleep(CALM) => {}
                () = shard.doubt.notified() => {}
            }
        }
    }
}

/// Prosody's BOSH module answers a GET with a page. 403 is an answer, too: somebody is there.
pub(super) fn by_http(xmpp_domain: Arc<str>) -> Probe {
    Arc::new(move |shard| {
        let host = Arc::clone(&xmpp_domain);
        Box::pin(async move {
            let to = &shard.place.xmpp;
            let address = (
                to.host().trim_matches(['[', ']']),
                to.port_u16().unwrap_or(80),
            );
            let stream = TcpStream::connect(address).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let request = Request::get("/http-bind").header(header::HOST, &*host);
            let request = request.body(Empty::<Bytes>::new())?;
            let mut answering = pin!(sender.send_request(request));
            // The connection is driven until the head is there; the rest nobody wants.
            let answer = tokio::select! {
                answer = &mut answering => answer,
                ended = connection => {
                    ended?;
                    answering.await
                }
            }?;
            match answer.status() {
                StatusCode::OK | StatusCode::FORBIDDEN => Ok(()),
                other => Err(ProbeError::Status(other)),
            }
        })
    })
}

/// How much longer the pause is after a probe of a shard that is as it was: five seconds in all.
const CALM: Duration = Duration::from_secs(4);

/// Between two probes while it is not known whether something changed; at least, in any case.
const DOUBTFUL_PAUSE: Duration = Duration::from_secs(1);

/// Prosody answers within milliseconds, even when it is busy.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    };

    use http::uri::Authority;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::{Instant, advance},
    };

    use super::*;
    use crate::placement::Place;
    use model::shard::ShardName;

    fn shard(xmpp: &str) -> Arc<Shard> {
        let xmpp: Authority = xmpp.parse().unwrap();
        let place = Place {
            web: xmpp.clone(),
            xmpp,
            visitors: vec![],
        };
        Arc::new(Shard::new(ShardName::parse("s1").unwrap(), place))
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_is_lost_after_three_failures_and_back_after_two_answers() {
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
        let notes = Arc::clone(&found);
        let note = move |_: &Shard, finding| {
            let after = began.elapsed().as_secs();
            notes.lock().unwrap().push((finding, after));
        };
        let failures = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&failures);
        let count = move |_: &Shard| {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let watching = tokio::spawn(watch(Arc::clone(&shard), probe, count, note));
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
        // Somebody cannot connect: the next probe is not waited for, and the loss is soon.
        up.store(false, Ordering::Relaxed);
        shard.doubt.notify_one();
        wait(3).await;
        assert_eq!(found.lock().unwrap().last(), Some(&(Finding::Lost, 15)));
        up.store(true, Ordering::Relaxed);
        wait(10).await;
        let back = found.lock().unwrap().last().copied();
        assert!(
            matches!(back, Some((Finding::Reached, 18..=22))),
            "{back:?}"
        );
        // One answer that is missing is nothing.
        up.store(false, Ordering::Relaxed);
        shard.doubt.notify_one();
        wait(1).await;
        up.store(true, Ordering::Relaxed);
        wait(10).await;
        assert_eq!(found.lock().unwrap().len(), 3);
        assert!(failures.load(Ordering::Relaxed) >= 4);
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn failing_requests_do_not_make_probes_a_flood() {
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
            shard.doubt.notify_one();
            advance(Duration::from_millis(100)).await;
            tokio::task::yield_now().await;
        }
        let count = probes.load(Ordering::Relaxed);
        assert!((9..=11).contains(&count), "{count}");
        watching.abort();
    }

    /// Answers each connection with a status line, and notes what it was asked.
    async fn answers(status: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).await.unwrap();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request[..count].to_vec()).unwrap()
        });
        (address, asked)
    }

    #[tokio::test]
    async fn prosody_is_asked_for_its_domain_and_a_refusal_is_a_sign_of_life() {
        let probe = by_http("meet.jitsi".into());
        for (status, alive) in [
            ("200 OK", true),
            ("403 Forbidden", true),
            ("404 Not Found", false),
            ("502 Bad Gateway", false),
        ] {
            let (address, asked) = answers(status).await;
            let outcome = probe(shard(&address)).await;
            assert_eq!(outcome.is_ok(), alive, "{status}: {outcome:?}");
            let asked = asked.await.unwrap();
            assert!(asked.starts_with("GET /http-bind HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains("host: meet.jitsi\r\n"), "{asked}");
        }
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = nobody.local_addr().unwrap().to_string();
        drop(nobody);
        assert!(probe(shard(&address)).await.is_err());
    }
}
