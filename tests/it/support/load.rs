//! Clients that keep a gateway busy while a test replaces its parts, and count what fails.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    client::Resumption,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Interval, interval},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    browser::{Browser, navigation},
    site::ORIGIN,
    xmpp_socket::{SocketEnd, XmppSocket},
};

/// Running clients of a gateway.
pub(crate) struct Load {
    client: LoadClient,
    clients: JoinSet<()>,
    stop: CancellationToken,
}

/// What the clients counted.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Responses with the expected status and a whole body, on kept-alive connections.
    pub(crate) requests: AtomicUsize,
    /// The same on connections of one request, each after a full handshake.
    pub(crate) handshakes: AtomicUsize,
    /// Kept-alive connections that the server closed between two requests.
    pub(crate) reconnects: AtomicUsize,
    /// Requests that were sent again because their connection ended before a response began.
    pub(crate) repeated: AtomicUsize,
    /// Answers over WebSockets.
    pub(crate) echoes: AtomicUsize,
    /// WebSockets that the server closed with 1001, going away.
    pub(crate) going_away: AtomicUsize,
    /// Full handshakes by the leaf that was presented.
    pub(crate) leaves: Mutex<BTreeMap<Vec<u8>, usize>>,
    failures: Mutex<Vec<String>>,
}

/// One client, or the template of several.
#[derive(Clone)]
struct LoadClient {
    browser: Browser,
    path: &'static str,
    figures: Arc<Figures>,
    stop: CancellationToken,
}

/// A kept-alive connection.
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

// === impl Load ===

impl Load {
    /// A load of requests for `path`, which the browser's session may open.
    pub(crate) fn new(browser: Browser, path: &'static str) -> Self {
        let stop = CancellationToken::new();
        let client = LoadClient {
            browser,
            path,
            figures: Arc::default(),
            stop: stop.clone(),
        };
        Self {
            client,
            clients: JoinSet::new(),
            stop,
        }
    }

    /// Starts clients: some of each kind.
    pub(crate) fn start(&mut self) {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for _ in 0..KEPT_ALIVE {
                self.clients.spawn(self.client.clone().keep_alive(version));
            }
        }
        for _ in 0..HANDSHAKING {
            self.clients.spawn(self.client.clone().shake_hands());
        }
        for _ in 0..SOCKETS {
            self.clients.spawn(self.client.clone().echo());
        }
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.client.figures
    }

    /// Ends the clients after their last answers.
    pub(crate) async fn finish(mut self) -> Arc<Figures> {
        self.stop.cancel();
        while let Some(client) = self.clients.join_next().await {
            client.unwrap();
        }
        let figures = &self.client.figures;
        for count in [&figures.requests, &figures.handshakes, &figures.echoes] {
            assert!(count.load(Ordering::Relaxed) >= 100, "{figures}");
        }
        Arc::clone(figures)
    }
}

// === impl Figures ===

impl Figures {
    /// The failures so far.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }

    fn count(count: &AtomicUsize) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in [
            ("requests", &self.requests),
            ("full handshakes", &self.handshakes),
            ("reconnects", &self.reconnects),
            ("repeated requests", &self.repeated),
            ("echoes", &self.echoes),
            ("WebSockets going away", &self.going_away),
        ] {
            write!(f, "{} {name}, ", count.load(Ordering::Relaxed))?;
        }
        let leaves: Vec<_> = self.leaves.lock().unwrap().values().copied().collect();
        write!(f, "handshakes by certificate {leaves:?}, ")?;
        write!(f, "{} failures", self.failures.lock().unwrap().len())
    }
}

// === impl LoadClient ===

impl LoadClient {
    /// Waits for the next tick; false at the end of the load.
    async fn goes_on(&self, ticks: &mut Interval) -> bool {
        self.stop.run_until_cancelled(ticks.tick()).await.is_some()
    }

    fn note(&self, result: Result<(), String>) {
        if let Err(failure) = result {
            self.figures.failures.lock().unwrap().push(failure);
        }
    }

    /// Sends requests on one connection.
    async fn keep_alive(self, version: Version) {
        let mut open = None;
        let mut ticks = interval(PACE);
        while self.goes_on(&mut ticks).await {
            let result = self.exchange(version, &mut open).await;
            self.note(result);
        }
    }

    /// One request. A connection that was used before may end just then: as a browser does, the client
    /// sends the request again on a new one, if no response has begun (RFC 9110 § 9.2.2).
    async fn exchange(&self, version: Version, open: &mut Option<Sender>) -> Result<(), String> {
        let mut reused = match open {
            Some(sender) => sender.is_open().await,
            None => false,
        };
        if !reused && open.take().is_some() {
            Figures::count(&self.figures.reconnects);
        }
        let response = loop {
            let sender = match open {
                Some(sender) => sender,
                None => open.insert(self.connect(version).await?),
            };
            match sender.send(self.request(version)).await {
                Ok(response) => break response,
                Err(error) if reused && is_repeatable(&error) => {
                    Figures::count(&self.figures.repeated);
                    reused = false;
                    *open = None;
                }
                Err(error) => {
                    *open = None;
                    return Err(format!("{version:?}: {error:?}"));
                }
            }
        };
        check(response).await?;
        Figures::count(&self.figures.requests);
        Ok(())
    }

