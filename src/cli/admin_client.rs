//! Requests to the admin listener of a running gateway.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    time::Duration,
};

use clap::Args;

use super::{CommandError, ConfigArgument};
use config::Environment;
use proxy::server::{ListenAddress, connect_unix};

/// Where the admin listener is.
#[derive(Debug, Args)]
pub(super) struct AdminArguments {
    #[command(flatten)]
    file: ConfigArgument,
    /// The address and port of the admin listener, or `unix:` and the path of its socket [default:
    /// `listen.admin` of the configuration].
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<ListenAddress>,
}

/// A client of one admin listener.
#[derive(Debug)]
pub(super) struct AdminClient(ListenAddress);

/// A connection to the listener.
trait AdminStream: Read + Write {}

impl AdminStream for TcpStream {}
impl AdminStream for UnixStream {}

/// An answer of the listener.
#[derive(Debug)]
pub(super) struct AdminAnswer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

// === impl AdminArguments ===

impl AdminArguments {
    pub(super) fn client(self, environment: &Environment) -> Result<AdminClient, CommandError> {
        let admin = match self.admin {
            Some(admin) => admin,
            None => self.file.load(environment)?.1.server.admin,
        };
        Ok(AdminClient(reachable(admin)))
    }
}

// === impl AdminClient ===

impl AdminClient {
    pub(super) fn address(&self) -> &ListenAddress {
        &self.0
    }

    pub(super) fn get(&self, path: &str) -> io::Result<AdminAnswer> {
        self.send(&format!("GET {path}"), "")
    }

    pub(super) fn post(&self, path: &str, body: &str) -> io::Result<AdminAnswer> {
        self.send(&format!("POST {path}"), body)
    }

    /// Sends one request. The peer is the gateway's own listener, which closes the connection after an
    /// answer whose length it states, so that no HTTP client is needed.
    fn send(&self, line: &str, body: &str) -> io::Result<AdminAnswer> {
        let mut stream = self.connect()?;
        let (host, length) = (self.host(), body.len());
        // In one write: the peer may answer and close as soon as it has read something.
        let request = format!(
            "{line} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer)?;
        parse(&answer).ok_or_else(|| io::Error::other("the answer is not HTTP/1.1"))
    }

    fn connect(&self) -> io::Result<Box<dyn AdminStream>> {
        Ok(match &self.0 {
            ListenAddress::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, WITHIN)?;
                stream.set_read_timeout(Some(WITHIN))?;
                stream.set_write_timeout(Some(WITHIN))?;
                Box::new(stream)
            }
            ListenAddress::Unix(path) => {
                let stream = connect_unix(path)?;
                stream.set_read_timeout(Some(WITHIN))?;
                stream.set_write_timeout(Some(WITHIN))?;
                Box::new(stream)
            }
        })
    }

    /// The value of `Host`; the listener accepts the names of this host only.
    fn host(&self) -> String {
        match &self.0 {
            ListenAddress::Tcp(address) => address.to_string(),
            ListenAddress::Unix(_) => "localhost".to_owned(),
        }
    }
}

/// Parses a whole answer.
fn parse(answer: &[u8]) -> Option<AdminAnswer> {
    let digits = answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(AdminAnswer {
        status: std::str::from_utf8(digits).ok()?.parse().ok()?,
        body: answer.get(end + 4..)?.to_vec(),
    })
}

/// The loopback address of a listener on all addresses.
fn reachable(admin: ListenAddress) -> ListenAddress {
    let ListenAddress::Tcp(admin) = admin else {
        return admin;
    };
    let ip = match admin.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, admin.port()).into()
}

/// Above a list of a hundred thousand people.
const MOST: u64 = 1 << 26;

/// Below the three seconds that container engines wait by default at the least.
const WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_parsed_and_other_protocols_are_not() {
        let answer = parse(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\nno\n").unwrap();
        assert_eq!((answer.status, &*answer.body), (403, &b"no\n"[..]));
        for other in [
            &b""[..],
            b"HTTP/1.1 20",
            b"HTTP/1.1 200 OK\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
        ] {
            assert!(parse(other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_on_loopback() {
        for (admin, expected) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("10.0.0.7:9090", "10.0.0.7:9090"),
            ("unix:/run/admin.sock", "unix:/run/admin.sock"),
        ] {
            assert_eq!(reachable(admin.parse().unwrap()).to_string(), expected);
        }
    }
}
