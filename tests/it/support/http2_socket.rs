//! Opens WebSockets over HTTP/2 by the extended CONNECT of RFC 8441.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{ext::Protocol, upgrade};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
use url::Url;

use super::{
    browser::{AGENT, Browser, Socket, Stream},
    reconnecting_client::is_unprocessed,
    site::ORIGIN,
};

/// Why a WebSocket was not opened.
pub(crate) enum Http2Refusal {
    Status(StatusCode),
    /// The server closes the connection, and processes no further request on it.
    GoingAway,
}

/// Opens a file of the site on a new connection, and then a WebSocket on the same one: a browser knows the server's
/// settings by then.
pub(crate) async fn open(browser: &Browser, query: &str) -> Result<Socket, Http2Refusal> {
    let (mut sender, connection) = browser.connect_http2().await?;
    let request = |method: Method, path: &str| {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.method_mut() = method;
        *request.uri_mut() = format!("{ORIGIN}{path}").parse().unwrap();
        let cookies = browser.cookie_header(&Url::parse(ORIGIN).unwrap());
        request.headers_mut().extend(cookies);
        request
    };
    let file = sender.send_request(request(Method::GET, "/images/a.png"));
    file.await?.into_body().collect().await?;
    let mut handshake = request(Method::CONNECT, &format!("/xmpp-websocket?{query}"));
    let protocol = Protocol::from_static("websocket");
    handshake.extensions_mut().insert(protocol);
    for (name, value) in [
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_PROTOCOL, "xmpp"),
        (header::ORIGIN, ORIGIN),
    ] {
        let value = HeaderValue::from_static(value);
        handshake.headers_mut().insert(name, value);
    }
    handshake.headers_mut().insert(header::USER_AGENT, AGENT);
    let answer = sender.send_request(handshake).await?;
    if answer.status() != StatusCode::OK {
        connection.abort();
        return Err(Http2Refusal::Status(answer.status()));
    }
    let stream: Box<dyn Stream> = Box::new(TokioIo::new(upgrade::on(answer).await?));
    Ok(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
}

// === impl Http2Refusal ===

impl From<hyper::Error> for Http2Refusal {
    fn from(error: hyper::Error) -> Self {
        assert!(is_unprocessed(&error), "{error:?}");
        Self::GoingAway
    }
}
