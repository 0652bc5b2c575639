//! A client with one kept-alive connection, which it opens anew when the server closed it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Version, header, response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{client::Resumption, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Url;

use super::browser::Browser;

/// A client of one HTTP version.
pub(crate) struct ReconnectingClient {
    browser: Browser,
    version: Version,
    open: Option<Sender>,
}

/// A response, and what became of the connection before.
pub(crate) struct Delivery {
    pub(crate) head: response::Parts,
    pub(crate) body: Bytes,
    /// The server had closed the connection since the previous request.
    pub(crate) reconnected: bool,
    /// The request was sent again, because its connection ended before a response began.
    pub(crate) repeated: bool,
}

/// An open connection.
pub(crate) enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

// === impl ReconnectingClient ===

impl ReconnectingClient {
    pub(crate) fn new(browser: Browser, version: Version) -> Self {
        Self {
            browser,
            version,
            open: None,
        }
    }

    /// Sends a request with the cookies of the browser. The connection may end just then: as a browser does, the client
    /// sends a request again that was not processed. On a connection that was used before, that is also one without the
    /// beginning of a response (RFC 9110 § 9.2.2).
    pub(crate) async fn exchange(&mut self, request: &Request<Bytes>) -> Result<Delivery, String> {
        let reused = match &mut self.open {
            Some(sender) => sender.is_open().await,
            None => false,
        };
        let reconnected = !reused && self.open.take().is_some();
        let mut repeated = false;
        let response = loop {
            let message = self.message(request);
            let sender = if let Some(sender) = &mut self.open {
                sender
            } else {
                let sender = connect(&self.browser, self.version).await?;
                self.open.insert(sender)
            };
            match sender.send(message).await {
                Ok(response) => break response,
                Err(error)
                    if !repeated
                        && (is_unprocessed(&error) || reused && error.is_incomplete_message()) =>
                {
                    repeated = true;
                    self.open = None;
                }
                Err(error) => {
                    self.open = None;
                    return Err(format!("{:?}: {error:?}", self.version));
                }
            }
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await;
        Ok(Delivery {
            head,
            body: body.map_err(|error| format!("body: {error:?}"))?.to_bytes(),
            reconnected,
            repeated,
        })
    }

    /// A copy of a request with an absolute URL, as the version of HTTP has it.
    fn message(&self, request: &Request<Bytes>) -> Request<Full<Bytes>> {
        message(&self.browser, self.version, request)
    }
}

/// A request with the cookies of a browser and the target of a version of HTTP.
pub(crate) fn message(
    browser: &Browser,
    version: Version,
    request: &Request<Bytes>,
) -> Request<Full<Bytes>> {
    let url = Url::parse(&request.uri().to_string()).unwrap();
    let mut message = Request::new(Full::new(request.body().clone()));
    *message.method_mut() = request.method().clone();
    *message.headers_mut() = request.headers().clone();
    message.headers_mut().extend(browser.cookie_header(&url));
    *message.uri_mut() = if version == Version::HTTP_11 {
        let host = url.host_str().unwrap().parse().unwrap();
        message.headers_mut().insert(header::HOST, host);
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        target.parse().unwrap()
    } else {
        request.uri().clone()
    };
    message
}

/// Opens a connection of a version of HTTP.
async fn connect(browser: &Browser, version: Version) -> Result<Sender, String> {
    if version == Version::HTTP_11 {
        return Sender::http1(open_tls(browser, b"http/1.1").await?).await;
    }
    let io = TokioIo::new(open_tls(browser, b"h2").await?);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
        .await
        .map_err(|error| format!("{error:?}"))?;
    tokio::spawn(connection);
    Ok(Sender::Http2(sender))
}

/// Opens a connection by a full handshake.
pub(crate) async fn open_tls(
    browser: &Browser,
    protocol: &[u8],
) -> Result<TlsStream<TcpStream>, String> {
    let mut tls = browser.tls_config(rustls::DEFAULT_VERSIONS);
    tls.alpn_protocols = vec![protocol.to_vec()];
    tls.resumption = Resumption::disabled();
    let stream = TcpStream::connect(browser.gateway())
        .await
        .map_err(|error| format!("connect: {error}"))?;
    let name = ServerName::try_from("meet.example.org").unwrap();
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream);
    stream.await.map_err(|error| format!("handshake: {error}"))
}

/// Whether a request was not processed: it was not sent, or the server says so by GOAWAY (RFC 9113 § 8.7).
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    let of_http2 =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_canceled()
        || of_http2
            .is_some_and(|error| error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR))
}

// === impl Sender ===

impl Sender {
    pub(crate) async fn http1(stream: TlsStream<TcpStream>) -> Result<Self, String> {
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| format!("{error:?}"))?;
        tokio::spawn(connection);
        Ok(Self::Http1(sender))
    }

    /// Whether the connection takes another request.
    async fn is_open(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<http::Response<Incoming>> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }
}
