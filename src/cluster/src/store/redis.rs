//! The store of several replicas: one Redis or Valkey server.
//!
//! One RESP3 connection carries operations and subscriptions. A task maintains it. While it is down,
//! operations fail at once instead of waiting for a reconnect. Each operation touches one key and is
//! one command or one script.

mod diagnostics;
mod operations;
mod reason;
mod scripts;

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use model::random::Random;
use observe::metrics::{StoreMetrics, StoreOutcome};
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

pub use self::diagnostics::{StoreDiagnostics, diagnose};
use self::{reason::reason, scripts::Scripts};
use super::{EVENT_CAPACITY, RedisSettings, StoreError, StoreEvent, Topic};

/// A store on a Redis or Valkey server, version 6.2 or later.
pub struct RedisStore {
    client: Client,
    /// For log and error texts: without user name and password.
    address: String,
    /// Prefix of every key and channel.
    prefix: String,
    connect_timeout: Duration,
    timeout: Duration,
    link: ArcSwap<Link>,
    /// Wakes the task for a probe, because an operation failed.
    probe_requested: Notify,
    events: broadcast::Sender<StoreEvent>,
    scripts: Scripts,
    metrics: StoreMetrics,
    random: Random,
}

/// A store cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum RedisSetupError {
    /// The URL or the certificate authorities are invalid.
    #[error("the store's URL or its certificate authorities are not valid")]
    Client(#[source] RedisError),
}

enum Link {
    Up(MultiplexedConnection),
    Down(Arc<str>),
}

// === impl RedisStore ===

impl RedisStore {
    /// Creates a store that is not connected yet.
    pub fn new(
        settings: &RedisSettings,
        metrics: StoreMetrics,
        random: Random,
    ) -> Result<Self, RedisSetupError> {
        let client = client(settings).map_err(RedisSetupError::Client)?;
        Ok(Self {
            address: client.get_connection_info().addr().to_string(),
            client,
            prefix: format!("gw:{}:", settings.namespace),
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
            link: ArcSwap::from_pointee(Link::Down("not tried yet".into())),
            probe_requested: Notify::new(),
            events: broadcast::Sender::new(EVENT_CAPACITY),
            scripts: Scripts::new(),
            metrics,
            random,
        })
    }

    async fn keep_connected(&self) {
        let mut failures = 0;
        let mut was_up = false;
        loop {
            let (sender, mut pushes) = mpsc::unbounded_channel();
            let lost = match self.connect(sender).await {
                Ok(connection) => {
                    failures = 0;
                    self.set_up(connection.clone(), was_up);
                    was_up = true;
                    self.serve(connection, &mut pushes).await
                }
                Err(error) => error,
            };
            self.set_down(reason(&lost, &self.address).into());
            sleep(self.back_off(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Connects, subscribes and probes, so that a connection that is up supports every operation.
    async fn connect(
        &self,
        pushes: mpsc::UnboundedSender<PushInfo>,
    ) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.timeout))
            .set_push_sender(pushes);
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

    /// Probes with a write: a read-only replica or a server without free memory fails it.
    async fn probe(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let key = self.key("probe");
        self.scripts
            .consume_use(connection, &key, u32::MAX, PROBE_EVERY * 2)
            .await
            .map(drop)
    }

    /// Forwards messages and probes the connection until it is lost; returns the cause.
    async fn serve(
        &self,
        mut connection: MultiplexedConnection,
        pushes: &mut mpsc::UnboundedReceiver<PushInfo>,
    ) -> RedisError {
        let mut probes = interval(PROBE_EVERY);
        probes.reset();
        loop {
            tokio::select! {
                push = pushes.recv() => match push {
                    Some(push) if push.kind == PushKind::Message => self.forward(&push),
                    Some(push) if push.kind != PushKind::Disconnection => {}
                    _ => return std::io::Error::from(std::io::ErrorKind::ConnectionReset).into(),
                },
                () = self.probe_requested.notified() => probes.reset_immediately(),
                _ = probes.tick() => if let Err(error) = self.probe(&mut connection).await {
                    return error;
                },
            }
        }
    }

    fn forward(&self, push: &PushInfo) {
        let [Value::BulkString(channel), Value::BulkString(text)] = push.data.as_slice() else {
            return;
        };
        let topic = Topic::ALL
            .into_iter()
            .find(|topic| self.channel(*topic).as_bytes() == channel.as_slice());
        let (Some(topic), Ok(text)) = (topic, str::from_utf8(text)) else {
            debug!("ignored a message that is not UTF-8 or has an unknown channel");
            return;
        };
        let text = text.into();
        // Fails without subscribers.
        let _ = self.events.send(StoreEvent::Message { topic, text });
    }

    fn set_up(&self, connection: MultiplexedConnection, is_reconnect: bool) {
        info!(store = self.address, "the store is reached");
        self.link.store(Arc::new(Link::Up(connection)));
        self.metrics.ready.set(1);
        if is_reconnect {
            self.metrics.reconnects.inc();
        }
        let _ = self.events.send(StoreEvent::Connected);
    }

    fn set_down(&self, reason: Arc<str>) {
        let known = matches!(&**self.link.load(), Link::Down(known) if *known == reason);
        if known {
            debug!(%reason, "the store is still not reached");
        } else {
            warn!(%reason, "the store is not reached; meetings go on");
        }
        let before = self.link.swap(Arc::new(Link::Down(reason)));
        self.metrics.ready.set(0);
        if matches!(*before, Link::Up(_)) {
            let _ = self.events.send(StoreEvent::Lost);
        }
    }

    /// Exponential back-off with jitter, so that replicas do not reconnect all at once.
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
            // The probe determines whether the connection itself has failed.
            self.probe_requested.notify_one();
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
        let label = outcome
            .as_ref()
            .map_or_else(StoreError::outcome, |_| StoreOutcome::Ok);
        self.metrics.count(label);
        outcome
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn channel(&self, topic: Topic) -> String {
        self.key(topic.as_str())
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn client(settings: &RedisSettings) -> RedisResult<Client> {
    let info = settings.url.expose_secret().into_connection_info()?;
    let server = info
        .redis_settings()
        .clone()
        // RESP2 would need a second connection for subscriptions.
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("jitsi-auth-gateway", env!("CARGO_PKG_VERSION"));
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

/// Interval of probes; a silent loss is detected after half of it on average.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// The first pause before a reconnect; a restarting server is reachable again after about this
/// time.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The longest such pause. It delays the revocations of other replicas after the server's return.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
