//! Prosody's WebSocket (RFC 7395): whether it is there, and lets the same token in.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode, header};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::{
    Check, Finding,
    bosh::{AUTH, Refusal, Target},
    wire::{Stream, WireError, quoted},
    xml::{Element, escaped},
};

/// Why a WebSocket is of no use.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("{} instead of 101: {}", .0.as_u16(), quoted(.1))]
    Http(StatusCode, String),
    #[error("101 without the protocol xmpp")]
    Protocol,
    #[error("the login is refused: {0}")]
    Refused(Refusal),
    #[error("the stream ended: {0}")]
    Ended(String),
    #[error("nothing came back within {PATIENCE:?}")]
    Silence,
}

/// A WebSocket on which somebody is logged in.
pub(crate) type Socket = WebSocketStream<Box<dyn Stream>>;

/// Opens a WebSocket with the token, or with what the target says of oneself, and logs in.
pub(crate) async fn log_in(target: &Target, token: Option<&str>) -> Result<Socket, SocketError> {
    timeout(PATIENCE, conversation(target, token))
        .await
        .map_err(|_| SocketError::Silence)?
}

/// Begins the stream anew, as one does after logging in: shows that the server still listens.
pub(crate) async fn still_there(socket: &mut Socket, target: &Target) -> Result<(), SocketError> {
    let asking = async {
        let text = Message::text(open(target));
        socket.send(text).await.map_err(|error| ended(&error))?;
        next(socket, "features").await.map(drop)
    };
    timeout(PATIENCE, asking)
        .await
        .map_err(|_| SocketError::Silence)?
}

async fn conversation(target: &Target, token: Option<&str>) -> Result<Socket, SocketError> {
    let path = target.path("/xmpp-websocket");
    let mut request = format!("ws://{}{path}", target.wire.address())
        .into_client_request()
        .map_err(|error| ended(&error))?;
    let headers = request.headers_mut();
    if let Some(token) = token {
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))
            .expect("a JWT has only characters that headers can carry");
        authorization.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, authorization);
    }
    target.dress(headers)?;
    headers.insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static("xmpp"),
    );
    let stream = target.wire.connect().await?;
    let (mut socket, answer) = match client_async(request, stream).await {
        Ok(opened) => opened,
        Err(Error::Http(answer)) => {
            let body = answer.body().as_deref().unwrap_or_default();
            let body = String::from_utf8_lossy(body).into_owned();
            return Err(SocketError::Http(answer.status(), body));
        }
        Err(Error::Protocol(_)) => return Err(SocketError::Protocol),
        Err(error) => return Err(ended(&error)),
    };
    if answer.headers().get(header::SEC_WEBSOCKET_PROTOCOL)
        != Some(&HeaderValue::from_static("xmpp"))
    {
        return Err(SocketError::Protocol);
    }
    for text in [open(target), AUTH.to_owned()] {
        socket
            .send(Message::text(text))
            .await
            .map_err(|error| ended(&error))?;
    }
    next(&mut socket, "success").await?;
    Ok(socket)
}

fn open(target: &Target) -> String {
    format!(
        "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{}' version='1.0'/>",
        escaped(&target.domain)
    )
}

fn ended(error: &dyn std::fmt::Display) -> SocketError {
    SocketError::Ended(quoted(&error.to_string()))
}

/// The next element of this name, unless the server refuses or goes.
async fn next(socket: &mut Socket, name: &str) -> Result<Element, SocketError> {
    while let Some(message) = socket.next().await {
        let message = message.map_err(|error| ended(&error))?;
        let Ok(text) = message.to_text() else {
            continue;
        };
        let Some(element) = Element::parse(text) else {
            continue;
        };
        match element.name.as_str() {
            own if own == name => return Ok(element),
            "failure" => return Err(SocketError::Refused(Refusal::of_sasl(&element))),
            "error" | "close" => return Err(ended(&quoted(text))),
            _ => {}
        }
    }
    Err(ended(&"closed"))
}

/// What that means; `None` if it is not there and nobody wants it.
pub(super) fn judged(result: Result<(), SocketError>, wanted: bool) -> Option<Result<(), Finding>> {
    let error = match result {
        Ok(()) => return Some(Ok(())),
        Err(error) => error,
    };
    let found = |what| {
        Finding::error(Check::S1, what).saw(
            "a WebSocket at /xmpp-websocket, and a login",
            error.to_string(),
        )
    };
    let finding = match &error {
        SocketError::Http(..) if !wanted => return None,
        SocketError::Http(StatusCode::NOT_FOUND, _) => found("off").so(
            "config.js tells clients to use a WebSocket that Prosody does not have",
            "add \"websocket\" to modules_enabled of prosody.cfg.lua, or set \
             ENABLE_XMPP_WEBSOCKET=0 in .env for web and Prosody alike (websockets.xmpp in jitsi-helm)",
        ),
        SocketError::Http(StatusCode::FORBIDDEN, _) => found("origin").so(
            "an old Prosody (0.11) refuses by Origin",
            "update Prosody, or set cross_domain_websocket = true and PUBLIC_URL",
        ),
        SocketError::Http(StatusCode::NOT_IMPLEMENTED, _) | SocketError::Protocol => {
            found("protocol").so(
                "the header Sec-WebSocket-Protocol gets lost on the way",
                "name Prosody itself in upstream.xmpp, without a proxy between",
            )
        }
        SocketError::Http(..) => found("upgrade").so(
            "something on the way does not pass WebSockets on",
            "name Prosody itself in upstream.xmpp, without a proxy between",
        ),
        _ => found("login").so(
            "over a WebSocket a token does not log in that does over BOSH",
            "look at Prosody's log, and at what stands between",
        ),
    };
    Some(Err(finding))
}

/// As long as for BOSH.
const PATIENCE: Duration = Duration::from_secs(7);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_an_upgrade_tell_what_is_on_the_way() {
        let http = |status| Err(SocketError::Http(status, String::new()));
        for (result, expected) in [
            (http(StatusCode::NOT_FOUND), "S1.off"),
            (http(StatusCode::FORBIDDEN), "S1.origin"),
            (http(StatusCode::NOT_IMPLEMENTED), "S1.protocol"),
            (http(StatusCode::OK), "S1.upgrade"),
            (Err(SocketError::Protocol), "S1.protocol"),
            (Err(SocketError::Silence), "S1.login"),
        ] {
            assert_eq!(judged(result, true).unwrap().unwrap_err().id, expected);
        }
        assert_eq!(judged(Ok(()), true), Some(Ok(())));
        assert!(judged(http(StatusCode::NOT_FOUND), false).is_none());
    }
}
