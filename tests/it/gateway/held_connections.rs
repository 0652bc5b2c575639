//! Ten thousand idle WebSockets, and two thousand BOSH polls that Prosody holds: what they take, and that it is
//! given back.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use model::clock::Clock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};
use url::Url;

use super::{CREATE, sid_of};
use crate::support::{
    holding_upstream,
    process::GatewayProcess,
    site::{ORIGIN, Site, SiteOptions},
};

/// What is held.
#[derive(Clone, Copy, Debug)]
enum Held {
    WebSocket,
    Poll,
}

/// A gateway behind a proxy that terminates TLS, and the cookie of a session.
struct Scene {
    process: GatewayProcess,
    cookie: String,
    _site: Site,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as many connections as the system permits: a step of tests/run"]
async fn memory_of_ten_thousand_sockets_and_two_thousand_polls_is_given_back() {
    let scene = Scene::start().await;
    // What the first connections allocate is not theirs.
    for held in [Held::WebSocket, Held::Poll] {
        drop(scene.hold(held, WARM_UP).await);
    }
    for (held, wanted) in [(Held::WebSocket, 10_000), (Held::Poll, 2_000)] {
        let count = wanted.min(descriptors() / 2 - RESERVE);
        scene.wait_until_open(held, 0).await;
        let before = scene.settled().await;
        let connections = scene.hold(held, count).await;
        scene.wait_until_open(held, count).await;
        let during = scene.settled().await;
        drop(connections);
        let after = scene
            .wait_until_memory_is_at_most(before + before / 5)
            .await;
        println!(
            "{count} of {held:?}: {before} KiB before, {during} KiB with them, {} bytes each, {after} KiB after",
            during.saturating_sub(before) * 1024 / count as u64,
        );
        assert!(
            after <= before + before / 5,
            "{held:?}: more than a fifth is left"
        );
    }
}

// === impl Held ===

impl Held {
    /// The gauge that counts them. A BOSH session outlives its poll.
    const fn gauge(self) -> &'static str {
        match self {
            Self::WebSocket => "jitsi_auth_gateway_streams_open{kind=\"websocket\"}",
            Self::Poll => "jitsi_auth_gateway_connections_open",
        }
    }
}

// === impl Scene ===

impl Scene {
    async fn start() -> Self {
        let url = holding_upstream::start().await;
        let rules = format!(
            "[[room]]\nmatch = \"*\"\nenter = \"member\"\n\
             [upstream]\nweb = \"{url}\"\nxmpp = \"{url}\"\n\
             [listen]\ntrusted_proxies = [\"127.0.0.1/32\"]\n[log]\naccess = false\n\
             [limits]\nconnections = {MOST}\nupstream_connections = {MOST}\nstreams_per_session = {MOST}\n\
             connections_per_address = {MOST}\n",
        );
        // The program reads the system's clock; the provider has the same time.
        let (clock, control) = Clock::manual(Clock::system().now());
        let options = SiteOptions::default().rules(&rules).clock(clock, control);
        let site = Site::with(options).await.ready().await;
        let browser = site.signed_in("max").await;
        let (_, cookie) = browser.cookie_header(&Url::parse(ORIGIN).unwrap()).unwrap();
        let config = site.file("gateway.toml");
        let starting = tokio::task::spawn_blocking(move || GatewayProcess::start(&config));
        Self {
            process: starting.await.unwrap(),
            cookie: cookie.to_str().unwrap().to_owned(),
            _site: site,
        }
    }

    /// Opens so many, each with its answer, or waiting for one.
    async fn hold(&self, held: Held, count: usize) -> Vec<TcpStream> {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut opening = JoinSet::new();
        for _ in 0..count {
            let (turns, cookie, address) =
                (Arc::clone(&turns), self.cookie.clone(), self.process.http);
            opening.spawn(async move {
                let _turn = turns.acquire().await.unwrap();
                match held {
                    Held::WebSocket => web_socket(address, &cookie).await,
                    Held::Poll => poll(address, &cookie).await,
                }
            });
        }
        opening.join_all().await
    }

