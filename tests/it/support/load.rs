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
use http::{Request, StatusCode, Version};
use http_body_util::BodyExt;
use rustls::pki_types::CertificateDer;
use tokio::{
    task::JoinSet,
    time::{Interval, interval},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    browser::{Browser, navigation},
    reconnecting_client::{ReconnectingClient, Sender, message, open_tls},
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
        let mut client = ReconnectingClient::new(self.browser.clone(), version);
        let mut ticks = interval(PACE);
        while self.goes_on(&mut ticks).await {
            let result = self.exchange(&mut client).await;
            self.note(result);
        }
    }

    async fn exchange(&self, client: &mut ReconnectingClient) -> Result<(), String> {
        let delivery = client.exchange(&self.request()).await?;
        for (happened, count) in [
            (delivery.reconnected, &self.figures.reconnects),
            (delivery.repeated, &self.figures.repeated),
        ] {
            count.fetch_add(usize::from(happened), Ordering::Relaxed);
        }
        check(delivery.head.status, &delivery.body)?;
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
        let stream = open_tls(&self.browser, b"http/1.1").await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let leaf = certificates.and_then(<[CertificateDer<'_>]>::first);
        let leaf = leaf.ok_or("no certificate")?.to_vec();
        *self.figures.leaves.lock().unwrap().entry(leaf).or_default() += 1;
        let mut sender = Sender::http1(stream).await?;
        let request = message(&self.browser, Version::HTTP_11, &self.request());
        let response = sender.send(request).await;
        let (head, body) = response.map_err(|error| format!("{error:?}"))?.into_parts();
        let body = body.collect().await;
        let body = body.map_err(|error| format!("body: {error:?}"))?.to_bytes();
        check(head.status, &body)?;
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

    fn request(&self) -> Request<Bytes> {
        let url = Url::parse(ORIGIN).unwrap().join(self.path).unwrap();
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = url.as_str().parse().unwrap();
        *request.headers_mut() = navigation();
        request
    }
}

/// Checks a response, which is a page.
fn check(status: StatusCode, body: &Bytes) -> Result<(), String> {
    if status != StatusCode::OK || body.is_empty() {
        return Err(format!("{status} with {} bytes", body.len()));
    }
    Ok(())
}

/// Clients of each kind: enough that each moment of a replacement meets all kinds.
const KEPT_ALIVE: usize = 3;
const HANDSHAKING: usize = 2;
const SOCKETS: usize = 6;

/// The time between two requests of a client.
const PACE: Duration = Duration::from_millis(50);
