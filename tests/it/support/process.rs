//! The program in a process of its own.

use std::{
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
    pub(crate) admin: SocketAddr,
}

// === impl GatewayProcess ===

impl GatewayProcess {
    /// Starts the program, whose configuration has an `http` and an `admin` listener, and waits until it
    /// listens.
    pub(crate) fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_jitsi-auth-gateway"))
            .args(["run", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (http, admin) = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| Some((address(&line, "http=")?, address(&line, "admin=")?)))
            .expect("a line with the addresses");
        // The pipe must not fill up.
        thread::spawn(move || lines.for_each(drop));
        Self { child, http, admin }
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
