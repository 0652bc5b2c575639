use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{client::conn::http1 as client_http1, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use observe::metrics::{ControlMetrics, Metrics, UpstreamKind, WorkerMetrics};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpListener,
    runtime::{Builder, LocalOptions},
    task::spawn_local,
    time::advance,
};

use super::*;
use crate::{
    server::PatienceTimer,
    upstream::{UploadProgress, UpstreamBodyError, body_silence::LONGEST_SILENCE},
};

const WITHIN: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Runs a test on one thread with time that advances when all tasks wait.
fn with_paused_time<T>(test: impl Future<Output = T>) -> T {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap()
        .block_on(test)
}

/// Runs a test that opens TCP connections, which paused time would time out.
fn with_network<T>(test: impl Future<Output = T>) -> T {
    Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap()
        .block_on(test)
}

pub(super) fn failures() -> FailureCounter {
    FailureCounter::new(Arc::default(), UpstreamKind::Web)
}

/// A pool whose upstream refuses new connections.
fn offline_pool() -> UpstreamPool {
    UpstreamPool::new(
        "127.0.0.1:1".parse().unwrap(),
        WITHIN,
        IDLE_TIMEOUT,
        8,
        failures(),
    )
}

/// Adds an idle connection to a pool; the upstream's end of it.
async fn add_connection(pool: &UpstreamPool) -> DuplexStream {
    let (client_end, upstream_end) = duplex(4096);
    let (mut sender, driver) = client_http1::handshake(TokioIo::new(client_end))
        .await
        .unwrap();
    spawn_local(driver);
    sender.ready().await.unwrap();
    pool.add_idle(sender);
    upstream_end
}

/// Answers each read with these bytes.
fn answer_with(mut upstream_end: DuplexStream, response: &'static [u8]) {
    spawn_local(async move {
        let mut received = [0; 4096];
        while upstream_end
            .read(&mut received)
            .await
            .is_ok_and(|count| count > 0)
        {
            upstream_end.write_all(response).await.unwrap();
        }
    });
}

async fn send(pool: &UpstreamPool, retry: bool) -> Result<Response<UpstreamBody>, UpstreamError> {
    pool.send(Request::new(RequestBody::Empty), WITHIN, retry)
        .await
}

async fn read(response: Response<UpstreamBody>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

fn idle_count(pool: &UpstreamPool) -> usize {
    pool.0.idle.borrow().len()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn the_most_recently_used_connection_is_reused() {
    with_paused_time(async {
        let pool = offline_pool();
        answer_with(
            add_connection(&pool).await,
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nolder",
        );
        answer_with(
            add_connection(&pool).await,
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnewer",
        );
        for _ in 0..2 {
            let response = send(&pool, false).await.unwrap();
            assert_eq!(idle_count(&pool), 1, "a connection in use is not idle");
            assert_eq!(read(response).await, "newer");
            assert_eq!(idle_count(&pool), 2);
        }
    });
}

#[test]
fn a_connection_is_not_reused_if_its_response_was_not_read() {
    with_paused_time(async {
        let pool = offline_pool();
        answer_with(add_connection(&pool).await, OK);
        drop(send(&pool, false).await.unwrap());
        assert_eq!(idle_count(&pool), 0);
    });
}

#[test]
fn answers_that_are_not_read_take_all_places_until_one_is_over() {
    with_paused_time(async {
        let pool = UpstreamPool::new(
            "127.0.0.1:1".parse().unwrap(),
            WITHIN,
            IDLE_TIMEOUT,
            2,
            failures(),
        );
        for _ in 0..3 {
            answer_with(add_connection(&pool).await, OK);
        }
        assert_eq!(idle_count(&pool), 2, "no more are kept than may be used");
        let first = send(&pool, false).await.unwrap();
        let _second = send(&pool, false).await.unwrap();
        let error = send(&pool, false).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Busy(_)), "{error:?}");
        assert_eq!(read(first).await, "ok");
        assert_eq!(read(send(&pool, false).await.unwrap()).await, "ok");
    });
}

#[test]
fn idle_connections_expire_together() {
    with_paused_time(async {
        let pool = offline_pool();
        let _open = [add_connection(&pool).await, add_connection(&pool).await];
        advance(IDLE_TIMEOUT + Duration::from_millis(1)).await;
        assert!(pool.take_idle().await.is_none());
        assert_eq!(idle_count(&pool), 0);
    });
}

#[test]
fn a_connection_that_the_upstream_closed_is_skipped() {
    with_paused_time(async {
        let pool = offline_pool();
        answer_with(add_connection(&pool).await, OK);
        drop(add_connection(&pool).await);
        // The task of the connection notices the end in its next turn.
        yield_now().await;
        let response = send(&pool, false).await.unwrap();
        assert_eq!(read(response).await, "ok");
    });
}

