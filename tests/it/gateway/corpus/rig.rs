//! The gateway between hostile clients and upstreams that record what arrives.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::support::{
    browser::{Browser, Stream},
    corpus::{AttackClass, Channel, Forwarded, Hostile, Outcome},
    frames::{
        DATA, END_HEADERS, END_STREAM, Frame, FrameClient, GOAWAY, HEADERS, PREFACE, RST_STREAM,
        SETTINGS, field_block,
    },
    recorder::{Recorded, Recorder, Stand},
    site::{ORIGIN, Site, SiteOptions},
};

/// A gateway between a client and two recording upstreams.
pub(super) struct Rig {
    site: Site,
    web: Recorder,
    prosody: Recorder,
    tls: ClientConfig,
    cookie: String,
}

/// The answer to a hostile request.
struct Answer {
    outcome: Outcome,
    /// All answers on the connection, interim ones excepted.
    count: usize,
    text: String,
    /// The gateway ended the connection before the client did.
    closed: bool,
}

const RULES: &str = r#"
[[room]]
match = "staff-*"
enter = ["group:staff"]
[[room]]
match = "*"
enter = "member"
[listen]
trusted_proxies = ["127.0.0.9/32"]
[limits]
streams_per_session = 5000
connections_per_address = 2000
[upstream]
"#;

// === impl Rig ===

impl Rig {
    pub(super) async fn start() -> Self {
        let web = Recorder::start(Stand::WebServer).await;
        let prosody = Recorder::start(Stand::Prosody).await;
        let rules = format!(
            "{RULES}web = \"{}\"\nxmpp = \"{}\"\n",
            web.url(),
            prosody.url()
        );
        let site = Site::with(SiteOptions::default().rules(&rules))
            .await
            .ready()
            .await;
        let browser: Browser = site.signed_in("max").await;
        let tls = browser.tls_config(rustls::DEFAULT_VERSIONS);
        let (_, cookie) = browser
            .cookie_header(&Url::parse(ORIGIN).unwrap())
            .expect("a session");
        let cookie = cookie.to_str().unwrap().to_owned();
        web.take();
        Self {
            site,
            web,
            prosody,
            tls,
            cookie,
        }
    }

