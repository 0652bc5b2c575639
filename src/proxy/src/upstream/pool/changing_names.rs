//! Tests of an upstream whose name gets other addresses, as that of a headless service when its pods change.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpListener,
    runtime::{Builder, LocalOptions},
    sync::watch,
    task::spawn_local,
};

use super::{tests::failures, *};
use crate::upstream::addresses::test_names;

const WITHIN: Duration = Duration::from_secs(5);

/// A pod: answers each request with its number, until it stops.
struct Pod {
    address: SocketAddr,
    stop: watch::Sender<bool>,
}

// === impl Pod ===

impl Pod {
    async fn start(number: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        spawn_local(async move {
            let mut end = stopped.clone();
            loop {
                let (mut stream, _) = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    _ = end.changed() => return,
                };
                let mut end = stopped.clone();
                spawn_local(async move {
                    let mut received = [0; 4096];
                    loop {
                        let count = tokio::select! {
                            count = stream.read(&mut received) => count.unwrap_or_default(),
                            _ = end.changed() => return,
                        };
                        if count == 0 {
                            return;
                        }
                        let answer =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}");
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Self { address, stop }
    }

    /// Ends the pod with its connections.
    fn stop(self) {
        self.stop.send_replace(true);
    }
}

fn on_one_thread<T>(test: impl Future<Output = T>) -> T {
    Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap()
        .block_on(test)
}

async fn ask(pool: &UpstreamPool) -> Result<Bytes, UpstreamError> {
    let request = Request::new(RequestBody::Empty);
    let response = pool.send(request, WITHIN, true).await?;
    Ok(response.into_body().collect().await.unwrap().to_bytes())
}

fn pool_of(name: &str) -> UpstreamPool {
    let to = format!("{name}:5280").parse().unwrap();
    UpstreamPool::new(to, WITHIN, Duration::from_secs(50), 8, failures())
}

/// A connection to a pod whose node is gone: what is written is never acknowledged.
#[derive(Default)]
struct Unacknowledged(bool);

impl AsyncRead for Unacknowledged {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        context.waker().wake_by_ref();
        if self.0 {
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        } else {
            Poll::Pending
        }
    }
}

impl AsyncWrite for Unacknowledged {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0 = true;
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_kept_connection_to_a_node_that_is_gone_fails_no_request() {
    on_one_thread(async {
        let pool = pool_of("moved-headless");
        let (mut sender, driver) = http1::handshake(TokioIo::new(Unacknowledged::default()))
            .await
            .unwrap();
        spawn_local(driver);
        sender.ready().await.unwrap();
        pool.add_idle(sender);
        let pod = Pod::start(7).await;
        test_names::set("moved-headless", vec![pod.address]);
        assert_eq!(ask(&pool).await.unwrap(), "7");
    });
}

#[test]
fn each_new_connection_asks_for_the_name() {
    on_one_thread(async {
        let pool = pool_of("prosody-headless");
        let mut pod = Pod::start(0).await;
        for number in 1..=5 {
            test_names::set("prosody-headless", vec![pod.address]);
            for _ in 0..3 {
                let expected = format!("{}", number - 1);
                assert_eq!(ask(&pool).await.unwrap(), expected);
            }
            // The next pod is ready before this one ends, as in a rolling update.
            let next = Pod::start(number).await;
            test_names::set("prosody-headless", vec![next.address]);
            assert_eq!(ask(&pool).await.unwrap(), format!("{}", number - 1));
            pod.stop();
            assert_eq!(ask(&pool).await.unwrap(), format!("{number}"));
            pod = next;
        }
    });
}

#[test]
fn a_name_that_still_has_an_ended_pod_leads_to_the_other() {
    on_one_thread(async {
        let pool = pool_of("web-headless");
        let (gone, good) = (Pod::start(1).await, Pod::start(2).await);
        test_names::set("web-headless", vec![gone.address, good.address]);
        assert_eq!(ask(&pool).await.unwrap(), "1");
        gone.stop();
        for _ in 0..3 {
            assert_eq!(ask(&pool).await.unwrap(), "2");
        }
        // A name without an address is an error at once, and heals.
        good.stop();
        test_names::set("web-headless", Vec::new());
        let error = ask(&pool).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Connect(_)), "{error:?}");
        let back = Pod::start(3).await;
        test_names::set("web-headless", vec![back.address]);
        assert_eq!(ask(&pool).await.unwrap(), "3");
    });
}