#[test]
fn an_upstream_that_sends_no_head_times_out() {
    with_paused_time(async {
        let pool = offline_pool();
        let _silent = add_connection(&pool).await;
        let error = send(&pool, true).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Timeout(_)), "{error:?}");
    });
}

#[test]
fn a_request_is_not_repeated_without_permission() {
    with_paused_time(async {
        let pool = offline_pool();
        close_at_request(add_connection(&pool).await);
        let error = send(&pool, false).await.unwrap_err();
        assert!(matches!(error, UpstreamError::NoAnswer(..)), "{error:?}");
    });
}

#[test]
fn a_request_is_not_repeated_after_an_invalid_response() {
    with_paused_time(async {
        let pool = offline_pool();
        answer_with(add_connection(&pool).await, b"not HTTP\r\n\r\n");
        let error = send(&pool, true).await.unwrap_err();
        assert!(matches!(error, UpstreamError::NoAnswer(..)), "{error:?}");
    });
}

#[test]
fn a_request_is_repeated_once_on_a_new_connection() {
    with_network(async {
        let pool = UpstreamPool::new(eager_upstream().await, WITHIN, IDLE_TIMEOUT, 8, failures());
        close_at_request(add_connection(&pool).await);
        let response = send(&pool, true).await.unwrap();
        assert_eq!(read(response).await, "ok");
    });
}

#[test]
fn a_connection_that_still_sends_its_request_is_not_reused() {
    with_network(async {
        let pool = UpstreamPool::new(eager_upstream().await, WITHIN, IDLE_TIMEOUT, 8, failures());
        let mut slow_client = forward_one_request(pool.clone());
        slow_client
            .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nhalf")
            .await
            .unwrap();
        // The response is here; the rest of the request is not.
        slow_client.read_u8().await.unwrap();
        for _ in 0..2 {
            let response = send(&pool, true).await.unwrap();
            read(response).await;
        }
        assert_eq!(idle_count(&pool), 1, "the new connection stays");
    });
}

/// Closes the connection after the first bytes of a request.
fn close_at_request(mut upstream_end: DuplexStream) {
    spawn_local(async move {
        upstream_end.read_u8().await.unwrap();
    });
}

/// An upstream that answers each request when it has its head, before its body.
async fn eager_upstream() -> Authority {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            spawn_local(async move {
                let mut received = [0; 4096];
                while stream
                    .read(&mut received)
                    .await
                    .is_ok_and(|count| count > 0)
                {
                    stream.write_all(OK).await.unwrap();
                }
            });
        }
    });
    address.to_string().parse().unwrap()
}

