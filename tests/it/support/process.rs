//! The program in a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

/// A running gateway; killed when dropped.
pub(crate) struct GatewayProcess {
    child: Child,
    pub(crate) http: SocketAddr,
    /// With an `https` listener.
    pub(crate) https: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
}

/// What the system says about a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessUsage {
    /// Resident memory, in KiB.
    pub(crate) resident: u64,
    /// Open file descriptors.
    pub(crate) descriptors: usize,
    /// Processor time since the start, in hundredths of a second (`USER_HZ`).
    pub(crate) ticks: u64,
}

// === impl GatewayProcess ===

impl GatewayProcess {
    /// Starts the program, whose configuration has an `http` and an `admin` listener, and waits until it
    /// listens.
    pub(crate) fn start(config: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        Self::spawn(run(&mut command, config).stdin(Stdio::null()))
    }

    /// [`start`](Self::start) with so many file descriptors (`RLIMIT_NOFILE`, soft and hard).
    pub(crate) fn start_with_descriptors(config: &Path, most: usize) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script, PROGRAM]);
        Self::spawn(run(&mut shell, config).stdin(Stdio::null()))
    }

    /// Starts the program with `https` as a passed listening socket (`sd_listen_fds(3)`).
    pub(crate) fn start_with_socket(config: &Path, https: &TcpListener) -> Self {
        // The shell moves the socket to the first descriptor of the protocol, and keeps its process id.
        let script = r#"LISTEN_PID=$$ exec "$0" run --config "$1" 3<&0 </dev/null"#;
        let mut command = Command::new("sh");
        command.args(["-c", script, PROGRAM]).arg(config);
        command
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "https");
        let https = OwnedFd::from(https.try_clone().unwrap());
        Self::spawn(command.stdin(https))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut before = String::new();
        let start = lines.by_ref().map(Result::unwrap).find_map(|line| {
            before = format!("{before}{line}\n");
            let admin = address(&line, "admin=")?;
            Some((address(&line, "http=")?, address(&line, "https="), admin))
        });
        let (http, https, admin) =
            start.unwrap_or_else(|| panic!("no line with the addresses: {before}"));
        // The pipe must not fill up.
        thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            http,
            https,
            admin,
        }
    }

    /// Memory, descriptors and processor time, from `/proc`.
    pub(crate) fn usage(&self) -> ProcessUsage {
        let file = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.id())).unwrap();
        let status = file("status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.unwrap().trim().trim_end_matches(" kB");
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap();
        // The fields behind the name, which may have spaces, begin with the third (proc_pid_stat(5)).
        let stat = file("stat");
        let fields: Vec<_> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let ticks = |field: usize| fields[field - 3].parse::<u64>().unwrap();
        ProcessUsage {
            resident: resident.parse().unwrap(),
            descriptors: descriptors.count(),
            ticks: ticks(14) + ticks(15),
        }
    }

    /// The most bytes that the kernel keeps for one client of HTTPS: not sent, or not acknowledged (`tx_queue`,
    /// `proc_pid_net(5)`).
    pub(crate) fn longest_send_queue(&self) -> u64 {
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.id())).unwrap();
        let port = format!(":{:04X}", self.https.unwrap().port());
        let queues = table.lines().filter_map(|row| {
            let mut fields = row.split_whitespace().skip(1);
            let local = fields.next()?;
            let queue = fields.nth(2)?.split(':').next()?;
            local
                .ends_with(&port)
                .then(|| u64::from_str_radix(queue, 16).unwrap())
        });
        queues.max().unwrap_or_default()
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The sum of the samples of `/metrics` whose name and labels begin with `series`.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let answer = request(self.admin, "GET /metrics", "").unwrap();
        let samples = answer.lines().filter(|line| line.starts_with(series));
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        samples.filter_map(value).sum()
    }

    /// Whether `/readyz` succeeds.
    pub(crate) fn is_ready(&self) -> bool {
        let answer = request(self.admin, "GET /readyz", "").unwrap();
        answer.starts_with("HTTP/1.1 200 ")
    }

    /// Waits until the process ends by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_jitsi-auth-gateway");

/// The arguments of a run.
fn run<'c>(command: &'c mut Command, config: &Path) -> &'c mut Command {
    command.args(["run", "--config"]).arg(config)
}

/// An address in the line about the start.
fn address(line: &str, name: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(&format!(" {name}"))?;
    let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | ':');
    let end = rest.find(|c| !digits(c)).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// Sends one request on a connection of its own, and returns the response.
pub(crate) fn request(to: SocketAddr, target: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(to)?;
    let length = body.len();
    let head = format!("{target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
