//! A real `redis-server` for one test.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A `redis-server` without files; killed when dropped.
pub(crate) struct RedisServer {
    process: Child,
    port: u16,
    _directory: TempDir,
}

// === impl RedisServer ===

impl RedisServer {
    /// Starts the program that `GATEWAY_TEST_REDIS` names. It may not listen yet.
    #[expect(
        clippy::disallowed_methods,
        reason = "the path of a test program is no configuration"
    )]
    pub(crate) fn start() -> Self {
        let program =
            std::env::var("GATEWAY_TEST_REDIS").expect("GATEWAY_TEST_REDIS names a redis-server");
        let directory = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            port,
            _directory: directory,
        }
    }

    /// The value of `store.url`.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}
