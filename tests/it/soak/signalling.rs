//! A person's stream over one of the transports.

use std::time::Duration;

use http::{StatusCode, Version};

use crate::support::{
    browser::Browser,
    http2_socket::{self, Http2Refusal},
    xmpp_bosh::{BoshEnd, XmppBosh},
    xmpp_socket::{SocketEnd, XmppSocket},
};

/// How a person's client connects.
#[derive(Clone, Copy)]
pub(super) enum Transport {
    WebSocket(Version),
    Bosh(Version),
}

/// An open stream.
pub(super) enum Signalling {
    Socket(XmppSocket),
    Bosh(XmppBosh),
}

/// Why a stream ended before its time.
pub(super) enum Interruption {
    /// The replica stops.
    GoingAway,
    /// The credentials were revoked.
    SignedOut,
    /// The person may not enter or stay: without credentials, or by the rules.
    Denied(String),
    /// Anything else.
    Fault(String),
}

// === impl Transport ===

impl Transport {
    /// One person of five has BOSH, and WebSockets are over both versions of HTTP.
    pub(super) fn of(person: usize) -> Self {
        match person % 10 {
            0 => Self::Bosh(Version::HTTP_11),
            5 => Self::Bosh(Version::HTTP_2),
            1 | 6 | 7 => Self::WebSocket(Version::HTTP_2),
            _ => Self::WebSocket(Version::HTTP_11),
        }
    }

    /// Opens a stream and logs in.
    pub(super) async fn connect(
        self,
        browser: &mut Browser,
        room: &str,
    ) -> Result<Signalling, Interruption> {
        let query = format!("room={room}");
        let socket = match self {
            Self::Bosh(version) => {
                let bosh = XmppBosh::log_in(browser.clone(), version, room);
                return Ok(Signalling::Bosh(bosh.await?));
            }
            Self::WebSocket(Version::HTTP_2) => http2_socket::open(browser, &query).await?,
            Self::WebSocket(_) => browser.socket(&query).await?,
        };
        Ok(Signalling::Socket(XmppSocket::log_in(socket).await?))
    }
}

// === impl Signalling ===

impl Signalling {
    pub(super) async fn join(&mut self, room: &str, nick: &str) -> Result<(), Interruption> {
        match self {
            Self::Socket(socket) => socket.join(room, nick).await?,
            Self::Bosh(bosh) => bosh.join(room, nick).await?,
        }
        Ok(())
    }

    pub(super) async fn say(&mut self, room: &str, text: &str) -> Result<(), Interruption> {
        match self {
            Self::Socket(socket) => socket.say(room, text).await?,
            Self::Bosh(bosh) => bosh.say(room, text).await?,
        }
        Ok(())
    }

    /// Receives for a while; over BOSH, until the answer to one request.
    pub(super) async fn listen(&mut self, time: Duration) -> Result<(), Interruption> {
        match self {
            Self::Socket(socket) => socket.listen(time).await?,
            Self::Bosh(bosh) => bosh.poll().await?,
        }
        Ok(())
    }

    pub(super) async fn close(&mut self) -> Result<(), Interruption> {
        match self {
            Self::Socket(socket) => socket.close().await,
            Self::Bosh(bosh) => bosh.close().await?,
        }
        Ok(())
    }

    /// Drops the connection; over BOSH in a request, or between two.
    pub(super) async fn break_off(self, in_request: bool) {
        match self {
            Self::Bosh(bosh) if in_request => bosh.break_off().await,
            Self::Bosh(_) | Self::Socket(_) => {}
        }
    }

    /// Requests of this stream that were sent again.
    pub(super) fn repeated(&self) -> usize {
        match self {
            Self::Socket(_) => 0,
            Self::Bosh(bosh) => bosh.repeated,
        }
    }
}

// === impl Interruption ===

impl From<StatusCode> for Interruption {
    fn from(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Denied(status.to_string()),
            StatusCode::SERVICE_UNAVAILABLE => Self::GoingAway,
            _ => Self::Fault(status.to_string()),
        }
    }
}

impl From<Http2Refusal> for Interruption {
    fn from(refusal: Http2Refusal) -> Self {
        match refusal {
            Http2Refusal::Status(status) => status.into(),
            Http2Refusal::GoingAway => Self::GoingAway,
        }
    }
}

impl From<SocketEnd> for Interruption {
    fn from(end: SocketEnd) -> Self {
        match &end {
            SocketEnd::Closed(1001, _) => Self::GoingAway,
            SocketEnd::Closed(1008, text) if text == "signed-out" => Self::SignedOut,
            SocketEnd::Closed(1008, _) => Self::Denied(end.to_string()),
            SocketEnd::Closed(..) | SocketEnd::Broken(_) => Self::Fault(end.to_string()),
        }
    }
}

impl From<BoshEnd> for Interruption {
    fn from(end: BoshEnd) -> Self {
        match &end {
            BoshEnd::Terminated(condition) if condition == "signed-out" => Self::SignedOut,
            BoshEnd::Terminated(condition) if condition == "policy-violation" => {
                Self::Denied(end.to_string())
            }
            BoshEnd::Terminated(_) | BoshEnd::Broken(_) => Self::Fault(end.to_string()),
        }
    }
}
