//! What every store promises, as a test that each kind of store runs; and a real server to run it
//! against, where there is one.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::broadcast,
};
use tokio_util::sync::CancellationToken;

use super::{
    Claim, Event, Note, Redis, RedisSettings, Remembered, State, Store, StoreError, Topic,
};
use model::random::Random;
use observe::metrics::StoreMetrics;

/// A `redis-server` of the test's own; it ends with the test.
pub(crate) struct Server {
    program: String,
    pub(crate) directory: TempDir,
    pub(crate) port: u16,
    arguments: Vec<String>,
    process: Option<Child>,
}

/// A store on a server, with the task that keeps it connected.
pub(crate) struct Connected {
    pub(crate) store: Arc<Redis>,
    pub(crate) metrics: StoreMetrics,
    stop: CancellationToken,
}

// === impl Server ===

impl Server {
    /// Starts the program that `GATEWAY_TEST_REDIS` names. Tests with it are ignored unless asked
    /// for.
    #[expect(
        clippy::disallowed_methods,
        reason = "the configuration does not know what tests need"
    )]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let program =
            std::env::var("GATEWAY_TEST_REDIS").expect("GATEWAY_TEST_REDIS names a redis-server");
        let port = free_port();
        let mut server = Self {
            program,
            directory: tempfile::tempdir().unwrap(),
            port,
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            process: None,
        };
        server.launch();
        server
    }

    /// Starts the program again, with nothing in it.
    pub(crate) fn launch(&mut self) {
        let process = Command::new(&self.program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .args(&self.arguments)
            .current_dir(self.directory.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// Kills the program.
    pub(crate) async fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().await.unwrap();
    }

    /// A store that has not been reached yet. `login` is what stands before the host.
    pub(crate) fn store(&self, login: &str, namespace: &str) -> Connected {
        let url = format!("redis://{login}127.0.0.1:{}", self.port);
        Connected::to(&url, None, namespace)
    }
}

// === impl Connected ===

impl Connected {
    /// A store at an address, which has not been reached yet.
    pub(crate) fn to(url: &str, ca_pem: Option<Vec<u8>>, namespace: &str) -> Self {
        let settings = RedisSettings {
            url: SecretString::from(url),
            ca_pem,
            namespace: namespace.to_owned(),
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(3),
        };
        let metrics = StoreMetrics::default();
        let store = Redis::new(&settings, metrics.clone(), Random::system()).unwrap();
        let store = Arc::new(store);
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&store).run(stop.clone()));
        Self {
            store,
            metrics,
            stop,
        }
    }

    /// Waits until the store is in a state.
    pub(crate) async fn until(&self, is: impl Fn(&State) -> bool) -> State {
        until(|| Some(self.store.state()).filter(&is)).await
    }

    pub(crate) async fn until_ready(&self) {
        self.until(|state| *state == State::Ready).await;
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A port that nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}

/// Looks until there is something to see.
pub(crate) async fn until<T>(look: impl Fn() -> Option<T>) -> T {
    until_within(Duration::from_secs(20), look).await
}

/// Looks until there is something to see that may take its time.
pub(crate) async fn until_within<T>(most: Duration, look: impl Fn() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(most, looking)
        .await
        .expect("it is seen in time")
}

/// What is said next.
pub(crate) async fn said(events: &mut broadcast::Receiver<Event>) -> (Topic, Arc<str>) {
    loop {
        if let Event::Said { topic, text } = events.recv().await.unwrap() {
            return (topic, text);
        }
    }
}

/// Runs through everything that a store promises.
pub(crate) async fn keeps_promises(store: &dyn Store) {
    uses_are_counted(store).await;
    the_last_use_is_granted_once(store).await;
    the_first_value_is_remembered(store).await;
    values_are_replaced_and_removed(store).await;
    lists_hold_what_was_noted(store).await;
    what_is_said_is_heard(store).await;
}

async fn uses_are_counted(store: &dyn Store) {
    for used in 1..=2 {
        let claim = store.claim("used", 2, MINUTE).await;
        assert_eq!(claim, Ok(Claim::Granted { used }));
    }
    let exhausted = Ok(Claim::Exhausted);
    assert_eq!(store.claim("used", 2, MINUTE).await, exhausted);
    assert_eq!(store.claim("used", 1, MINUTE).await, exhausted);
    assert_eq!(store.claim("never", 0, MINUTE).await, exhausted);
}

async fn the_last_use_is_granted_once(store: &dyn Store) {
    let claims = (0..20).map(|_| store.claim("contended", 7, MINUTE));
    let claims = futures_util::future::join_all(claims).await;
    let granted: HashSet<_> = claims
        .into_iter()
        .filter_map(|claim| match claim.unwrap() {
            Claim::Granted { used } => Some(used),
            Claim::Exhausted => None,
        })
        .collect();
    assert_eq!(granted, (1..=7).collect());
}

async fn the_first_value_is_remembered(store: &dyn Store) {
    let first = store.remember("first", "{\"v\":1}", MINUTE).await;
    assert_eq!(first, Ok(Remembered::New));
    let second = store.remember("first", "{\"v\":2}", MINUTE).await;
    assert_eq!(second, Ok(Remembered::Before("{\"v\":1}".to_owned())));
}

async fn values_are_replaced_and_removed(store: &dyn Store) {
    assert_eq!(store.get("value").await, Ok(None));
    for value in ["one", "two, ünïcode\r\n\0"] {
        store.put("value", value, MINUTE).await.unwrap();
        assert_eq!(store.get("value").await, Ok(Some(value.to_owned())));
    }
    store.remove("value").await.unwrap();
    assert_eq!(store.get("value").await, Ok(None));
}

async fn lists_hold_what_was_noted(store: &dyn Store) {
    assert_eq!(store.notes("list").await, Ok(vec![]));
    let notes: Vec<_> = (0..3000)
        .map(|n| Note {
            text: format!("note {n}"),
            lifetime: MINUTE * 2,
        })
        .collect();
    store.note("list", &notes).await.unwrap();
    // An earlier end does not count.
    let first = Note {
        text: "note 0".to_owned(),
        lifetime: Duration::ZERO,
    };
    store.note("list", &[first]).await.unwrap();
    let found: HashSet<_> = store.notes("list").await.unwrap().into_iter().collect();
    assert_eq!(found, notes.into_iter().map(|note| note.text).collect());
}

async fn what_is_said_is_heard(store: &dyn Store) {
    let mut events = store.subscribe();
    for topic in Topic::ALL {
        store.publish(topic, "hello").await.unwrap();
        assert_eq!(said(&mut events).await, (topic, "hello".into()));
    }
}

/// Whether an operation failed because there is no server.
pub(crate) fn is_unreachable<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unreachable(_)))
}

const MINUTE: Duration = Duration::from_mins(1);
