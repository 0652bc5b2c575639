//! A running meeting and honest visitors beside it, whose times are measured.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    browser::{Browser, Http2Sender, Socket},
    site::ORIGIN,
};

/// The times of something that is done again and again.
#[derive(Clone, Default)]
pub(super) struct Times(Arc<Mutex<Vec<Timed>>>);

/// When something began, and the time until its end, or why it failed.
#[derive(Clone, Debug)]
struct Timed {
    began: Instant,
    took: Result<Duration, String>,
}

/// What was measured in one slice of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Slice {
    /// Times of echoes through the gateway, in order.
    echoes: Vec<Duration>,
    /// Times of echoes without it, in order: what the machine takes.
    controls: Vec<Duration>,
    /// Times of answers to honest visitors and probes, in order.
    answers: Vec<Duration>,
    /// The requests of honest visitors and probes that got no answer or an error, and why.
    pub(super) failures: Vec<String>,
    /// The idle time of the machine's processors, and their whole time, if they were measured.
    pub(super) idle: (u64, u64),
}

/// The meeting and the visitors; they end with this value.
pub(super) struct Bystanders {
    echoes: Times,
    controls: Times,
    answers: Times,
    _tasks: JoinSet<()>,
}

// === impl Times ===

impl Times {
    fn add(&self, began: Instant, took: Result<Duration, String>) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.push(Timed { began, took });
    }

    /// What began in a slice.
    fn between(&self, from: Instant, to: Instant) -> Vec<Timed> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within = times.iter().filter(|it| (from..to).contains(&it.began));
        within.cloned().collect()
    }
}

// === impl Slice ===

impl Slice {
    /// One slice out of several.
    pub(super) fn joined<'s>(slices: impl IntoIterator<Item = &'s Self>) -> Self {
        let mut joined = Self::default();
        for slice in slices {
            joined.echoes.extend(&slice.echoes);
            joined.controls.extend(&slice.controls);
            joined.answers.extend(&slice.answers);
            joined.idle.0 += slice.idle.0;
            joined.idle.1 += slice.idle.1;
            joined.failures.extend_from_slice(&slice.failures);
        }
        joined.echoes.sort();
        joined.controls.sort();
        joined.answers.sort();
        joined
    }

    /// The time within which 99 of 100 echoes came.
    pub(super) fn echo_p99(&self) -> Duration {
        percentile(&self.echoes, 99)
    }

    /// That of echoes without the gateway.
    pub(super) fn control_p99(&self) -> Duration {
        percentile(&self.controls, 99)
    }

    /// The time within which 19 of 20 answers came.
    pub(super) fn answer_p95(&self) -> Duration {
        percentile(&self.answers, 95)
    }

    /// The time of the slowest answer.
    pub(super) fn slowest_answer(&self) -> Duration {
        self.answers.last().copied().unwrap_or(Duration::MAX)
    }

    /// Whether processors are busy with other things in a quiet slice: then an echo waits for them, and longer if
    /// the gateway has more to do.
    pub(super) const fn is_busy(&self) -> bool {
        let (idle, all) = self.idle;
        idle * 4 < all
    }

    /// Whether times are compared with these: by an option, on a machine that has nothing else to do.
    pub(super) fn is_compared(&self) -> bool {
        std::env::var_os("GATEWAY_TEST_TIMES").is_some() && !self.is_busy()
    }

    /// Whether so many of 100 echoes took at most twice as long as 99 of a quiet slice, or so short that it is not
    /// noticed. What the machine takes is added several times, as an echo through the gateway waits for four
    /// processes or threads, and one without it for two. Without the option, and on a busy machine, nothing is compared.
    pub(super) fn check_echoes(&self, percent: usize, quiet: &Self) -> Result<(), String> {
        if !quiet.is_compared() {
            return Ok(());
        }
        let machine = quiet.control_p99().max(self.control_p99());
        let permitted = (2 * quiet.echo_p99()).max(NOT_NOTICED) + 8 * machine;
        let took = percentile(&self.echoes, percent);
        if took < permitted {
            return Ok(());
        }
        Err(format!("echo p{percent} {took:?}, permitted {permitted:?}"))
    }
}