    /// Sends one request on each connection.
    async fn shake_hands(self) {
        let mut ticks = interval(PACE);
        while self.goes_on(&mut ticks).await {
            let result = self.connect_once().await;
            self.note(result);
        }
    }

    async fn connect_once(&self) -> Result<(), String> {
        let stream = self.open(b"http/1.1").await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let leaf = certificates.and_then(<[CertificateDer<'_>]>::first);
        let leaf = leaf.ok_or("no certificate")?.to_vec();
        *self.figures.leaves.lock().unwrap().entry(leaf).or_default() += 1;
        let mut sender = start_http1(stream).await?;
        let response = sender.send(self.request(Version::HTTP_11)).await;
        check(response.map_err(|error| format!("{error:?}"))?).await?;
        Figures::count(&self.figures.handshakes);
        Ok(())
    }

    /// Sends pings over a WebSocket. One that the server closes as going away is opened again.
    async fn echo(mut self) {
        let mut open = None;
        let mut ticks = interval(PACE);
        while self.goes_on(&mut ticks).await {
            match self.ping(&mut open).await {
                Ok(()) => Figures::count(&self.figures.echoes),
                Err(SocketEnd::Closed(1001, _)) => {
                    Figures::count(&self.figures.going_away);
                    open = None;
                }
                Err(end) => {
                    self.note(Err(format!("WebSocket: {end}")));
                    open = None;
                }
            }
        }
    }

    async fn ping(&mut self, open: &mut Option<XmppSocket>) -> Result<(), SocketEnd> {
        let socket = if let Some(socket) = open {
            socket
        } else {
            let refused = |status| SocketEnd::Broken(format!("refused with {status}"));
            let socket = self.browser.socket("room=steady").await;
            open.insert(XmppSocket::log_in(socket.map_err(refused)?).await?)
        };
        socket.ping().await
    }

    async fn connect(&self, version: Version) -> Result<Sender, String> {
        if version == Version::HTTP_11 {
            return start_http1(self.open(b"http/1.1").await?).await;
        }
        let io = TokioIo::new(self.open(b"h2").await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
            .await
            .map_err(|error| format!("{error:?}"))?;
        tokio::spawn(connection);
        Ok(Sender::Http2(sender))
    }

    /// Opens a connection by a full handshake.
    async fn open(&self, protocol: &[u8]) -> Result<TlsStream<TcpStream>, String> {
        let mut tls = self.browser.tls_config(rustls::DEFAULT_VERSIONS);
        tls.alpn_protocols = vec![protocol.to_vec()];
        tls.resumption = Resumption::disabled();
        let stream = TcpStream::connect(self.browser.gateway())
            .await
            .map_err(|error| format!("connect: {error}"))?;
        let name = ServerName::try_from("meet.example.org").unwrap();
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream);
        stream.await.map_err(|error| format!("handshake: {error}"))
    }

    fn request(&self, version: Version) -> Request<Full<Bytes>> {
        let url = Url::parse(ORIGIN).unwrap().join(self.path).unwrap();
        let mut request = Request::new(Full::default());
        *request.headers_mut() = navigation();
        request
            .headers_mut()
            .extend(self.browser.cookie_header(&url));
        let target = if version == Version::HTTP_11 {
            let host = url.host_str().unwrap().parse().unwrap();
            request.headers_mut().insert(header::HOST, host);
            self.path
        } else {
            url.as_str()
        };
        *request.uri_mut() = target.parse().unwrap();
        request
    }
}

async fn start_http1(stream: TlsStream<TcpStream>) -> Result<Sender, String> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| format!("{error:?}"))?;
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}

/// Reads a response, which is a page.
async fn check(response: Response<Incoming>) -> Result<(), String> {
    let (head, body) = response.into_parts();
    let body = body.collect().await;
    let body = body.map_err(|error| format!("body: {error:?}"))?.to_bytes();
    if head.status != StatusCode::OK || body.is_empty() {
        return Err(format!("{} with {} bytes", head.status, body.len()));
    }
    Ok(())
}

// === impl Sender ===

impl Sender {
    /// Whether the connection takes another request.
    async fn is_open(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }
}

/// Clients of each kind: enough that each moment of a replacement meets all kinds.
/// Whether a request on a reused connection was not processed: the connection ended before a response began, or
/// said so by GOAWAY (RFC 9113 § 6.8). Browsers send it again.
fn is_repeatable(error: &hyper::Error) -> bool {
    let of_http2 =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_incomplete_message()
        || error.is_canceled()
        || of_http2
            .is_some_and(|error| error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR))
}

const KEPT_ALIVE: usize = 3;
const HANDSHAKING: usize = 2;
const SOCKETS: usize = 6;

/// The time between two requests of a client.
const PACE: Duration = Duration::from_millis(50);
