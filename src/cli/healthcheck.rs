//! `healthcheck`: asks the admin listener of a running gateway.

use clap::Args;

use super::{CommandContext, CommandError, admin_client::AdminArguments};

#[derive(Debug, Args)]
pub(super) struct HealthcheckArguments {
    #[command(flatten)]
    admin: AdminArguments,
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
        let admin = arguments.admin.client(self.environment)?;
        let path = if arguments.ready { "/readyz" } else { "/livez" };
        match admin.get(path) {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => self.report(&format!("{path} answers {}", answer.status)),
            Err(error) => self.report(&format!("{} does not answer: {error}", admin.address())),
        }
    }

    fn report(&mut self, what: &str) -> Result<(), CommandError> {
        writeln!(self.terminal.error, "unhealthy: {what}")?;
        Err(CommandError::Findings)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{SocketAddr, TcpListener},
        os::unix::net::UnixListener,
        thread,
    };

    use crate::cli::{Exit, tests::command};

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
    fn a_unix_socket_is_asked_as_a_port_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let admin = format!("unix:{}", path.display());
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 256];
            let length = stream.read(&mut head).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            String::from_utf8_lossy(&head[..length]).into_owned()
        });
        let (exit, _, error) = command(&["healthcheck", "--admin", &admin], "");
        assert_eq!(exit, Exit::Done, "{error}");
        let head = served.join().unwrap();
        assert!(head.contains("\r\nhost: localhost\r\n"), "{head}");
        // The file is still there, and its process is not.
        let (exit, _, error) = command(&["healthcheck", "--admin", &admin], "");
        assert_eq!(exit, Exit::Failed);
        assert!(
            error.starts_with(&format!("unhealthy: {admin} ")),
            "{error}"
        );
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