/// Of no times it is the longest time there is.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let at = times.len() * percent / 100;
    times.get(at).copied().unwrap_or(Duration::MAX)
}

// === impl Bystanders ===

impl Bystanders {
    /// Starts the meeting and the visits of `member`, who is signed in.
    pub(super) async fn start(
        member: &mut Browser,
        gateway: SocketAddr,
        admin: SocketAddr,
    ) -> Self {
        let [echoes, controls, answers] = std::array::from_fn(|_| Times::default());
        let mut tasks = JoinSet::new();
        let socket = logged_in(member).await;
        tasks.spawn(echo(socket, echoes.clone()));
        tasks.spawn(echo_without_gateway(controls.clone()));
        let (kept, _) = member.connect_http2().await.unwrap();
        let origin = url::Url::parse(ORIGIN).unwrap();
        let (_, cookies) = member.cookie_header(&origin).unwrap();
        let cookies = cookies.to_str().unwrap().to_owned();
        let tls = Arc::new(member.tls_config(rustls::DEFAULT_VERSIONS));
        for path in [PAGE, FILE] {
            let visitor = (gateway, Arc::clone(&tls), cookies.clone());
            let name = format!("{NEW}{path}");
            tasks.spawn(repeat(name, answers.clone(), move || {
                let (gateway, tls, cookies) = visitor.clone();
                async move { fetch(gateway, tls, path, &cookies).await }
            }));
            let visitor = (kept.clone(), cookies.clone());
            let name = format!("kept connection, {path}");
            tasks.spawn(repeat(name, answers.clone(), move || {
                let (kept, cookies) = visitor.clone();
                async move { fetch_kept(kept, path, &cookies).await }
            }));
        }
        let name = "/livez".to_owned();
        tasks.spawn(repeat(name, answers.clone(), move || probe(admin)));
        Self {
            echoes,
            controls,
            answers,
            _tasks: tasks,
        }
    }

    /// What began from then on, until `to`.
    pub(super) fn slice(&self, from: Instant, to: Instant) -> Slice {
        let [echoes, controls, answers] =
            [&self.echoes, &self.controls, &self.answers].map(|times| times.between(from, to));
        let took = |times: &[Timed]| {
            let took = times.iter().filter_map(|it| it.took.as_ref().ok().copied());
            let mut took: Vec<_> = took.collect();
            took.sort();
            took
        };
        Slice {
            echoes: took(&echoes),
            controls: took(&controls),
            failures: answers
                .iter()
                .filter_map(|it| it.took.clone().err())
                .collect(),
            answers: took(&answers),
            idle: (0, 0),
        }
    }
}

/// A WebSocket whose stream is authenticated (RFC 6120 § 6, by the token that the gateway adds).
async fn logged_in(member: &mut Browser) -> Socket {
    let mut socket = member.socket("room=plan").await.unwrap();
    for (stanza, answers) in [(OPEN, 2), (AUTH, 1), (OPEN, 2)] {
        socket.send(Message::text(stanza)).await.unwrap();
        for _ in 0..answers {
            let answer = socket.next().await.unwrap().unwrap();
            assert!(answer.is_text(), "{answer:?}");
        }
    }
    socket
}

/// Sends pings (XEP-0199), each of which Prosody answers.
async fn echo(socket: Socket, times: Times) {
    let (mut sender, mut receiver) = socket.split();
    let sent = Mutex::new(VecDeque::new());
    let sending = async {
        let mut tick = interval(ECHO_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tick.tick().await;
            sent.lock().unwrap().push_back(Instant::now());
            let ping = Message::text(
                "<iq type='get' id='1' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>",
            );
            sender.send(ping).await.expect("the meeting has ended");
        }
    };
    let receiving = async {
        while let Some(answer) = receiver.next().await {
            let answer = answer.expect("the meeting has ended");
            assert!(answer.is_text(), "{answer:?}");
            let began = sent.lock().unwrap().pop_front().unwrap();
            times.add(began, Ok(began.elapsed()));
        }
    };
    // If the meeting ends, the next slice has no echoes, which fails the test.
    tokio::select! {
        () = sending => {}
        () = receiving => {}
    }
}

