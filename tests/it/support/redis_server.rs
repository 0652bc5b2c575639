//! A real `redis-server`, and a server in its place that does not speak Redis's protocol.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::task::AbortOnDropHandle;

/// A server without persistence; killed when dropped.
pub(crate) struct RedisServer {
    program: String,
    port: u16,
    process: Option<Child>,
    directory: TempDir,
}

/// A server that answers each connection with bytes that are no answer to its request.
pub(crate) struct RubbishServer {
    task: AbortOnDropHandle<()>,
}

// === impl RedisServer ===

impl RedisServer {
    /// Starts the program that `GATEWAY_TEST_REDIS` names, and waits until it answers.
    #[expect(
        clippy::disallowed_methods,
        reason = "the path of a test program is no configuration"
    )]
    pub(crate) fn start() -> Self {
        let program =
            std::env::var("GATEWAY_TEST_REDIS").expect("GATEWAY_TEST_REDIS names a redis-server");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut server = Self {
            program,
            port,
            process: None,
            directory: tempfile::tempdir().unwrap(),
        };
        server.launch();
        server
    }

    /// Starts the program again, without its earlier content.
    pub(crate) fn launch(&mut self) {
        let process = Command::new(&self.program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(self.directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let began = Instant::now();
        while self.command("PING").as_deref() != Some("+PONG") {
            assert!(began.elapsed() < PATIENCE, "redis-server does not answer");
            thread::yield_now();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Kills the program; its content is lost.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("the program runs");
        kill_process(Pid::from_child(process), signal).unwrap();
    }

    /// The first line of the answer to an inline command; `None` if nothing listens.
    pub(crate) fn command(&self, command: &str) -> Option<String> {
        let mut connection = TcpStream::connect(self.address()).ok()?;
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(connection, "{command}\r\n").ok()?;
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

// === impl RubbishServer ===

impl RubbishServer {
    /// Listens at the address of a server that was killed.
    pub(crate) async fn start(at: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind(at).await.unwrap();
        let serving = async move {
            let mut rubbish = RUBBISH.iter().cycle();
            while let Ok((mut connection, _)) = listener.accept().await {
                let answer = rubbish.next().unwrap();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while let Ok(1..) = connection.read(&mut request).await {
                        if connection.write_all(answer).await.is_err() {
                            break;
                        }
                    }
                });
            }
        };
        Self {
            task: AbortOnDropHandle::new(tokio::spawn(serving)),
        }
    }

    /// Frees the address.
    pub(crate) async fn stop(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Longer than a server needs to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of no protocol, another protocol, answers of the wrong type, answers of impossible length, and half
/// an answer.
const RUBBISH: &[&[u8]] = &[
    b"\x16\x03\x01\x00\xff\xfe",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"+OK\r\n",
    b":7\r\n",
    b"%1\r\n$6\r\nserver\r\n*-9\r\n",
    b"$99999999999999999999\r\n",
    b"*2147483647\r\n",
    b">3\r\n$7\r\nmessage\r\n",
];
