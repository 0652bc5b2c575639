//! Streams that became WebSockets.

use http::Method;
use hyper::{
    ext::Protocol,
    upgrade::{self, Upgraded},
};

use super::{extended_connect::LAST_BYTES_TIMEOUT, *};

/// A connection, of which one stream became a WebSocket to `path`.
async fn upgraded(path: &str) -> (JoinHandle<()>, TokioIo<Upgraded>) {
    let client = H2Client::connect().await;
    let (mut sender, driver) = client::handshake(LocalExecutor, TokioIo::new(client.stream))
        .await
        .unwrap();
    spawn_local(driver);
    // The settings of the gateway permit it.
    get(&mut sender).await;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = format!("https://localhost{path}").parse().unwrap();
    let protocol = Protocol::from_static("websocket");
    request.extensions_mut().insert(protocol);
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), http::StatusCode::OK);
    let upgraded = upgrade::on(answer).await.unwrap();
    // The client keeps its connection, and the worker does not drain.
    let drain = client.drain;
    spawn_local(async move {
        let _kept = (sender, drain);
        std::future::pending::<()>().await;
    });
    (client.serving, TokioIo::new(upgraded))
}

#[test]
fn a_connection_is_not_idle_while_a_web_socket_is_open() {
    with_paused_time(async {
        let (serving, mut socket) = upgraded("/socket").await;
        sleep(10 * IDLE).await;
        assert!(!serving.is_finished());
        socket.shutdown().await.unwrap();
        assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
        let ended_since = Instant::now();
        serving.await.unwrap();
        let idle = ended_since.elapsed();
        assert!(about(idle, IDLE), "{idle:?}");
    });
}

#[test]
fn a_web_socket_whose_client_does_not_read_ends() {
    with_paused_time(async {
        let (serving, socket) = upgraded("/flood").await;
        let began = Instant::now();
        serving.await.unwrap();
        let (ended, expected) = (began.elapsed(), PATIENCE + LAST_BYTES_TIMEOUT + IDLE);
        assert!(about(ended, expected), "{ended:?}");
        drop(socket);
    });
}
