//! The program in a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

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
        Self::spawn(Command::new(PROGRAM), config)
    }

    /// [`start`](Self::start) with so many file descriptors (`RLIMIT_NOFILE`, soft and hard).
    pub(crate) fn start_with_descriptors(config: &Path, most: usize) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script, PROGRAM]);
        Self::spawn(shell, config)
    }

    fn spawn(mut command: Command, config: &Path) -> Self {
        let mut child = command
            .args(["run", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (http, https, admin) = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| {
                let admin = address(&line, "admin=")?;
                Some((address(&line, "http=")?, address(&line, "https="), admin))
            })
            .expect("a line with the addresses");
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

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_jitsi-auth-gateway");

/// An address in the line about the start.
fn address(line: &str, name: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(name)?;
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
