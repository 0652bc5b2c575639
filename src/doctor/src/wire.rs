//! One HTTP exchange on a connection of its own, bounded in time and size.
//!
//! Nothing is pooled: two requests go over two connections, so that several servers behind one
//! address show.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header, uri::Authority};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// The way to a server.
#[derive(Clone)]
pub(super) struct Wire {
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    /// Where to connect instead of where the name leads.
    at: Option<SocketAddr>,
}

/// What a server answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    #[error("the name {0} does not resolve")]
    Name(String),
    #[error("{0} refuses connections")]
    Refused(String),
    #[error("{0} does not answer within {1:?}")]
    Timeout(String, Duration),
    #[error("no TLS with {0}: {1}")]
    Tls(String, String),
    #[error("{0} broke off: {1}")]
    Broken(String, String),
}

/// What both kinds of streams are.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

// === impl Wire ===

impl Wire {
    /// Plain HTTP.
    pub(super) fn plain(to: &Authority) -> Self {
        Self {
            host: to.host().trim_matches(['[', ']']).to_owned(),
            port: to.port_u16().unwrap_or(80),
            tls: None,
            at: None,
        }
    }

    /// HTTPS.
    pub(super) fn tls(to: &Authority, config: Arc<ClientConfig>) -> Self {
        Self {
            port: to.port_u16().unwrap_or(443),
            tls: Some(config),
            ..Self::plain(to)
        }
    }

    /// The same server by name, but reached at this address.
    pub(super) fn at(self, address: SocketAddr) -> Self {
        Self {
            at: Some(address),
            ..self
        }
    }

    /// Where it leads, for messages.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Connects, and shakes hands if that is the way.
    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>, WireError> {
        let stream = self.tcp().await?;
        let Some(config) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let failed = |why: String| WireError::Tls(self.address(), why);
        let name =
            ServerName::try_from(self.host.clone()).map_err(|error| failed(error.to_string()))?;
        let shaking = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        match timeout(CONNECT, shaking).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(WireError::Timeout(self.address(), CONNECT)),
        }
    }

    /// Connects without TLS, whatever comes next.
    pub(super) async fn tcp(&self) -> Result<TcpStream, WireError> {
        let connecting = async {
            match self.at {
                Some(address) => TcpStream::connect(address).await,
                None => TcpStream::connect((self.host.as_str(), self.port)).await,
            }
        };
        match timeout(CONNECT, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.unconnected(&error)),
            Err(_) => Err(WireError::Timeout(self.address(), CONNECT)),
        }
    }

    fn unconnected(&self, error: &io::Error) -> WireError {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => WireError::Refused(self.address()),
            io::ErrorKind::TimedOut => WireError::Timeout(self.address(), CONNECT),
            // Resolvers' errors have no kind of their own, and no number of the system's.
            _ if error.raw_os_error().is_none() => WireError::Name(self.host.clone()),
            _ => WireError::Broken(self.address(), error.to_string()),
        }
    }

    /// Sends one request and reads the answer.
    pub(super) async fn send(&self, request: Request<String>) -> Result<Answer, WireError> {
        self.send_within(request, EXCHANGE).await
    }

    /// Sends one request and reads the answer, which may take so long.
    pub(super) async fn send_within(
        &self,
        request: Request<String>,
        at_most: Duration,
    ) -> Result<Answer, WireError> {
        match timeout(at_most, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(WireError::Timeout(self.address(), at_most)),
        }
    }

    async fn exchange(&self, request: Request<String>) -> Result<Answer, WireError> {
        let broken = |error: &dyn Error| WireError::Broken(self.address(), in_full(error));
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers
            .entry(header::USER_AGENT)
            .or_insert(HeaderValue::from_static(USER_AGENT));
        let exchange = async {
            let answer = sender
                .send_request(request)
                .await
                .map_err(|error| broken(&error))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
            // A head that says enough is worth more than a body that is too long.
            let body = body.map(Collected::to_bytes).unwrap_or_default();
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        // The connection has to be driven for the exchange to go on; when it ends first, what the
        // exchange makes of that is the answer.
        tokio::pin!(exchange);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The body as far as it is text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What kind of document it says it is.
    pub(super) fn is_html(&self) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE);
        kind.and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("text/html"))
            || self
                .text()
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("<!doctype html")
    }

    /// How many bytes of a proxy's buffer the head takes: its lines, and the cookies among them.
    pub(super) fn head_bytes(&self) -> (usize, usize) {
        let line = |name: &header::HeaderName, value: &HeaderValue| {
            name.as_str().len() + ": \r\n".len() + value.len()
        };
        let sum = |cookies: bool| {
            let lines = self.headers.iter();
            let lines = lines.filter(|(name, _)| !cookies || *name == header::SET_COOKIE);
            lines.map(|(name, value)| line(name, value)).sum()
        };
        (sum(false), sum(true))
    }

    /// The status and the beginning of the body, for messages.
    pub(super) fn brief(&self) -> String {
        format!("{} {}", self.status.as_u16(), quoted(&self.text()))
    }
}

/// The beginning of a text in one line, so that nobody's terminal is written to by a server.
pub(super) fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_QUOTED)
        .collect();
    if short.len() < line.len() {
        format!("{short}…")
    } else {
        short
    }
}

fn in_full(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

const USER_AGENT: &str = concat!("jitsi-auth-gateway-doctor/", env!("CARGO_PKG_VERSION"));

/// Long for any network between two services of one deployment.
const CONNECT: Duration = Duration::from_secs(4);

/// Longer than Prosody holds the requests that are sent here.
const EXCHANGE: Duration = Duration::from_secs(8);

/// Jitsi's page has some 30 KiB, its `config.js` less than 100.
const MAX_BODY_BYTES: usize = 512 * 1024;

/// One or two lines of a terminal.
const MAX_QUOTED: usize = 160;
