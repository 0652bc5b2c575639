mod upgraded;

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self as client, SendRequest};
use observe::metrics::WorkerMetrics;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::{JoinHandle, spawn_local},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::server::{
    connection::{
        HANDSHAKE_TIMEOUT,
        tests::{Client, IDLE, about, tls, with_paused_time},
    },
    patience::PATIENCE,
};

/// Runs the tasks of a client.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// A client that has completed TLS and sent nothing.
struct H2Client {
    stream: TlsStream<DuplexStream>,
    drain: oneshot::Sender<Duration>,
    serving: JoinHandle<()>,
    metrics: Arc<WorkerMetrics>,
}

impl H2Client {
    async fn connect() -> Self {
        let (server, mut config) = tls();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let Client {
            stream,
            drain,
            serving,
            metrics,
            ..
        } = Client::connect(Some(server), false);
        let stream = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
            .unwrap();
        Self {
            stream,
            drain,
            serving,
            metrics,
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

/// A client that writes frames by itself, and acknowledges SETTINGS and PING.
struct FrameClient(H2Client);

#[derive(Debug, PartialEq, Eq)]
struct Received {
    kind: u8,
    stream: u8,
    payload: Vec<u8>,
}

impl FrameClient {
    /// A client whose streams have a window of this size.
    async fn connect(window: u32) -> Self {
        let mut client = Self(H2Client::connect().await);
        client.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let window = [&[0, 4][..], &window.to_be_bytes()].concat();
        client.send(SETTINGS, 0, 0, &window).await;
        client
    }

    /// Writes; the connection may have ended.
    async fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.stream.write_all(bytes).await;
        let _ = self.0.stream.flush().await;
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        let head = [0, 0, length, kind, flags, 0, 0, 0, stream];
        self.write(&[&head[..], payload].concat()).await;
    }

    /// A frame of stream 1, whose content may be longer than 255 bytes.
    async fn send_long(&mut self, kind: u8, flags: u8, payload: &[u8]) {
        let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [high, middle, low, kind, flags, 0, 0, 0, 1];
        self.write(&[&head[..], payload].concat()).await;
    }

    /// A GET of `path` with a whole head.
    async fn get(&mut self, stream: u8, path: &str) {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &head(0x82, path))
            .await;
    }

    /// A POST to `path` with a whole head, and a body that begins.
    async fn begin_post(&mut self, stream: u8, path: &str) {
        self.send(HEADERS, END_HEADERS, stream, &head(0x83, path))
            .await;
        self.send(DATA, 0, stream, &[b'x'; 200]).await;
    }

    /// The next frame but for SETTINGS and PING; none after the end of the connection.
    async fn receive(&mut self) -> Option<Received> {
        loop {
            let mut head = [0; 9];
            self.0.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.stream.read_exact(&mut payload).await.ok()?;
            match (head[3], head[4]) {
                (SETTINGS, 0) => self.send(SETTINGS, 1, 0, &[]).await,
                (PING, 0) => self.send(PING, 1, 0, &payload).await,
                (SETTINGS | PING, _) => {}
                (kind, _) => {
                    let stream = head[8];
                    return Some(Received {
                        kind,
                        stream,
                        payload,
                    });
                }
            }
        }
    }

    /// The times after which streams were reset, until the connection ends.
    async fn resets(&mut self) -> Vec<(u8, Duration)> {
        let began = Instant::now();
        let mut resets = Vec::new();
        while let Some(frame) = self.receive().await {
            if frame.kind == RST_STREAM {
                resets.push((frame.stream, began.elapsed()));
            }
        }
        resets
    }
}

/// The fields of a request; the method is an index of HPACK's static table.
fn head(method: u8, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    let before = [method, 0x87, 0x04, length];
    [&before[..], path.as_bytes(), b"\x01\x01x"].concat()
}

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

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
                sleep(IDLE / 2).await;
                assert_eq!(get(&mut sender).await, "192.0.2.1 false /a");
            }
            let idle_since = Instant::now();
            let ended = timeout(Duration::from_hours(1), client.serving).await;
            ended.expect("an idle connection never ended").unwrap();
            let idle = idle_since.elapsed();
            assert!(about(idle, IDLE), "{idle:?} after {requests}");
            // GOAWAY, and not an error.
            driver.await.unwrap().unwrap();
        }
    });
}