/// Forwards one request with a streamed body, as the gateway does; the client's end.
fn forward_one_request(pool: UpstreamPool) -> DuplexStream {
    let (client, server) = duplex(4096);
    let service = service_fn(move |request: Request<Incoming>| {
        let pool = pool.clone();
        async move {
            let request = request.map(|body| RequestBody::Streamed {
                body: body.into(),
                left: 1000,
                pace: PatienceTimer::default(),
                progress: UploadProgress::begin(),
            });
            assert!(replay(&request).is_none());
            let response = pool.send(request, WITHIN, false).await;
            read(response.unwrap()).await;
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    spawn_local(async move {
        let serving = http1::Builder::new();
        let _ = serving
            .serve_connection(TokioIo::new(server), service)
            .await;
    });
    client
}

#[test]
fn the_rest_of_a_body_is_not_waited_for_without_end() {
    with_paused_time(async {
        let pool = offline_pool();
        let mut upstream = add_connection(&pool).await;
        let mut client = forward_one_request(pool);
        let half = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf";
        client.write_all(half).await.unwrap();
        let mut received = [0; 4096];
        assert!(upstream.read(&mut received).await.unwrap() > 0);
        upstream.write_all(OK).await.unwrap();
        let began = Instant::now();
        let rest = timeout(
            Duration::from_hours(1),
            upstream.read_to_end(&mut Vec::new()),
        )
        .await;
        assert!(
            rest.is_ok(),
            "the connection is kept for the rest of the body"
        );
        assert!(
            began.elapsed() < Duration::from_secs(70),
            "{:?}",
            began.elapsed()
        );
    });
}

#[test]
fn the_time_for_a_response_begins_behind_the_last_bytes_of_the_upload() {
    with_paused_time(async {
        let pool = offline_pool();
        let mut upstream = add_connection(&pool).await;
        let mut client = forward_one_request(pool);
        client
            .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n")
            .await
            .unwrap();
        let answering = async {
            let mut received = Vec::new();
            while !received.ends_with(b"xxxxxxxx") {
                assert!(upstream.read_buf(&mut received).await.unwrap() > 0);
            }
            tokio::time::sleep(WITHIN.mul_f32(0.9)).await;
            upstream.write_all(OK).await.unwrap();
        };
        let uploading = async {
            for _ in 0..8 {
                tokio::time::sleep(WITHIN.mul_f32(0.9)).await;
                client.write_all(b"x").await.unwrap();
            }
            let mut answer = [0; 12];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
        };
        tokio::join!(answering, uploading);
    });
}

/// A pool with a connection whose upstream answers with this head; the upstream's end, and the response.
async fn begin_body(pool: &UpstreamPool, head: &[u8]) -> (DuplexStream, Response<UpstreamBody>) {
    let mut upstream = add_connection(pool).await;
    let answering = async {
        assert!(upstream.read(&mut [0; 4096]).await.unwrap() > 0);
        upstream.write_all(head).await.unwrap();
    };
    let (response, ()) = tokio::join!(send(pool, false), answering);
    (upstream, response.unwrap())
}

const NINE_BYTES: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";

#[test]
fn a_body_that_goes_silent_breaks_off_and_its_connection_is_closed() {
    with_paused_time(async {
        let metrics = Arc::<WorkerMetrics>::default();
        let failures = FailureCounter::new(Arc::clone(&metrics), UpstreamKind::Xmpp);
        let to = "127.0.0.1:1".parse().unwrap();
        let pool = UpstreamPool::new(to, WITHIN, IDLE_TIMEOUT, 8, failures);
        let (mut upstream, response) = begin_body(&pool, NINE_BYTES).await;
        let mut body = response.into_body();
        for _ in 0..4 {
            upstream.write_all(b"x").await.unwrap();
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "x");
            // Bytes now and then are no silence.
            let nothing = timeout(LONGEST_SILENCE.mul_f32(0.9), body.frame()).await;
            assert!(nothing.is_err());
        }
        upstream.write_all(b"x").await.unwrap();
        body.frame().await.unwrap().unwrap();
        let began = Instant::now();
        let frame = timeout(Duration::from_hours(1), body.frame()).await;
        let error = frame.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, UpstreamBodyError::Silent), "{error:?}");
        let (took, tick) = (began.elapsed(), Duration::from_millis(1));
        assert!((LONGEST_SILENCE..=LONGEST_SILENCE + tick).contains(&took));
        drop(body);
        assert_eq!(upstream.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(idle_count(&pool), 0);
        let text = Metrics::new(vec![metrics], &ControlMetrics::default(), 0).encode();
        let counted = "upstream_failures_total{upstream=\"xmpp\",kind=\"silent_body\"} 1\n";
        assert!(text.contains(counted), "{text}");
    });
}

#[test]
fn a_body_that_is_not_read_is_not_silent() {
    with_paused_time(async {
        let pool = offline_pool();
        let (mut upstream, response) = begin_body(&pool, NINE_BYTES).await;
        let mut body = response.into_body();
        for text in ["four", " five"] {
            // The reader waits for it, and then takes nothing more.
            let writing = async {
                yield_now().await;
                upstream.write_all(text.as_bytes()).await.unwrap();
            };
            let (frame, ()) = tokio::join!(body.frame(), writing);
            assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), text);
            advance(10 * LONGEST_SILENCE).await;
        }
        assert!(body.frame().await.is_none());
        assert_eq!(idle_count(&pool), 1);
    });
}

#[test]
fn the_silence_of_events_has_no_end() {
    with_paused_time(async {
        let pool = offline_pool();
        let (mut upstream, mut response) = begin_body(&pool, NINE_BYTES).await;
        response.body_mut().permit_silence();
        let mut body = response.into_body();
        assert!(
            timeout(Duration::from_hours(9), body.frame())
                .await
                .is_err()
        );
        upstream.write_all(b"an event!").await.unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "an event!");
    });
}

#[test]
fn an_upgrade_that_was_not_requested_is_an_error() {
    with_paused_time(async {
        let pool = offline_pool();
        let switch =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        answer_with(add_connection(&pool).await, switch);
        let error = send(&pool, true).await.unwrap_err();
        assert!(
            matches!(error, UpstreamError::UnrequestedUpgrade(_)),
            "{error:?}"
        );
        assert_eq!(idle_count(&pool), 0);
    });
}

#[test]
fn bytes_on_an_idle_connection_end_it() {
    with_paused_time(async {
        let pool = offline_pool();
        let mut upstream = add_connection(&pool).await;
        upstream.write_all(OK).await.unwrap();
        assert_eq!(upstream.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(pool.take_idle().await.is_none());
    });
}

#[test]
fn a_connect_that_is_not_answered_times_out() {
    with_network(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // The kernel drops what arrives at a full queue.
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let _filling: Vec<_> = (0..8)
            .map(|_| spawn_local(tokio::net::TcpStream::connect(address)))
            .collect();
        yield_now().await;
        let to = address.to_string().parse().unwrap();
        let connect_timeout = Duration::from_millis(200);
        let pool = UpstreamPool::new(to, connect_timeout, IDLE_TIMEOUT, 8, failures());
        let error = send(&pool, true).await.unwrap_err();
        let UpstreamError::Connect(UpstreamConnectError::Timeout(_)) = error else {
            panic!("{error:?}");
        };
    });
}
