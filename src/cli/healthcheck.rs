//! `healthcheck`: asks the admin listener of a running gateway.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use clap::Args;

use super::{CommandContext, CommandError, ConfigArgument};

#[derive(Debug, Args)]
pub(super) struct HealthcheckArguments {
    #[command(flatten)]
    file: ConfigArgument,
    /// The address of the admin listener [default: `listen.admin` of the configuration].
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Ask for `/readyz` instead of `/livez`: whether new visitors should come.
    #[arg(long)]
    ready: bool,
}

// === impl CommandContext ===

impl CommandContext<'_, '_> {
    pub(super) fn check_health(
        &mut self,
        arguments: HealthcheckArguments,
    ) -> Result<(), CommandError> {
        let admin = match arguments.admin {
            Some(admin) => admin,
            None => arguments.file.load(self.environment)?.1.server.admin,
        };
        let path = if arguments.ready { "/readyz" } else { "/livez" };
        match status_of(reachable(admin), path) {
            Ok(200) => Ok(()),
            Ok(status) => self.report(&format!("{path} answers {status}")),
            Err(error) => self.report(&format!("{admin} does not answer: {error}")),
        }
    }

    fn report(&mut self, what: &str) -> Result<(), CommandError> {
        writeln!(self.terminal.error, "unhealthy: {what}")?;
        Err(CommandError::Findings)
    }
}

/// The loopback address of a listener on all addresses.
fn reachable(admin: SocketAddr) -> SocketAddr {
    let ip = match admin.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, admin.port())
}

/// The status of one request. The peer is the gateway's own listener, which sends a status line at
/// once, so that no HTTP client is needed.
fn status_of(admin: SocketAddr, path: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&admin, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    // In one write: the peer may answer and close as soon as it has read something.
    let head = format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut line = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut line)?;
    let status = line
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok());
    status.ok_or_else(|| io::Error::other("the answer is not HTTP/1.1"))
}

/// Below the three seconds that container engines wait by default at the least.
const WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use crate::cli::{Exit, tests::command};

    use super::*;

    /// Answers one request with a status line; returns the address.
    fn answering(status: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 256];
            let length = stream.read(&mut head).unwrap();
            stream.write_all(status.as_bytes()).unwrap();
            String::from_utf8_lossy(&head[..length]).into_owned()
        });
        (address, served)
    }

    #[test]
    fn the_exit_code_says_whether_the_gateway_answers() {
        for (status, words, path, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", &[][..], "/livez", Exit::Done),
            (
                "HTTP/1.1 200 OK\r\n\r\n",
                &["--ready"][..],
                "/readyz",
                Exit::Done,
            ),
            (
                "HTTP/1.1 503 Busy\r\n\r\n",
                &["--ready"][..],
                "/readyz",
                Exit::Failed,
            ),
            ("SSH-2.0-OpenSSH_9.2\r\n", &[][..], "/livez", Exit::Failed),
            ("HTTP", &[][..], "/livez", Exit::Failed),
        ] {
            let (address, served) = answering(status);
            let admin = format!("0.0.0.0:{}", address.port());
            let words = [&["healthcheck", "--admin", &admin], words].concat();
            let (exit, _, error) = command(&words, "");
            assert_eq!(exit, expected, "{status}: {error}");
            assert_eq!(error.is_empty(), expected == Exit::Done, "{error}");
            let head = served.join().unwrap();
            assert!(
                head.starts_with(&format!("GET {path} HTTP/1.1\r\n")),
                "{head}"
            );
        }
    }

    #[test]
    fn without_a_listener_the_gateway_is_unhealthy() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let (exit, _, error) = command(&["healthcheck", "--admin", &address], "");
        assert_eq!(exit, Exit::Failed);
        assert!(error.starts_with("unhealthy: 127.0.0.1:"), "{error}");
    }
}
