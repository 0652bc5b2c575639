//! The store of several replicas: one Redis or Valkey server.
//!
//! One connection carries operations and subscriptions. A task keeps it up; without it operations
//! fail at once, so that nobody waits for a server that is away. Each operation touches one key and
//! is one command or one script.

mod look;
mod operations;
mod reason;
mod scripts;

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, RedisResult, TlsCertificates, Value, aio::MultiplexedConnection,
};
use secrecy::ExposeSecret;
use tokio::{
    sync::{Notify, broadcast, mpsc},
    time::{interval, sleep},
};
use tracing::{debug, info, warn};

pub use self::look::{Look, look};
use self::{reason::reason, scripts::Scripts};
use super::{EVENTS_KEPT, Event, RedisSettings, StoreError, Topic};
use model::random::Random;
use observe::metrics::{StoreMetrics, StoreOutcome};

/// Keeps everything in a Redis or Valkey server, version 6.2 or later.
pub struct Redis {
    client: Client,
    /// For messages: no user name, no password.
    address: String,
    /// Before every key and channel.
    prefix: String,
    connect_timeout: Duration,
    timeout: Duration,
    link: ArcSwap<Link>,
    /// Somebody saw the connection fail.
    doubt: Notify,
    events: broadcast::Sender<Event>,
    scripts: Scripts,
    metrics: StoreMetrics,
    random: Random,
}

/// Why a store cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL or the authorities cannot be used.
    #[error("the store's address or its authorities cannot be used")]
    Client(#[source] RedisError),
}

enum Link {
    Up(MultiplexedConnection),
    Down(Arc<str>),
}

// === impl Redis ===

impl Redis {
    /// A store that is not connected yet.
    pub fn new(
        settings: &RedisSettings,
        metrics: StoreMetrics,
        random: Random,
    ) -> Result<Self, SetupError> {
        let client = client(settings).map_err(SetupError::Client)?;
        Ok(Self {
            address: client.get_connection_info().addr().to_string(),
            client,
            prefix: format!("gw:{}:", settings.namespace),
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
            link: ArcSwap::from_pointee(Link::Down("not tried yet".into())),
            doubt: Notify::new(),
            events: broadcast::Sender::new(EVENTS_KEPT),
            scripts: Scripts::new(),
            metrics,
            random,
        })
    }

