//! An upstream that records the bytes it receives, and whether they have the one canonical framing.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A request, as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// The request line and the fields.
    pub(crate) head: String,
}

/// What the recorder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Answers with the target of the request.
    WebServer,
    /// Answers as Prosody creates a BOSH session, and opens WebSockets.
    Prosody,
}

/// The upstream; it runs until the test ends.
pub(crate) struct Recorder {
    address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    requests: Mutex<Vec<Recorded>>,
    faults: Mutex<Vec<String>>,
}

// === impl Recorder ===

impl Recorder {
    pub(crate) async fn start(stand: Stand) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::<Log>::default();
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = Arc::clone(&kept);
                tokio::spawn(async move {
                    // The gateway may close at any time.
                    let _: Result<_, _> = serve(stream, stand, &log).await;
                });
            }
        });
        Self { address, log }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests since the last call.
    pub(crate) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.log.requests.lock().unwrap())
    }

    /// What was wrong with the bytes since the last call.
    pub(crate) fn take_faults(&self) -> Vec<String> {
        std::mem::take(&mut self.log.faults.lock().unwrap())
    }
}

async fn serve(mut stream: TcpStream, stand: Stand, log: &Log) -> io::Result<()> {
    let mut read = Vec::new();
    loop {
        let Some(end) = find(&read, b"\r\n\r\n") else {
            if stream.read_buf(&mut read).await? == 0 {
                if !read.is_empty() {
                    log.fault("an incomplete head", &read);
                }
                return Ok(());
            }
            continue;
        };
        let rest = read.split_off(end + 4);
        let head = String::from_utf8_lossy(&read).into_owned();
        for fault in faults(&read, stand) {
            log.fault(fault, &read);
        }
        log.requests
            .lock()
            .unwrap()
            .push(Recorded { head: head.clone() });
        read = rest;
        let upgrades = field(&head, "upgrade").is_some();
        let key = field(&head, "sec-websocket-key").filter(|_| upgrades);
        if let Some(key) = key {
            // Bytes that come before the 101 would be parsed as a request (class 129).
            let early = timeout(BEFORE_101, stream.read_buf(&mut read)).await;
            if !read.is_empty() {
                log.fault("bytes before 101", &read);
            }
            if matches!(early, Ok(Ok(0))) {
                return Ok(());
            }
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                derive_accept_key(key.as_bytes())
            );
            stream.write_all(answer.as_bytes()).await?;
            while stream.read(&mut [0; 1024]).await? > 0 {}
            return Ok(());
        }
        let length = field(&head, "content-length").map_or(0, |text| text.parse().unwrap_or(0));
        while read.len() < length {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        read.drain(..length);
        let target = head.split(' ').nth(1).unwrap_or_default();
        let (kind, body) = match stand {
            Stand::WebServer => ("text/plain", target),
            Stand::Prosody => ("text/xml; charset=utf-8", CREATED),
        };
        let body = if head.starts_with("HEAD ") { "" } else { body };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}

// === impl Log ===

impl Log {
    fn fault(&self, what: &str, bytes: &[u8]) {
        let text = format!("{what}: {}", bytes.escape_ascii());
        self.faults.lock().unwrap().push(text);
    }
}

/// What a head has that another parser could read differently.
fn faults(head: &[u8], stand: Stand) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let text = String::from_utf8_lossy(head);
    let bare = |(at, byte): (usize, &u8)| *byte == b'\n' && (at == 0 || head[at - 1] != b'\r');
    if head.iter().enumerate().any(bare) {
        faults.push("a bare line feed");
    }
    if head.contains(&0) {
        faults.push("a NUL");
    }
    let mut lines = text.trim_end().split("\r\n");
    let line: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
    if line.len() != 3 || !line[1].starts_with('/') || line[2] != "HTTP/1.1" {
        faults.push("a request line of another form");
    }
    let names: Vec<_> = lines
        .map(|line| line.split(':').next().unwrap_or_default().to_lowercase())
        .collect();
    let count = |name: &str| names.iter().filter(|it| *it == name).count();
    if count("host") != 1 {
        faults.push("not one Host");
    }
    if count("content-length") > 1 {
        faults.push("several lengths");
    }
    if stand == Stand::Prosody && head.starts_with(b"POST ") && count("content-length") == 0 {
        faults.push("a POST without a length");
    }
    for name in [
        "transfer-encoding",
        "te",
        "trailer",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
    ] {
        if count(name) > 0 {
            faults.push("a hop-by-hop field");
        }
    }
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if names.iter().any(|name| !name.bytes().all(token)) {
        faults.push("a name of a field with other than letters, digits and hyphens");
    }
    if stand == Stand::Prosody && head.len() > MAX_HEAD_BYTES {
        faults.push("a head that Prosody does not answer");
    }
    faults
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// Loopback needs far less.
const BEFORE_101: Duration = Duration::from_millis(10);

/// Prosody 0.12 gives no answer to a longer head.
const MAX_HEAD_BYTES: usize = 10 * 1024;

const CREATED: &str = "<body xmlns='http://jabber.org/protocol/httpbind' sid='upstream-sid' wait='60' requests='2' \
    hold='1' ver='1.6' from='meet.jitsi' authid='x' inactivity='60' polling='5' xmpp:version='1.0' \
    xmlns:xmpp='urn:xmpp:xbosh' xmlns:stream='http://etherx.jabber.org/streams'/>";