    /// The texts that all files may use.
    pub(super) fn given(
        &self,
        channel: Channel,
        signed_in: bool,
    ) -> BTreeMap<&'static str, String> {
        let cookie = if signed_in { &*self.cookie } else { "a=b" };
        let mut own = if channel == Channel::Http2 {
            format!(":scheme: https\n:authority: {HOST}\ncookie: {cookie}")
        } else {
            format!("Host: {HOST}\nCookie: {cookie}")
        };
        let mut secure = format!("Cookie: {cookie}");
        if channel == Channel::Proxy {
            for lines in [&mut own, &mut secure] {
                lines.push_str("\nX-Forwarded-Proto: https\nX-Forwarded-For: 192.0.2.7");
            }
        }
        let smuggled = format!("GET /smuggled HTTP/1.1\\r\\nHost: {HOST}\\r\\n\\r\\n");
        let length = crate::support::corpus::unescape(&smuggled).len();
        BTreeMap::from([
            ("own", own),
            ("secure", secure),
            ("host", HOST.to_owned()),
            ("cookie", cookie.to_owned()),
            ("origin", ORIGIN.to_owned()),
            ("smuggled", smuggled),
            ("length", length.to_string()),
            ("hex length", format!("{length:x}")),
            ("create", super::super::CREATE.to_owned()),
            ("create length", super::super::CREATE.len().to_string()),
        ])
    }

    /// Sends a request. Returns the differences of the answer, and of the requests that the upstreams received, from the
    /// expected ones.
    pub(super) async fn attempt(
        &self,
        class: &AttackClass,
        channel: Channel,
        hostile: &Hostile,
    ) -> Vec<String> {
        let answer = match channel {
            Channel::Http2 => self.send_http2(hostile).await,
            Channel::Tls | Channel::Proxy => self.send(channel, class, hostile).await,
        };
        let mut faults = Vec::new();
        if !class.expect.permits(answer.outcome) {
            let line: String = answer.text.chars().take(300).collect();
            faults.push(format!("answered {:?}: {line}", answer.outcome));
        }
        if answer.count > 1 && !class.any_number {
            faults.push(format!("{} answers: {}", answer.count, answer.text));
        }
        if class.expect.closes && !answer.closed {
            faults.push("the connection stays open".to_owned());
        }
        let shown = answer.text.to_lowercase();
        for text in &class.never_answered {
            if shown.contains(text) {
                faults.push(format!("answered with {text}: {}", answer.text));
            }
        }
        faults.extend(foreign_location(&answer.text, self.site.issuer()));
        let received = [self.web.take(), self.prosody.take()].concat();
        let right = match class.forwarded {
            Forwarded::Nothing => received.is_empty(),
            Forwarded::AtMostOne => received.len() <= 1,
            Forwarded::One => received.len() == 1,
        };
        if !right {
            faults.push(format!("upstreams received {received:?}"));
        }
        for text in &class.never_forwarded {
            faults.extend(received.iter().filter_map(|request| {
                let found = request.head.to_lowercase().contains(text);
                found.then(|| format!("upstream received {text}: {}", request.head))
            }));
        }
        faults.extend(self.faults(&received));
        faults
    }

    /// What no upstream may ever receive.
    fn faults(&self, received: &[Recorded]) -> Vec<String> {
        let smuggled = received
            .iter()
            .filter(|request| request.head.contains("/smuggled"));
        let smuggled = smuggled.map(|request| format!("smuggled: {}", request.head));
        let framing = [self.web.take_faults(), self.prosody.take_faults()].concat();
        smuggled.chain(framing).collect()
    }

    /// An honest client gets its own answer from the web server and from Prosody.
    pub(super) async fn honest(&self, number: usize) -> Vec<String> {
        let mut stream = self.connect_tls(&[]).await;
        let target = format!("/libs/honest-{number}.js");
        let bosh = super::super::CREATE;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n\
             POST /http-bind?room=honest HTTP/1.1\r\nHost: {HOST}\r\nOrigin: {ORIGIN}\r\nCookie: {}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{bosh}",
            self.cookie,
            bosh.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
        let text = String::from_utf8_lossy(&bytes);
        let mut faults = Vec::new();
        if read.is_err()
            || text.matches("HTTP/1.1 200").count() != 2
            || !text.contains(&target)
            || !text.contains("<body")
        {
            faults.push(format!(
                "honest requests after {number} hostile ones: {text}"
            ));
        }
        let received = [self.web.take(), self.prosody.take()].concat();
        if received.len() != 2 {
            faults.push(format!("two honest requests arrive as {received:?}"));
        }
        faults.extend(self.faults(&received));
        faults
    }

    async fn send(&self, channel: Channel, class: &AttackClass, hostile: &Hostile) -> Answer {
        let mut stream: Box<dyn Stream> = if channel == Channel::Proxy {
            let address = self.site.http_address();
            Box::new(connect_from(TRUSTED, address).await)
        } else {
            self.connect_tls(&[]).await
        };
        // The gateway may have closed after the first bytes.
        let _: Result<_, _> = stream.write_all(&hostile.bytes()).await;
        let _: Result<_, _> = stream.flush().await;
        if class.ends {
            let _: Result<_, _> = stream.shutdown().await;
        }
        let mut bytes = Vec::new();
        let (mut closed, mut silent) = (false, false);
        while !closed && !silent && (class.expect.closes || final_statuses(&bytes).is_empty()) {
            match timeout(PATIENCE, stream.read_buf(&mut bytes)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => closed = true,
                Err(_) => silent = true,
            }
        }
        if !closed {
            let _: Result<_, _> = stream.shutdown().await;
            let _: Result<_, _> = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
        }
        let statuses = final_statuses(&bytes);
        let outcome = match statuses.first() {
            Some(status) => Outcome::Status(*status),
            None if closed => Outcome::Closed,
            None => Outcome::Silence,
        };
        Answer {
            outcome,
            count: statuses.len(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
            closed,
        }
    }

    async fn send_http2(&self, hostile: &Hostile) -> Answer {
        let mut client = FrameClient::new(self.connect_tls(&[b"h2"]).await);
        let (fields, body) = hostile.fields();
        let fields = fields.iter().map(|(name, value)| (&name[..], &value[..]));
        let block = field_block(fields);
        let mut bytes = [PREFACE, &Frame::new(SETTINGS, 0, 0, []).bytes()].concat();
        let ends = if body.is_none() { END_STREAM } else { 0 };
        // A block that is longer than a frame is continued.
        let mut parts = block.chunks(MAX_FRAME).peekable();
        let (mut kind, mut flags) = (HEADERS, ends);
        while let Some(part) = parts.next() {
            flags |= if parts.peek().is_none() {
                END_HEADERS
            } else {
                0
            };
            bytes.extend(Frame::new(kind, flags, 1, part).bytes());
            (kind, flags) = (crate::support::frames::CONTINUATION, 0);
        }
        if let Some(body) = body {
            bytes.extend(Frame::new(DATA, END_STREAM, 1, body).bytes());
        }
        client.send(&bytes).await;
        let mut text = String::new();
        let outcome = loop {
            match client.next(PATIENCE).await {
                Err(_) => break Outcome::Silence,
                Ok(None) => break Outcome::Reset,
                Ok(Some(frame)) => match frame.kind {
                    HEADERS if frame.stream == 1 => {
                        break frame.status().map_or(Outcome::Silence, Outcome::Status);
                    }
                    RST_STREAM | GOAWAY => {
                        text = format!("{frame:?}");
                        break Outcome::Reset;
                    }
                    _ => {}
                },
            }
        };
        Answer {
            outcome,
            count: 1,
            text,
            closed: outcome == Outcome::Reset,
        }
    }

    async fn connect_tls(&self, protocols: &[&[u8]]) -> Box<dyn Stream> {
        let mut tls = self.tls.clone();
        tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.site.running.addresses.https.unwrap())
            .await
            .unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        let connector = TlsConnector::from(Arc::new(tls));
        Box::new(connector.connect(name, stream).await.unwrap())
    }
}