    async fn keep_connected(&self) {
        let mut failures = 0;
        let mut was_up = false;
        loop {
            let (sender, mut heard) = mpsc::unbounded_channel();
            let lost = match self.connect(sender).await {
                Ok(connection) => {
                    failures = 0;
                    self.up(connection.clone(), was_up);
                    was_up = true;
                    self.listen(connection, &mut heard).await
                }
                Err(error) => error,
            };
            self.down(reason(&lost, &self.address).into());
            sleep(self.back_off(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// A connection on which everything was tried that the gateway needs.
    async fn connect(
        &self,
        heard: mpsc::UnboundedSender<PushInfo>,
    ) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.timeout))
            .set_push_sender(heard);
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let channels: Vec<_> = Topic::ALL
            .iter()
            .map(|topic| self.channel(*topic))
            .collect();
        connection.subscribe(&channels).await?;
        self.probe(&mut connection).await?;
        Ok(connection)
    }

    /// Writes: a server that only reads, or whose memory is full, is of no use.
    async fn probe(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let key = self.key("probe");
        self.scripts
            .claim(connection, &key, u32::MAX, PROBE_EVERY * 2)
            .await
            .map(drop)
    }

    /// Passes on what is said until the connection is lost; tells why it was.
    async fn listen(
        &self,
        mut connection: MultiplexedConnection,
        heard: &mut mpsc::UnboundedReceiver<PushInfo>,
    ) -> RedisError {
        let mut probes = interval(PROBE_EVERY);
        probes.reset();
        loop {
            tokio::select! {
                push = heard.recv() => match push {
                    Some(push) if push.kind == PushKind::Message => self.pass_on(&push),
                    Some(push) if push.kind != PushKind::Disconnection => {}
                    _ => return std::io::Error::from(std::io::ErrorKind::ConnectionReset).into(),
                },
                () = self.doubt.notified() => probes.reset_immediately(),
                _ = probes.tick() => if let Err(error) = self.probe(&mut connection).await {
                    return error;
                },
            }
        }
    }

    fn pass_on(&self, push: &PushInfo) {
        let [Value::BulkString(channel), Value::BulkString(text)] = push.data.as_slice() else {
            return;
        };
        let topic = Topic::ALL
            .into_iter()
            .find(|topic| self.channel(*topic).as_bytes() == channel.as_slice());
        let (Some(topic), Ok(text)) = (topic, str::from_utf8(text)) else {
            debug!("something that no replica says was published on the store");
            return;
        };
        let text = text.into();
        // Nobody may be listening.
        let _ = self.events.send(Event::Said { topic, text });
    }

    fn up(&self, connection: MultiplexedConnection, again: bool) {
        info!(store = self.address, "the store is reached");
        self.link.store(Arc::new(Link::Up(connection)));
        self.metrics.ready.set(1);
        if again {
            self.metrics.reconnects.inc();
        }
        let _ = self.events.send(Event::Connected);
    }

    fn down(&self, reason: Arc<str>) {
        let known = matches!(&**self.link.load(), Link::Down(known) if *known == reason);
        if known {
            debug!(%reason, "the store is still not reached");
        } else {
            warn!(%reason, "the store is not reached; meetings go on");
        }
        let before = self.link.swap(Arc::new(Link::Down(reason)));
        self.metrics.ready.set(0);
        if matches!(*before, Link::Up(_)) {
            let _ = self.events.send(Event::Lost);
        }
    }

    /// Doubles up to a maximum, and is spread so that replicas do not come all at once.
    fn back_off(&self, failures: u32) -> Duration {
        let longest = BACK_OFF
            .saturating_mul(2_u32.saturating_pow(failures))
            .min(LONGEST_BACK_OFF);
        let [spread] = self.random.bytes();
        longest / 2 + longest / 2 * u32::from(spread) / 256
    }

    fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        match &**self.link.load() {
            Link::Up(connection) => Ok(connection.clone()),
            Link::Down(reason) => {
                let error = StoreError::Unreachable(Arc::clone(reason));
                self.metrics.count(error.outcome());
                Err(error)
            }
        }
    }

    fn finish<T>(&self, outcome: RedisResult<T>) -> Result<T, StoreError> {
        let outcome = outcome.map_err(|error| {
            // Whatever it is, the next probe tells whether the connection is still good for
            // something.
            self.doubt.notify_one();
            if error.is_timeout() {
                return StoreError::Timeout;
            }
            let reason = reason(&error, &self.address).into();
            if error.is_unrecoverable_error() {
                StoreError::Unreachable(reason)
            } else {
                StoreError::Refused(reason)
            }
        });
        self.metrics.count(
            outcome
                .as_ref()
                .map_or_else(StoreError::outcome, |_| StoreOutcome::Ok),
        );
        outcome
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn channel(&self, topic: Topic) -> String {
        self.key(topic.as_str())
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn client(settings: &RedisSettings) -> RedisResult<Client> {
    let info = settings.url.expose_secret().into_connection_info()?;
    let server = info
        .redis_settings()
        .clone()
        // Subscriptions share the connection.
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let info = info.set_redis_settings(server);
    match settings.ca_pem.clone() {
        Some(pem) => {
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: Some(pem),
            };
            Client::build_with_tls(info, certificates)
        }
        None => Client::open(info),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How often the connection is tried: half of it is how long a silent loss goes unnoticed on
/// average.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// The first wait before connecting again: a server that restarts is back within moments.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The longest such wait: how long a revocation on another replica may go unheard after the store
/// is back.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
