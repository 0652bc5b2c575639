//! A real `redis-server` for one test.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use model::random::Random;
use observe::metrics::StoreMetrics;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::until;
use crate::store::{RedisSettings, RedisStore, Store, StoreState};

/// A `redis-server` that is killed when the value is dropped.
pub(crate) struct RedisServer {
    program: String,
    pub(crate) directory: TempDir,
    pub(crate) port: u16,
    arguments: Vec<String>,
    process: Option<Child>,
}

/// A store on a server, with the task that maintains its connection.
pub(crate) struct ConnectedStore {
    pub(crate) store: Arc<RedisStore>,
    pub(crate) metrics: StoreMetrics,
    stop: CancellationToken,
}

// === impl RedisServer ===

impl RedisServer {
    /// Starts the program that `GATEWAY_TEST_REDIS` names. Tests that use it are marked `ignore`.
    #[expect(
        clippy::disallowed_methods,
        reason = "the path of a test program is no configuration"
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

    /// Starts the program again, without its earlier content.
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

    /// Opens a store. `login` is the part of the URL before the host, such as `user:password@`.
    pub(crate) fn store(&self, login: &str, namespace: &str) -> ConnectedStore {
        let url = format!("redis://{login}127.0.0.1:{}", self.port);
        ConnectedStore::connect(&url, None, namespace)
    }
}

// === impl ConnectedStoreStore ===

impl ConnectedStore {
    /// Opens a store at a URL and starts its task.
    pub(crate) fn connect(url: &str, ca_pem: Option<Vec<u8>>, namespace: &str) -> Self {
        let settings = RedisSettings {
            url: SecretString::from(url),
            ca_pem,
            namespace: namespace.to_owned(),
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(3),
        };
        let metrics = StoreMetrics::default();
        let store = RedisStore::new(&settings, metrics.clone(), Random::system()).unwrap();
        let store = Arc::new(store);
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&store).run(stop.clone()));
        Self {
            store,
            metrics,
            stop,
        }
    }

    /// Waits for a state.
    pub(crate) async fn until(&self, is: impl Fn(&StoreState) -> bool) -> StoreState {
        until(|| Some(self.store.state()).filter(&is)).await
    }

    pub(crate) async fn until_ready(&self) {
        self.until(|state| *state == StoreState::Ready).await;
    }
}

impl Drop for ConnectedStore {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Returns a port without a listener.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}