    /// Waits until the gateway counts so many.
    async fn wait_until_open(&self, held: Held, count: usize) {
        let deadline = Instant::now() + DEADLINE;
        let mut open = usize::MAX;
        while open != count && Instant::now() < deadline {
            sleep(SAMPLE_INTERVAL).await;
            let value = self.process.metric(held.gauge());
            open = value.to_string().parse().unwrap();
        }
        assert_eq!(open, count, "{held:?}");
    }

    /// Resident memory in KiB when it no longer falls: buffers of idle connections are freed after five to ten
    /// seconds, and the allocator returns free pages within ten.
    async fn settled(&self) -> u64 {
        let deadline = Instant::now() + DEADLINE;
        let mut lowest = self.process.usage().resident;
        let mut since = Instant::now();
        while since.elapsed() < STEADY && Instant::now() < deadline {
            sleep(SAMPLE_INTERVAL).await;
            let resident = self.process.usage().resident;
            if resident < lowest - lowest / 100 {
                (lowest, since) = (resident, Instant::now());
            }
        }
        lowest
    }

    /// Resident memory in KiB, as soon as it is at most so much, or at the deadline.
    async fn wait_until_memory_is_at_most(&self, limit: u64) -> u64 {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let resident = self.process.usage().resident;
            if resident <= limit || Instant::now() > deadline {
                return resident;
            }
            sleep(SAMPLE_INTERVAL).await;
        }
    }
}

/// A WebSocket of the room, open.
async fn web_socket(gateway: SocketAddr, cookie: &str) -> TcpStream {
    let mut socket = TcpStream::connect(gateway).await.unwrap();
    let request = format!(
        "GET /xmpp-websocket?room=held HTTP/1.1\r\n{}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: xmpp\r\n\r\n",
        fields(cookie)
    );
    let answer = exchange(&mut socket, &request).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    socket
}

/// A poll of a session of its own, which waits.
async fn poll(gateway: SocketAddr, cookie: &str) -> TcpStream {
    let mut socket = TcpStream::connect(gateway).await.unwrap();
    let request = |body: &str| {
        let length = body.len();
        format!(
            "POST /http-bind?room=held HTTP/1.1\r\n{}Content-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{body}",
            fields(cookie)
        )
    };
    let answer = exchange(&mut socket, &request(CREATE)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let sid = sid_of(&answer);
    let body = format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'/>");
    socket.write_all(request(&body).as_bytes()).await.unwrap();
    socket
}

/// The fields of a browser, behind a proxy that terminates TLS.
fn fields(cookie: &str) -> String {
    format!(
        "Host: meet.example.org\r\nOrigin: {ORIGIN}\r\nCookie: {cookie}\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-For: 203.0.113.9\r\n"
    )
}

/// Sends a request and reads the answer, whose body is an element or empty.
async fn exchange(socket: &mut TcpStream, request: &str) -> String {
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let is_whole = !head.contains("200 OK") || body.trim_end().ends_with('>');
            if is_whole {
                return text.into_owned();
            }
        }
        let count = socket.read_buf(&mut read).await.unwrap();
        assert!(count > 0, "closed after {}", String::from_utf8_lossy(&read));
    }
}

/// The most files that this process, and one that it starts, may have open.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let hard = line.unwrap().split_whitespace().nth(4).unwrap();
    hard.parse().unwrap_or(usize::MAX)
}

/// Handshakes at a time: more would only queue in the kernel.
const AT_ONCE: usize = 64;

const WARM_UP: usize = 200;

/// Of the gateway's limits: more than any number of this test.
const MOST: usize = 16_000;

/// Descriptors for all else, at the gateway and here.
const RESERVE: usize = 200;

const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);

/// Memory that has not fallen by a percent for so long has settled.
const STEADY: Duration = Duration::from_secs(5);

/// Longer than any machine takes.
const DEADLINE: Duration = Duration::from_mins(1);
