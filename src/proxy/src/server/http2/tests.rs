use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self as client, SendRequest};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::{JoinHandle, spawn_local},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::server::connection::{
    HANDSHAKE_TIMEOUT,
    tests::{Client, about, tls, with_paused_time},
};

/// A client that has completed TLS and sent nothing.
struct H2Client {
    stream: TlsStream<DuplexStream>,
    drain: oneshot::Sender<Duration>,
    serving: JoinHandle<()>,
}

impl H2Client {
    async fn connect() -> Self {
        let (server, mut config) = tls();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let Client {
            stream,
            drain,
            serving,
        } = Client::connect(Some(server), false);
        let stream = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
            .unwrap();
        Self {
            stream,
            drain,
            serving,
        }
    }

    /// Waits for the end of the connection; the time that this took.
    async fn ended_after(mut self) -> Duration {
        let began = Instant::now();
        // A client that is there and reads.
        let reading = spawn_local(async move {
            let _ = self.stream.read_to_end(&mut Vec::new()).await;
        });
        let ended = timeout(Duration::from_hours(1), self.serving).await;
        ended.expect("the connection never ended").unwrap();
        reading.abort();
        began.elapsed()
    }
}

async fn get(sender: &mut SendRequest<Empty<Bytes>>) -> Bytes {
    let request = Request::get("https://localhost/a").body(Empty::new());
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    answer.into_body().collect().await.unwrap().to_bytes()
}

#[test]
fn a_connection_without_a_preface_ends_with_the_time_of_the_handshake() {
    with_paused_time(async {
        let client = H2Client::connect().await;
        assert!(about(client.ended_after().await, HANDSHAKE_TIMEOUT));
        let mut client = H2Client::connect().await;
        client
            .stream
            .write_all(b"PRI * HTTP/2.0\r\n")
            .await
            .unwrap();
        assert!(about(client.ended_after().await, HANDSHAKE_TIMEOUT));
    });
}

#[test]
fn a_drain_waits_for_a_preface_no_longer_than_for_an_idle_connection() {
    with_paused_time(async {
        let linger = Duration::from_secs(3);
        let mut client = H2Client::connect().await;
        let (unused, _) = oneshot::channel();
        let drain = std::mem::replace(&mut client.drain, unused);
        drain.send(linger).unwrap();
        assert!(about(client.ended_after().await, linger));
    });
}

#[test]
fn a_client_that_answers_neither_ping_nor_goaway_ends_all_the_same() {
    with_paused_time(async {
        for drains in [false, true] {
            let mut client = H2Client::connect().await;
            // The preface and empty SETTINGS, and nothing else.
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let bytes = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat();
            client.stream.write_all(&bytes).await.unwrap();
            let mut settings_of_server = [0; 9];
            let read = client.stream.read_exact(&mut settings_of_server).await;
            read.unwrap();
            if drains {
                let (unused, _) = oneshot::channel();
                let drain = std::mem::replace(&mut client.drain, unused);
                drain.send(Duration::from_secs(3)).unwrap();
                assert!(about(client.ended_after().await, GOAWAY_TIMEOUT));
            } else {
                let ended = client.ended_after().await;
                assert!(about(ended, PING_INTERVAL + PING_TIMEOUT), "{ended:?}");
            }
        }
    });
}

#[test]
fn a_connection_without_an_open_stream_ends_when_it_is_idle() {
    with_paused_time(async {
        for requests in [0, 1, 3] {
            let client = H2Client::connect().await;
            // Its connection answers every PING.
            let (mut sender, driver) =
                client::handshake(LocalExecutor, TokioIo::new(client.stream))
                    .await
                    .unwrap();
            let driver = spawn_local(driver);
            for _ in 0..requests {
                sleep(IDLE_TIMEOUT / 2).await;
                assert_eq!(get(&mut sender).await, "192.0.2.1 false /a");
            }
            let idle_since = Instant::now();
            let ended = timeout(Duration::from_hours(1), client.serving).await;
            ended.expect("an idle connection never ended").unwrap();
            let idle = idle_since.elapsed();
            assert!(about(idle, IDLE_TIMEOUT), "{idle:?} after {requests}");
            // GOAWAY, and not an error.
            driver.await.unwrap().unwrap();
        }
    });
}
