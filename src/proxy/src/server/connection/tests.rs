use std::rc::Weak;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::{http1 as client_http1, http2 as client_http2};
use hyper_util::rt::TokioIo;
use model::{clock::Clock, headers::TrustedProxies};
use observe::metrics::LimitKind;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    runtime::LocalOptions,
    task::{JoinHandle, spawn_local},
    time::{Instant, sleep},
};
use tokio_rustls::TlsConnector;

use super::*;
use crate::{
    limits::{ConnectionCounts, DescriptorLimit, LimitSettings},
    server::{ClientBody, DrainSchedule, http2::tests::LocalExecutor, patience::PATIENCE},
    signalling::websocket::ClientUpgrade,
};

/// Answers with the connection's properties and the request's path without reading a body; `/wait` never,
/// `/early` and keeps the body, a number with so many bytes, and a handshake with a switch.
pub(in crate::server) struct EchoService;

impl Service for EchoService {
    type Body = Full<Bytes>;

    async fn handle(
        self: Rc<Self>,
        request: Request<ClientBody>,
        connection: Connection,
    ) -> Response<Full<Bytes>> {
        let Connection {
            peer, anonymous, ..
        } = connection;
        let path = request.uri().path();
        if request.headers().contains_key(header::UPGRADE) {
            return switch(request);
        }
        if path == "/early" {
            spawn_local(async move {
                let _body = request.into_body();
                std::future::pending::<()>().await;
            });
            return Response::default();
        }
        if path == "/wait" {
            return std::future::pending().await;
        }
        if let Ok(length) = path[1..].parse() {
            return Response::new(Full::from(vec![b'x'; length]));
        }
        Response::new(Full::from(format!("{peer} {anonymous} {path}")))
    }

    fn on_reload(&self) {}

    fn start_draining(&self) {}

    async fn end_sockets(self: Rc<Self>, _: DrainSchedule) {}
}

/// Switches to another protocol, in which `/flood` writes for ever, and others read to the end.
fn switch(mut request: Request<ClientBody>) -> Response<Full<Bytes>> {
    let floods = request.uri().path() == "/flood";
    let client = ClientUpgrade::of(&mut request);
    spawn_local(async move {
        let mut client = client.socket(&Arc::default()).await.unwrap();
        if floods {
            while client.write_all(&[b'x'; 1024]).await.is_ok() {}
        } else {
            let _ = client.read_to_end(&mut Vec::new()).await;
        }
    });
    let mut switched = Response::new(Full::default());
    *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    switched
}

/// `limits.connection_idle` of the tests, which is not the default.
pub(in crate::server) const IDLE: Duration = Duration::from_secs(95);

/// A client's end of a connection, and the task that serves the other end.
pub(in crate::server) struct Client {
    pub(in crate::server) stream: DuplexStream,
    pub(in crate::server) drain: oneshot::Sender<Duration>,
    pub(in crate::server) serving: JoinHandle<()>,
    pub(in crate::server) metrics: Arc<WorkerMetrics>,
    pub(in crate::server) service: Weak<EchoService>,
}

impl Client {
    pub(in crate::server) fn connect(tls: Option<TlsHandshakes>, proxy_protocol: bool) -> Self {
        let (stream, server_end) = duplex(64 * 1024);
        let (drain, drained) = oneshot::channel();
        let metrics = Arc::<WorkerMetrics>::default();
        let connection = Connection {
            peer: PeerAddr::Ip([192, 0, 2, 1].into()),
            tls: tls.is_some(),
            anonymous: false,
        };
        let server_end =
            ClientStream::new(server_end, permit(connection.peer), Arc::clone(&metrics));
        let service = Rc::new(EchoService);
        let echo = Rc::downgrade(&service);
        let server = ConnectionServer {
            service,
            tls,
            metrics: Arc::clone(&metrics),
            idle: IDLE,
        };
        let serving = spawn_local(async move {
            if proxy_protocol {
                server.serve_proxied(server_end, connection, drained).await;
            } else {
                server.serve_client(server_end, connection, drained).await;
            }
        });
        Self {
            stream,
            drain,
            serving,
            metrics,
            service: echo,
        }
    }

    pub(in crate::server) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads until the text is there.
    pub(in crate::server) async fn expect(&mut self, text: &str) {
        let mut received = Vec::new();
        while !String::from_utf8_lossy(&received).contains(text) {
            received.push(self.stream.read_u8().await.unwrap());
        }
    }

    /// Reads until the server closes the connection; the time that this took.
    pub(in crate::server) async fn closed_after(mut self) -> Duration {
        let began = Instant::now();
        self.stream.read_to_end(&mut Vec::new()).await.unwrap();
        self.serving.await.unwrap();
        began.elapsed()
    }
}

/// A permit of its own.
pub(in crate::server) fn permit(peer: PeerAddr) -> ConnectionPermit {
    let descriptors = DescriptorLimit::of(1024);
    let limits = LimitSettings::default().resolve(descriptors, 1);
    let proxies = TrustedProxies::new(vec!["192.0.2.0/24".parse().unwrap()]);
    let counts = ConnectionCounts::new(limits, descriptors, proxies, Clock::default());
    counts.admit(peer).unwrap()
}