/// Opens a connection from another address of the loopback network.
async fn connect_from(source: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

/// The statuses of the answers, interim ones excepted.
fn final_statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    // An answer counts once its head is whole.
    let heads = text.split("HTTP/1.1 ").skip(1);
    heads
        .filter(|head| head.contains("\r\n\r\n"))
        .filter_map(|head| head.get(..3)?.parse().ok())
        .filter(|status| *status == 101 || *status >= 200)
        .collect()
}

/// A redirect to a site that is neither this one nor the provider's.
fn foreign_location(answer: &str, issuer: &str) -> Option<String> {
    let head = answer.split("\r\n\r\n").next()?;
    let location = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim())
    })?;
    let target = Url::parse(ORIGIN).unwrap().join(location);
    let own = target.is_ok_and(|url| {
        url.host_str() == Some(HOST) || url.as_str().starts_with(&format!("{issuer}/"))
    });
    (!own).then(|| format!("redirected to {location}"))
}

const HOST: &str = "meet.example.org";

/// The address of the trusted proxy.
const TRUSTED: &str = "127.0.0.9";

/// `SETTINGS_MAX_FRAME_SIZE`, unless a peer raises it.
const MAX_FRAME: usize = 16_384;

/// A slow machine answers within it; the gateway's own timeouts are longer.
const PATIENCE: Duration = Duration::from_secs(8);
