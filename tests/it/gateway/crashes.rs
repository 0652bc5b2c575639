//! The process is killed while it writes its journal.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::support::site::{Site, SiteOptions};

/// The program in a process of its own; killed when dropped.
struct Process {
    child: Child,
    admin: SocketAddr,
}

impl Process {
    fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_jitsi-auth-gateway"))
            .args(["run", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let admin = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| address(&line))
            .expect("a line with the addresses");
        // The pipe must not fill up.
        thread::spawn(move || lines.for_each(drop));
        Self { child, admin }
    }

    fn entries(&self) -> usize {
        let answer = request(self.admin, "GET /metrics", "").unwrap();
        let name = "jitsi_auth_gateway_journal_entries ";
        let line = answer.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The address of the admin listener in the line about the start.
fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("admin=")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn request(admin: SocketAddr, target: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    let length = body.len();
    let head = format!("{target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test]
async fn every_acknowledged_revocation_survives_a_kill() {
    let rules = "[[room]]\nmatch = \"*\"\nenter = \"guest\"\nstart = \"anyone\"\n";
    let options = SiteOptions::default().without_provider().rules(rules);
    let options = options.durable();
    let files = Site::with(options).await.stop().await;
    let config = files.path().join("gateway.toml");
    let killing = tokio::task::spawn_blocking(move || {
        let (sent, acknowledged) = (AtomicUsize::new(0), AtomicUsize::new(0));
        for kill_after in [1, 2, 5, 13, 40] {
            let process = Process::start(&config);
            let target = acknowledged.load(Ordering::SeqCst) + kill_after;
            let admin = process.admin;
            thread::scope(|scope| {
                let senders = [(); 4].map(|()| {
                    scope.spawn(|| {
                        loop {
                            let id = sent.fetch_add(1, Ordering::SeqCst);
                            let body = format!("{{\"subject\":\"person {id}\"}}");
                            match request(admin, "POST /revoke", &body) {
                                Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => {
                                    assert!(answer.contains("\"kept\":\"yes\""), "{answer}");
                                    acknowledged.fetch_add(1, Ordering::SeqCst);
                                }
                                Ok(answer) => assert!(answer.is_empty(), "{answer}"),
                                Err(_) => break,
                            }
                        }
                    })
                });
                while acknowledged.load(Ordering::SeqCst) < target {
                    let running = senders.iter().any(|sender| !sender.is_finished());
                    assert!(running, "the process takes no revocations");
                    thread::yield_now();
                }
                drop(process);
            });
            let kept = Process::start(&config).entries();
            let acknowledged = acknowledged.load(Ordering::SeqCst);
            let sent = sent.load(Ordering::SeqCst);
            println!("{acknowledged} acknowledged, {kept} kept, {sent} sent");
            assert!((acknowledged..=sent).contains(&kept), "{kept} are kept");
        }
    });
    killing.await.unwrap();
    files.close().unwrap();
}