/// A reset before the client has sent its body loses the answer at some clients.
#[test]
fn the_rest_of_a_body_is_awaited_before_an_answered_stream_is_reset() {
    with_paused_time(async {
        let mut client = FrameClient::connect(65_535).await;
        client.begin_post(1, "/a").await;
        for answered in [1, 3] {
            loop {
                let frame = client.receive().await.unwrap();
                assert_ne!(frame.kind, RST_STREAM, "{frame:?}");
                if (frame.kind, frame.stream) == (HEADERS, answered) {
                    break;
                }
            }
            if answered == 1 {
                client.send(DATA, END_STREAM, 1, &[b'x'; 200]).await;
                client.get(3, "/a").await;
            }
        }
        // A body that does not end is not awaited for long.
        let began = Instant::now();
        client.begin_post(5, "/a").await;
        let reset = loop {
            let frame = client.receive().await.unwrap();
            if frame.kind == RST_STREAM {
                break frame;
            }
        };
        assert_eq!((reset.stream, &reset.payload[..]), (5, &[0, 0, 0, 0][..]));
        let waited = began.elapsed();
        assert!(about(waited, Duration::from_secs(2)), "{waited:?}");
    });
}

#[test]
fn a_stream_whose_client_takes_nothing_is_reset() {
    with_paused_time(async {
        let mut client = FrameClient::connect(0).await;
        for stream in [1, 3] {
            client.get(stream, "/a").await;
        }
        let resets = client.resets().await;
        let [(1, first), (3, second)] = resets[..] else {
            panic!("{resets:?}");
        };
        assert_eq!(first, second);
        let longest = PATIENCE + 2 * CHECK_INTERVAL + Duration::from_millis(10);
        assert!((PATIENCE..longest).contains(&first), "{first:?}");
        assert_eq!(client.0.metrics.refusals(LimitKind::SlowReader), 2);
    });
}

#[test]
fn a_stream_whose_client_takes_enough_is_not_reset_and_one_with_less_is() {
    with_paused_time(async {
        // 64 KiB in two minutes are enough, and 1 KiB in two minutes is not.
        for (window, step, survives) in [(0, 8192, true), (0, 128, false)] {
            let mut client = FrameClient::connect(window).await;
            client.get(1, "/65536").await;
            let mut was_reset = false;
            for _ in 0..8 {
                let step: u32 = step;
                client.send(WINDOW_UPDATE, 0, 1, &step.to_be_bytes()).await;
                let pause = sleep(Duration::from_secs(15));
                tokio::pin!(pause);
                loop {
                    tokio::select! {
                        frame = client.receive() => match frame {
                            Some(frame) => was_reset |= frame.kind == RST_STREAM,
                            None => panic!("the connection ended"),
                        },
                        () = &mut pause => break,
                    }
                }
                if was_reset {
                    break;
                }
            }
            assert_eq!(was_reset, !survives, "{step} bytes each 15 s");
        }
    });
}

#[test]
fn a_flood_of_frames_ends_the_connection() {
    with_paused_time(async {
        for (kind, content, many, limit) in [
            (PING, &[0; 8][..], 101, LimitKind::Pings),
            (SETTINGS, &[], 60, LimitKind::Settings),
            (WINDOW_UPDATE, &[0, 0, 0, 1], 1100, LimitKind::WindowUpdates),
        ] {
            let mut client = FrameClient::connect(65_535).await;
            // As many as an honest client may have sent, and then more.
            for _ in 0..40 {
                client.send(kind, 0, 0, content).await;
            }
            sleep(Duration::from_millis(1)).await;
            assert!(!client.0.serving.is_finished(), "{kind}");
            for _ in 40..many {
                client.send(kind, 0, 0, content).await;
            }
            sleep(Duration::from_millis(1)).await;
            assert!(client.0.serving.is_finished(), "{kind}");
            assert_eq!(client.0.metrics.refusals(limit), 1, "{kind}");
        }
    });
}

