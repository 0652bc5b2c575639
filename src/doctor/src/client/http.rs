//! One HTTP/1.1 exchange on a connection of its own, bounded in time and size.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header, uri::Authority};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use observe::error_chain;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Host, port and TLS settings of a server.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    /// Overrides name resolution.
    address: Option<SocketAddr>,
}

/// A response with its body, cut off at [`MAX_BODY_BYTES`].
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The size of a response head, as a proxy buffers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeadBytes {
    /// All header lines.
    pub(crate) total: usize,
    /// The `Set-Cookie` lines among them.
    pub(crate) cookies: usize,
}

/// Why there was no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
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

/// A TCP or TLS connection.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

// === impl Endpoint ===

impl Endpoint {
    /// Plain HTTP; the default port is 80.
    pub(crate) fn plain(authority: &Authority) -> Self {
        Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            tls: None,
            address: None,
        }
    }

    /// HTTPS; the default port is 443.
    pub(crate) fn tls(authority: &Authority, config: Arc<ClientConfig>) -> Self {
        Self {
            port: authority.port_u16().unwrap_or(443),
            tls: Some(config),
            ..Self::plain(authority)
        }
    }

    /// Connects to this address instead of resolving the host; TLS still verifies the host.
    pub(crate) fn at(self, address: SocketAddr) -> Self {
        Self {
            address: Some(address),
            ..self
        }
    }

    /// Host and port, for messages.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Connects, with TLS if it is configured.
    pub(crate) async fn connect(&self) -> Result<Box<dyn ByteStream>, HttpError> {
        let stream = self.connect_tcp().await?;
        let Some(config) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let failed = |why: String| HttpError::Tls(self.address(), why);
        let name =
            ServerName::try_from(self.host.clone()).map_err(|error| failed(error.to_string()))?;
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        match timeout(CONNECT_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(HttpError::Timeout(self.address(), CONNECT_TIMEOUT)),
        }
    }

    /// Connects without TLS, whatever is configured.
    pub(crate) async fn connect_tcp(&self) -> Result<TcpStream, HttpError> {
        let connecting = async {
            match self.address {
                Some(address) => TcpStream::connect(address).await,
                None => TcpStream::connect((self.host.as_str(), self.port)).await,
            }
        };
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.connect_error(&error)),
            Err(_) => Err(HttpError::Timeout(self.address(), CONNECT_TIMEOUT)),
        }
    }

    fn connect_error(&self, error: &io::Error) -> HttpError {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => HttpError::Refused(self.address()),
            io::ErrorKind::TimedOut => HttpError::Timeout(self.address(), CONNECT_TIMEOUT),
            // Errors of the resolver have neither an `ErrorKind` of their own nor an errno.
            _ if error.raw_os_error().is_none() => HttpError::Name(self.host.clone()),
            _ => HttpError::Broken(self.address(), error.to_string()),
        }
    }

    /// Sends a request and reads the response, within [`EXCHANGE_TIMEOUT`].
    pub(crate) async fn send(&self, request: Request<String>) -> Result<HttpResponse, HttpError> {
        self.send_within(request, EXCHANGE_TIMEOUT).await
    }

    /// Sends a request and reads the response, within `limit`.
    pub(crate) async fn send_within(
        &self,
        request: Request<String>,
        limit: Duration,
    ) -> Result<HttpResponse, HttpError> {
        match timeout(limit, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::Timeout(self.address(), limit)),
        }
    }

    async fn exchange(&self, request: Request<String>) -> Result<HttpResponse, HttpError> {
        let broken = |error: &dyn Error| HttpError::Broken(self.address(), error_chain(error));
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
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| broken(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
            // A body beyond the limit is dropped: the checks can use the head alone.
            let body = body.map(Collected::to_bytes).unwrap_or_default();
            Ok(HttpResponse {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        // Polling `connection` drives `exchange`. If the connection ends first, the exchange still
        // yields the bytes read so far, or the error.
        tokio::pin!(exchange);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            response = &mut exchange => response,
            _ = &mut connection => exchange.await,
        }
    }
}

// === impl HttpResponse ===

impl HttpResponse {
    /// The body, with invalid UTF-8 replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the content type or the body's beginning is that of an HTML page.
    pub(crate) fn is_html(&self) -> bool {
        let content_type = self.headers.get(header::CONTENT_TYPE);
        content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("text/html"))
            || self
                .text()
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("<!doctype html")
    }

    /// The size of the head in a proxy's buffer.
    pub(crate) fn head_bytes(&self) -> HeadBytes {
        let mut bytes = HeadBytes::default();
        for (name, value) in &self.headers {
            let line = name.as_str().len() + ": \r\n".len() + value.len();
            bytes.total += line;
            if name == header::SET_COOKIE {
                bytes.cookies += line;
            }
        }
        bytes
    }

    /// The status and the beginning of the body, for messages.
    pub(crate) fn summary(&self) -> String {
        format!("{} {}", self.status.as_u16(), single_line(&self.text()))
    }
}

/// The beginning of a text in one line, without control characters.
pub(crate) fn single_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_LINE_CHARS)
        .collect();
    if short.len() < line.len() {
        format!("{short}…")
    } else {
        short
    }
}

const USER_AGENT: &str = concat!("jitsi-auth-gateway-doctor/", env!("CARGO_PKG_VERSION"));

/// A connection between two services of one deployment takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Longer than Prosody holds the requests that the checks send.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(8);

/// Jitsi's page has some 30 KiB, its `config.js` less than 100.
const MAX_BODY_BYTES: usize = 512 * 1024;

/// The message fits into one or two lines of a terminal.
const MAX_LINE_CHARS: usize = 160;
