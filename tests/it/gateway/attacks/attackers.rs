//! Hostile clients, on a runtime of their own.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::{TcpSocket, TcpStream},
    runtime::{Builder, Runtime},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{http2_floods::Flood, slow_clients::SlowClient};
use crate::support::browser::Browser;

/// The server, as attackers know it.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) gateway: SocketAddr,
    /// Attackers come from 127.0.0.2 and the addresses behind it.
    pub(super) addresses: u8,
    /// The `Cookie` of a person who is signed in: some attackers are.
    pub(super) cookies: String,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

/// What became of the attackers' connections.
#[derive(Default)]
pub(super) struct Outcomes {
    /// No connection begins any more.
    over: AtomicBool,
    opened: AtomicUsize,
    /// By the way in which the gateway ended them.
    ended: Mutex<BTreeMap<String, usize>>,
}

/// Attackers at work; dropping this value ends them.
pub(super) struct Attackers {
    runtime: Option<Runtime>,
    outcomes: Arc<Outcomes>,
}

/// The connection of an attacker.
pub(super) type AttackStream = TlsStream<TcpStream>;

// === impl Target ===

impl Target {
    pub(super) fn new(
        gateway: SocketAddr,
        addresses: u8,
        cookies: String,
        browser: &Browser,
    ) -> Self {
        let with = |protocol: &[u8]| {
            let mut tls = browser.tls_config(rustls::DEFAULT_VERSIONS);
            tls.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(tls)
        };
        Self {
            gateway,
            addresses,
            cookies,
            http1: with(b"http/1.1"),
            http2: with(b"h2"),
        }
    }

    /// Connects the attacker of this number; `buffer` is the size of its receive buffer.
    async fn connect(
        &self,
        number: usize,
        tls: &Arc<ClientConfig>,
        buffer: Option<u32>,
    ) -> io::Result<AttackStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(size) = buffer {
            socket.set_recv_buffer_size(size)?;
        }
        let host = 2 + u8::try_from(number % usize::from(self.addresses)).unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into())?;
        let stream = socket.connect(self.gateway).await?;
        let name = ServerName::try_from("meet.example.org").unwrap();
        TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await
    }
}

// === impl Outcomes ===

impl Outcomes {
    pub(super) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    pub(super) fn ended(&self) -> usize {
        self.lock().values().sum()
    }

    /// Whether all connections that ended did so in one of these ways.
    pub(super) fn all_ended_by(&self, ways: &[&str]) -> bool {
        let expected = |end: &String| ways.iter().any(|way| end.starts_with(way));
        self.lock().keys().all(expected)
    }

    /// The ends, as text.
    pub(super) fn described(&self) -> String {
        let ends = self.lock();
        let ends: Vec<_> = ends
            .iter()
            .map(|(how, many)| format!("{many} {how}"))
            .collect();
        format!("{} opened: {}", self.opened(), ends.join(", "))
    }

    fn note(&self, how: String) {
        *self.lock().entry(how).or_default() += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, usize>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Attackers ===

impl Attackers {
    fn new() -> Self {
        // One thread: attacks are paced and leave processor time to the meeting.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            runtime: Some(runtime),
            outcomes: Arc::default(),
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(task);
        }
    }

    /// So many connections that flood, each anew after its end.
    pub(super) fn flood(target: &Target, flood: Flood, connections: usize) -> Self {
        let attackers = Self::new();
        for number in 0..connections {
            let (target, outcomes) = (target.clone(), Arc::clone(&attackers.outcomes));
            attackers.spawn(async move {
                while !outcomes.over.load(Ordering::Relaxed) {
                    if let Ok(stream) = target.connect(number, &target.http2, None).await {
                        outcomes.opened.fetch_add(1, Ordering::Relaxed);
                        outcomes.note(flood.run(stream, &target.cookies).await);
                    }
                    sleep(PAUSE_AFTER_END).await;
                }
            });
        }
        attackers
    }

    /// So many connections of a slow client, which are opened one after another.
    pub(super) fn slow(target: &Target, client: SlowClient, connections: usize) -> Self {
        let attackers = Self::new();
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        for number in 0..connections {
            let (target, outcomes) = (target.clone(), Arc::clone(&attackers.outcomes));
            let handshakes = Arc::clone(&handshakes);
            attackers.spawn(async move {
                let permit = handshakes.acquire().await.unwrap();
                let connecting = target.connect(number, &target.http1, client.receive_buffer());
                let connected = timeout(HANDSHAKE_TIMEOUT, connecting).await;
                sleep(PAUSE_BETWEEN_HANDSHAKES).await;
                drop(permit);
                outcomes.opened.fetch_add(1, Ordering::Relaxed);
                let Ok(Ok(stream)) = connected else {
                    outcomes.note("refused".to_owned());
                    return;
                };
                outcomes.note(client.run(stream, &target.cookies).await);
            });
        }
        attackers
    }

    /// Connections that are open go on; none begins.
    pub(super) fn begin_no_more(&self) {
        self.outcomes.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn outcomes(&self) -> Arc<Outcomes> {
        Arc::clone(&self.outcomes)
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        // A runtime cannot be awaited in another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Connections that begin at the same time, and the pause behind each: some three hundred TLS handshakes a second,
/// which leave processor time.
const HANDSHAKES: usize = 8;
const PAUSE_BETWEEN_HANDSHAKES: Duration = Duration::from_millis(20);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A flood that was ended begins anew: often enough to be in every slice, and no flood of TLS handshakes.
const PAUSE_AFTER_END: Duration = Duration::from_millis(500);
