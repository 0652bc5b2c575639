use tokio::time::{Instant, timeout};

use super::*;
use crate::server::connection::tests::{Client, IDLE, about, tls, with_paused_time};

/// After this time without a request the buffers are free.
const PAUSE: Duration = BUFFER_TIMEOUT
    .saturating_mul(2)
    .saturating_add(Duration::from_secs(1));

/// Whether the HTTP library has the connection, with its buffers: it has a share of the service then.
fn has_buffers(client: &Client) -> bool {
    client.service.strong_count() > 1
}

/// A client whose request was answered.
async fn answered_client() -> Client {
    let mut client = Client::connect(None, false);
    client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.expect("/a").await;
    client
}

#[test]
fn an_idle_connection_has_no_buffers_until_its_next_request() {
    with_paused_time(async {
        let mut client = answered_client().await;
        for path in ["/b", "/c"] {
            assert!(has_buffers(&client));
            sleep(PAUSE).await;
            assert!(!has_buffers(&client));
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            client.send(request.as_bytes()).await;
            client.expect(path).await;
        }
    });
}

#[test]
fn requests_that_follow_each_other_keep_the_buffers() {
    with_paused_time(async {
        let mut client = answered_client().await;
        for _ in 0..20 {
            sleep(BUFFER_TIMEOUT * 9 / 10).await;
            assert!(has_buffers(&client));
            client.send(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n").await;
            client.expect("/b").await;
        }
    });
}

/// What a client does slowly keeps the buffers, and is answered.
#[test]
fn a_connection_that_is_not_idle_keeps_its_buffers() {
    for (name, pieces) in [
        ("a head", vec!["GET /b HT", "TP/1.1\r\nHo", "st: x\r\n\r\n"]),
        (
            "two requests at once",
            vec![
                "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HT",
                "TP/1.1\r\nHost: x\r\n\r\n",
            ],
        ),
    ] {
        with_paused_time(async {
            let mut client = answered_client().await;
            for piece in pieces {
                client.send(piece.as_bytes()).await;
                sleep(BUFFER_TIMEOUT * 3).await;
                if !piece.ends_with('\n') {
                    assert!(has_buffers(&client), "{name}: {piece}");
                }
            }
            client.expect("/b").await;
        });
    }
}

/// The handler holds the body, of which the client sends the rest after a pause.
#[test]
fn the_rest_of_a_body_is_no_request() {
    with_paused_time(async {
        let mut client = answered_client().await;
        let rest = "GET /b HTTP/1.1\r\nHost: x\r\n\r\n";
        let head = format!(
            "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            rest.len() * 2
        );
        client.send(head.as_bytes()).await;
        client.expect("200 OK").await;
        sleep(BUFFER_TIMEOUT * 4).await;
        client.send(rest.as_bytes()).await;
        let mut received = [0; 256];
        let mut answer = String::new();
        while let Ok(Ok(count)) = timeout(IDLE * 2, client.stream.read(&mut received)).await
            && count > 0
        {
            answer.push_str(&String::from_utf8_lossy(&received[..count]));
        }
        assert!(!answer.contains("200 OK"), "{answer}");
    });
}

#[test]
fn a_request_that_waits_for_its_answer_keeps_the_buffers() {
    with_paused_time(async {
        let mut client = answered_client().await;
        client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
        sleep(BUFFER_TIMEOUT * 10).await;
        assert!(has_buffers(&client));
    });
}

/// Much more than the pipe holds, with pauses that are longer than the timeout.
#[test]
fn a_slow_reader_gets_the_whole_answer() {
    with_paused_time(async {
        const LENGTH: usize = 1_000_000;
        let mut client = answered_client().await;
        let request = format!("GET /{LENGTH} HTTP/1.1\r\nHost: x\r\n\r\n");
        client.send(request.as_bytes()).await;
        client.expect("\r\n\r\n").await;
        let mut taken = 0;
        while taken < LENGTH {
            sleep(BUFFER_TIMEOUT * 3).await;
            let mut piece = vec![0; (LENGTH - taken).min(60_000)];
            client.stream.read_exact(&mut piece).await.unwrap();
            assert!(piece.iter().all(|byte| *byte == b'x'));
            taken += piece.len();
        }
        sleep(PAUSE).await;
        assert!(!has_buffers(&client));
    });
}

#[test]
fn an_idle_connection_closes_when_its_time_is_over() {
    with_paused_time(async {
        let client = answered_client().await;
        let lasted = client.closed_after().await;
        assert!(
            IDLE <= lasted && lasted <= IDLE + BUFFER_TIMEOUT,
            "{lasted:?}"
        );
    });
}

/// A connection without buffers, too, must not give a slow head more time than `IDLE`.
#[test]
fn a_head_that_begins_after_a_pause_has_its_time_and_no_more() {
    with_paused_time(async {
        let mut client = answered_client().await;
        sleep(BUFFER_TIMEOUT * 4).await;
        client.send(b"GET /b HT").await;
        let metrics = Arc::clone(&client.metrics);
        assert!(about(client.closed_after().await, IDLE));
        assert_eq!(metrics.refusals(LimitKind::HeadTime), 1);
    });
}

#[test]
fn a_draining_connection_without_buffers_answers_for_the_linger_time() {
    let linger = Duration::from_secs(3);
    for asks in [false, true] {
        with_paused_time(async {
            let mut client = answered_client().await;
            sleep(BUFFER_TIMEOUT * 4).await;
            let began = Instant::now();
            let (unused, _) = oneshot::channel();
            let drain = std::mem::replace(&mut client.drain, unused);
            drain.send(linger).unwrap();
            if asks {
                client.send(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n").await;
                client.expect("/b").await;
            }
            client.closed_after().await;
            assert!(about(began.elapsed(), linger), "{:?}", began.elapsed());
        });
    }
}

#[test]
fn a_tls_connection_without_buffers_answers_and_ends_with_an_alert() {
    with_paused_time(async {
        let (server, mut config) = tls();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client = Client::connect(Some(server), false);
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, client.stream).await.unwrap();
        let mut answer = [0; 12];
        for _ in 0..3 {
            stream
                .write_all(b"GET /5 HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .unwrap();
            let mut received = Vec::new();
            while !received.ends_with(b"xxxxx") {
                received.push(stream.read_u8().await.unwrap());
            }
            answer.copy_from_slice(&received[..12]);
            assert_eq!(&answer, b"HTTP/1.1 200");
            sleep(PAUSE).await;
            assert_eq!(client.service.strong_count(), 1);
        }
        // An end without an alert is an error.
        assert_eq!(stream.read(&mut answer).await.unwrap(), 0);
    });
}

#[test]
fn a_client_that_leaves_an_idle_connection_ends_it() {
    with_paused_time(async {
        let client = answered_client().await;
        sleep(PAUSE).await;
        drop(client.stream);
        client.serving.await.unwrap();
    });
}