#[test]
fn what_the_library_ends_a_connection_for_is_counted_by_its_limit() {
    with_paused_time(async {
        // An entry of 4000 bytes in the table, and then the same entry again and again (RFC 7541 § 6.1).
        let entry = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'a'; 4000]].concat();
        let bomb = [&entry[..], &[0xbe; 4000]].concat();
        // Fields without an end, in one frame of a head after the other.
        let field = [0, 1, b'a', 1, b'b'];
        let value = [&[0, 1, b'a', 0x7f, 0xa1, 0x1e][..], &[b'b'; 4000]].concat();
        for (name, first, flags, then, limit) in [
            ("fields", (HEADERS, bomb), 5, None, LimitKind::Head),
            (
                "CONTINUATION",
                (HEADERS, vec![]),
                1,
                Some((9, field.to_vec())),
                LimitKind::Head,
            ),
            (
                "a long head",
                (HEADERS, vec![]),
                1,
                Some((9, value.repeat(4))),
                LimitKind::Head,
            ),
            (
                "DATA",
                (HEADERS, b"\x83\x87\x04\x05/wait\x01\x01x".to_vec()),
                4,
                Some((0, vec![])),
                LimitKind::SmallData,
            ),
        ] {
            let mut client = FrameClient::connect(65_535).await;
            client.send_long(first.0, flags, &first.1).await;
            if let Some((kind, content)) = then {
                for _ in 0..2000 {
                    client.send_long(kind, 0, &content).await;
                }
            }
            sleep(Duration::from_millis(1)).await;
            assert!(client.0.serving.is_finished(), "{name}");
            assert_eq!(client.0.metrics.refusals(limit), 1, "{name}");
            assert_eq!(
                client.0.metrics.refusals(LimitKind::StreamResets),
                0,
                "{name}"
            );
        }
    });
}

#[test]
fn streams_that_are_reset_at_once_end_the_connection_and_are_counted() {
    with_paused_time(async {
        let mut client = FrameClient::connect(65_535).await;
        for number in 0..60 {
            client.get(2 * number + 1, "/wait").await;
            let cancel = [0, 0, 0, 8];
            client.send(RST_STREAM, 0, 2 * number + 1, &cancel).await;
        }
        sleep(Duration::from_millis(1)).await;
        let resets = client.resets().await;
        assert_eq!(resets, []);
        assert!(client.0.serving.is_finished());
        assert_eq!(client.0.metrics.refusals(LimitKind::StreamResets), 1);
    });
}

#[test]
fn streams_that_end_before_their_answer_end_the_connection_in_the_end() {
    with_paused_time(async {
        let mut client = FrameClient::connect(65_535).await;
        // Each is accepted, and reset before it is answered.
        for batch in 0..5u16 {
            for number in 0..50u16 {
                let id = 2 * (50 * batch + number) + 1;
                let [high, low] = id.to_be_bytes();
                let head = b"\x82\x87\x04\x05/wait\x01\x01x";
                let mut frames = vec![0, 0, u8::try_from(head.len()).unwrap(), HEADERS, 5, 0, 0];
                frames.extend([high, low]);
                frames.extend(head);
                if client.0.stream.write_all(&frames).await.is_err() {
                    break;
                }
            }
            // The gateway takes them while the client waits.
            sleep(Duration::from_millis(3)).await;
            for number in 0..50u16 {
                let id = 2 * (50 * batch + number) + 1;
                let [high, low] = id.to_be_bytes();
                let frame = [0, 0, 4, RST_STREAM, 0, 0, 0, high, low, 0, 0, 0, 8];
                if client.0.stream.write_all(&frame).await.is_err() {
                    break;
                }
            }
            sleep(Duration::from_millis(3)).await;
            assert_eq!(client.0.serving.is_finished(), batch == 4, "{batch}");
        }
        assert_eq!(client.0.metrics.refusals(LimitKind::StreamResets), 1);
    });
}