/// Sends bytes to a thread that sends them back.
async fn echo_without_gateway(times: Times) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut tick = interval(ECHO_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        let began = Instant::now();
        stream.write_u8(0).await.unwrap();
        stream.read_u8().await.unwrap();
        times.add(began, Ok(began.elapsed()));
    }
}

async fn repeat<F>(name: String, times: Times, mut request: impl FnMut() -> F)
where
    F: Future<Output = io::Result<()>>,
{
    let mut tick = interval(VISIT_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        let began = Instant::now();
        let answer = timeout(VISIT_TIMEOUT, request()).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let took = answer.map(|()| began.elapsed());
        times.add(began, took.map_err(|error| format!("{name}: {error}")));
    }
}

/// GETs a path by a new connection of HTTP/1.1.
pub(super) async fn fetch(
    gateway: SocketAddr,
    tls: Arc<ClientConfig>,
    path: &str,
    cookies: &str,
) -> io::Result<()> {
    let at =
        |stage: &'static str| move |error: io::Error| io::Error::other(format!("{stage}: {error}"));
    let stream = TcpStream::connect(gateway).await.map_err(at("TCP"))?;
    let name = ServerName::try_from("meet.example.org").unwrap();
    let connecting = TlsConnector::from(tls).connect(name, stream);
    let mut stream = connecting.await.map_err(at("TLS"))?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: meet.example.org\r\nCookie: {cookies}\r\n\
         Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nConnection: close\r\n\r\n"
    );
    stream
        .write_all(head.as_bytes())
        .await
        .map_err(at("request"))?;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer).await;
    if let Err(error) = reading {
        let length = answer.len();
        return Err(io::Error::other(format!(
            "{error} behind {length} bytes of an answer"
        )));
    }
    if answer.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    let line = answer.split(|byte| *byte == b'\r').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
    Err(io::Error::other(line))
}

/// GETs a path by a connection of HTTP/2 that is kept.
async fn fetch_kept(mut kept: Http2Sender, path: &str, cookies: &str) -> io::Result<()> {
    let request = Request::get(format!("{ORIGIN}{path}"))
        .header(header::COOKIE, cookies)
        .header(header::ACCEPT, "text/html")
        .header("sec-fetch-mode", "navigate")
        .body(Full::new(Bytes::new()))
        .unwrap();
    let answer = kept.send_request(request).await.map_err(io::Error::other)?;
    let status = answer.status();
    answer
        .into_body()
        .collect()
        .await
        .map_err(io::Error::other)?;
    if status == http::StatusCode::OK {
        return Ok(());
    }
    Err(io::Error::other(status.to_string()))
}

/// The liveness probe of Kubernetes.
pub(super) async fn probe(admin: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(admin).await?;
    let head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(head).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(io::Error::other("not alive"))
}

const OPEN: &str =
    "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi' version='1.0'/>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";

/// How the failures of visitors begin whose connections are new.
pub(super) const NEW: &str = "new connection, ";

/// Jitsi's page, from the web server.
pub(super) const PAGE: &str = "/plan";

/// A file, which the gateway keeps.
pub(super) const FILE: &str = "/libs/app.bundle.min.js?v=1";

/// A delay of a meeting's messages that is not noticed.
const NOT_NOTICED: Duration = Duration::from_millis(50);

/// So often that a hundredth of a slice is more than one echo.
const ECHO_INTERVAL: Duration = Duration::from_millis(4);
const VISIT_INTERVAL: Duration = Duration::from_millis(100);

/// A request that takes longer has failed.
const VISIT_TIMEOUT: Duration = Duration::from_secs(5);
