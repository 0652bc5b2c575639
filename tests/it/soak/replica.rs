//! A replica behind a listening socket that outlives its processes.

use std::{
    collections::HashSet,
    fmt, fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};

use crate::support::process::{GatewayProcess, ProcessUsage, request};

/// The process that serves a socket now, and those that drain.
pub(super) struct Replica {
    socket: TcpListener,
    process: Arc<GatewayProcess>,
    draining: Vec<JoinHandle<()>>,
}

/// Memory and open files of a process.
#[derive(Clone, Copy)]
pub(super) struct Vitals {
    usage: ProcessUsage,
    /// The descriptors that are established connections.
    connections: usize,
}

// === impl Replica ===

impl Replica {
    pub(super) async fn start(config: &Path) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let process = ready_process(config, &socket).await;
        Self {
            socket,
            process,
            draining: Vec::new(),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Starts another process, which is ready and takes connections as well, and ends the one before, which drains
    /// meanwhile.
    pub(super) async fn replace(&mut self, config: &Path, before_end: impl FnOnce()) {
        let successor = ready_process(config, &self.socket).await;
        before_end();
        let old = std::mem::replace(&mut self.process, successor);
        self.draining.push(spawn_blocking(move || end(old)));
    }

    /// Makes the process read its files again, and waits until the rules apply.
    pub(super) async fn reload(&self) {
        let reloads = || {
            self.process
                .metric("jitsi_auth_gateway_config_reloads_total{outcome=\"ok\"}")
        };
        let before = reloads();
        self.process.signal(Signal::HUP);
        until("the files are read", || reloads() > before).await;
    }

    /// Revokes all sessions of a subject, as `sessions revoke` does.
    pub(super) async fn revoke(&self, subject: &str) {
        let (admin, body) = (self.process.admin, format!("{{\"subject\":\"{subject}\"}}"));
        let answer = spawn_blocking(move || request(admin, "POST /revoke", &body));
        let answer = answer.await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    pub(super) fn vitals(&self) -> Vitals {
        Vitals {
            usage: self.process.usage(),
            connections: established_connections(self.process.id()),
        }
    }

    /// The value of a gauge of `/metrics`.
    pub(super) fn gauge(&self, series: &str) -> f64 {
        self.process.metric(series)
    }

    /// Stops the process, and waits for all that drain.
    pub(super) async fn stop(self) {
        let process = self.process;
        spawn_blocking(move || end(process)).await.unwrap();
        for draining in self.draining {
            draining.await.unwrap();
        }
    }
}

/// The number of a process's descriptors that are established TCP connections (`proc_pid_net(5)`).
fn established_connections(process: u32) -> usize {
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let rows = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let established: HashSet<String> = rows
        .filter(|row| row[3] == "01")
        .map(|row| format!("socket:[{}]", row[9]))
        .collect();
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets
        .filter(|target| established.contains(target.to_string_lossy().as_ref()))
        .count()
}

/// Starts a process and waits until it is ready.
async fn ready_process(config: &Path, socket: &TcpListener) -> Arc<GatewayProcess> {
    let (config, socket) = (config.to_owned(), socket.try_clone().unwrap());
    let starting = spawn_blocking(move || GatewayProcess::start_with_socket(&config, &socket));
    let process = starting.await.unwrap();
    // A process that does not reach the store yet is ready as well, but acknowledges no revocation.
    let is_ready = || process.is_ready() && process.metric("jitsi_auth_gateway_store_ready") >= 1.0;
    until("the process is ready", is_ready).await;
    Arc::new(process)
}

/// Drains a process, which has to end by itself and without an error.
fn end(process: Arc<GatewayProcess>) {
    process.signal(Signal::TERM);
    let process = Arc::into_inner(process).unwrap();
    assert_eq!(process.wait().code(), Some(0));
}

/// Polls a condition for as long as a busy machine may take.
pub(super) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_mins(1), waiting)
        .await
        .unwrap_or_else(|_| panic!("timed out waiting until {what}"));
}

// === impl Vitals ===

impl Vitals {
    /// Whether there are as many open files and as much memory as before, under the same load.
    pub(super) fn are_as_flat_as(&self, before: &Self) -> bool {
        let (now, before) = (self.usage, before.usage);
        now.descriptors <= before.descriptors + DESCRIPTOR_MARGIN
            && now.resident <= before.resident + before.resident / 4 + MEMORY_MARGIN
    }

    /// Whether the descriptors are those of before the first client, but for kept connections to upstreams.
    pub(super) fn are_as_idle_as(&self, before: &Self) -> bool {
        let others = |vitals: &Self| vitals.usage.descriptors - vitals.connections;
        others(self) <= others(before) && self.connections <= before.connections + KEPT_CONNECTIONS
    }
}

impl fmt::Display for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mebibytes, descriptors) = (self.usage.resident / 1024, self.usage.descriptors);
        let connections = self.connections;
        write!(
            f,
            "{mebibytes} MiB, {descriptors} descriptors with {connections} connections"
        )
    }
}

/// The number of people who are at one replica changes with replacements: each has two connections.
const DESCRIPTOR_MARGIN: usize = 120;

/// For BOSH and pages; as many as were in use at once by the people of one replica.
const KEPT_CONNECTIONS: usize = 60;

/// In KiB: pages that the allocator keeps, beside a quarter.
const MEMORY_MARGIN: u64 = 16 * 1024;
