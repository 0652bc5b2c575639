//! The WebSocket transport.

use super::*;

#[tokio::test]
async fn a_handshake_without_the_subprotocol_is_refused() {
    let setup = start().await;
    let request = format!("ws://{}/xmpp-websocket", setup.address);
    let Err(Error::Http(answer)) = tokio_tungstenite::connect_async(request).await else {
        panic!("the handshake needs the subprotocol");
    };
    assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED);
    // The keep-alive of Jitsi's client.
    let page = setup.get("/xmpp-websocket?room=team").await;
    assert_eq!(page.status, StatusCode::OK);
}

#[tokio::test]
async fn oversized_messages_end_the_connection() {
    let setup = start().await;
    let mut client = setup.connect("", None).await.unwrap();
    let large = "x".repeat(MAX_MESSAGE_BYTES + 1);
    let _ = client.0.send(Message::text(large)).await;
    while let Some(Ok(message)) = client.0.next().await {
        assert!(!message.is_text() || message.to_text().unwrap().contains("close"));
    }
}

#[tokio::test]
async fn stopping_closes_the_streams() {
    let setup = start().await;
    let mut client = setup.join(&token("team", "Max", false), "team", "m1").await;
    client.next().await;
    setup.stop.cancel();
    let mut last = client.next().await;
    while last.name() == "presence" {
        last = client.next().await;
    }
    assert_eq!(last.name(), "close");
    setup.done.await.unwrap();
}