/// Runs a test on one thread; time advances when all tasks wait.
pub(in crate::server) fn with_paused_time<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap()
        .block_on(test)
}

pub(in crate::server) fn about(time: Duration, expected: Duration) -> bool {
    time.abs_diff(expected) < Duration::from_millis(10)
}

#[test]
fn without_a_proxy_header_the_peer_is_the_client() {
    with_paused_time(async {
        let mut client = Client::connect(None, false);
        client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
        client.expect("192.0.2.1 false /a").await;
    });
}

#[test]
fn the_proxy_header_names_the_client() {
    with_paused_time(async {
        let mut client = Client::connect(None, true);
        client
            .send(
                b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n",
            )
            .await;
        client.expect("203.0.113.9 false /a").await;
    });
}

#[test]
fn a_proxy_header_without_an_address_makes_the_connection_anonymous() {
    with_paused_time(async {
        let mut client = Client::connect(None, true);
        client
            .send(b"PROXY UNKNOWN\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        client.expect("192.0.2.1 true /a").await;
    });
}

#[test]
fn a_missing_proxy_header_closes_the_connection() {
    with_paused_time(async {
        let mut client = Client::connect(None, true);
        client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.closed_after().await, Duration::ZERO);
    });
}

#[test]
fn a_late_proxy_header_closes_the_connection() {
    with_paused_time(async {
        let mut client = Client::connect(None, true);
        client.send(b"PROXY ").await;
        assert!(about(client.closed_after().await, PROXY_HEADER_TIMEOUT));
    });
}

#[test]
fn a_late_head_closes_the_connection() {
    with_paused_time(async {
        let mut client = Client::connect(None, false);
        client.send(b"GET /a HTTP/1.1\r\nHost").await;
        assert!(about(client.closed_after().await, IDLE));
    });
}

#[test]
fn a_client_that_reads_nothing_ends_and_one_that_reads_does_not() {
    with_paused_time(async {
        let mut client = Client::connect(None, false);
        client
            .send(b"GET /1000000 HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        let began = Instant::now();
        // 64 KiB each 50 s.
        for _ in 0..5 {
            sleep(Duration::from_secs(50)).await;
            let mut taken = vec![0; 64 * 1024];
            client.stream.read_exact(&mut taken).await.unwrap();
        }
        client.serving.await.unwrap();
        assert_eq!(client.metrics.refusals(LimitKind::SlowReader), 1);
        let ended = began.elapsed();
        assert!(
            about(ended, Duration::from_secs(250) + PATIENCE),
            "{ended:?}"
        );
    });
}

#[test]
fn a_late_tls_handshake_closes_the_connection() {
    with_paused_time(async {
        let (server, _) = tls();
        let client = Client::connect(Some(server), false);
        assert!(about(client.closed_after().await, HANDSHAKE_TIMEOUT));
    });
}

#[test]
fn a_draining_connection_answers_for_the_linger_time() {
    with_paused_time(async {
        let linger = Duration::from_secs(3);
        let mut client = Client::connect(None, false);
        client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
        client.expect("/a").await;
        let (unused, _) = oneshot::channel();
        let drain = std::mem::replace(&mut client.drain, unused);
        drain.send(linger).unwrap();
        client.send(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n").await;
        client.expect("/b").await;
        assert!(about(client.closed_after().await, linger));
    });
}

#[test]
fn alpn_selects_the_http_version() {
    with_paused_time(async {
        for (alpn, version) in [
            (&b"h2"[..], Version::HTTP_2),
            (b"http/1.1", Version::HTTP_11),
        ] {
            let (server, mut config) = tls();
            config.alpn_protocols = vec![alpn.to_vec()];
            let client = Client::connect(Some(server), false);
            let stream = TlsConnector::from(Arc::new(config))
                .connect(ServerName::try_from("localhost").unwrap(), client.stream)
                .await
                .unwrap();
            let request = Request::get("https://localhost/a")
                .header("host", "localhost")
                .body(Empty::<Bytes>::new())
                .unwrap();
            let io = TokioIo::new(stream);
            let response = if version == Version::HTTP_2 {
                let (mut sender, driver) =
                    client_http2::handshake(LocalExecutor, io).await.unwrap();
                spawn_local(driver);
                sender.send_request(request).await.unwrap()
            } else {
                let (mut sender, driver) = client_http1::handshake(io).await.unwrap();
                spawn_local(driver);
                sender.send_request(request).await.unwrap()
            };
            assert_eq!(response.version(), version);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "192.0.2.1 false /a");
        }
    });
}

/// The handshakes of a server and a configuration that trusts its certificate.
pub(in crate::server) fn tls() -> (TlsHandshakes, ClientConfig) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (TlsHandshakes::new(Arc::new(server)), client)
}
