//! Requests are answered by their worker alone: they wake no thread of the control plane.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

use crate::support::{
    process::GatewayProcess,
    site::{Site, SiteOptions},
};

/// Timers of the control plane may come due meanwhile.
const PERMITTED: u64 = 20;
const REQUESTS: u64 = 200;

/// A browser's navigation, as a proxy in front forwards it.
const HEAD: &str = "Host: meet.example.org\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n\
    Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document";

#[tokio::test]
async fn requests_wake_no_thread_of_the_control_plane() {
    let rules = "[[room]]\nmatch = \"*\"\nenter = \"guest\"\nstart = \"anyone\"\n";
    let proxied = "trusted_proxies = [\"127.0.0.1/32\"]\nworkers = 1";
    let site = Site::with(SiteOptions::default().rules(rules).listen(proxied)).await;
    let config = site.file("gateway.toml");
    let counting = tokio::task::spawn_blocking(move || {
        let process = GatewayProcess::start(&config);
        for (path, status) in [
            // The page that asks for a name.
            ("/team", "200"),
            ("/config.js?room=team", "200"),
            ("/robots.txt", "404"),
            ("/_gateway/", "404"),
            ("/xmpp-websocket?room=team", "204"),
        ] {
            let mut client = Client(TcpStream::connect(process.http).unwrap());
            assert_eq!(client.get(path), status, "{path}");
            let before = wakeups(&process);
            for _ in 0..REQUESTS {
                client.get(path);
            }
            let woken = wakeups(&process) - before;
            println!("{path}: {woken} wake-ups of the control plane in {REQUESTS} requests");
            assert!(woken <= PERMITTED, "{path}: {woken}");
        }
    });
    counting.await.unwrap();
}

/// A proxy's connection to the gateway.
struct Client(TcpStream);

// === impl Client ===

impl Client {
    /// Sends a request, reads the response, and returns its status.
    fn get(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\n{HEAD}\r\n\r\n");
        self.0.write_all(request.as_bytes()).unwrap();
        let mut received = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let count = self.0.read(&mut piece).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&received));
            received.extend_from_slice(&piece[..count]);
            let text = String::from_utf8_lossy(&received);
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && is_complete(head, body)
            {
                return head.split(' ').nth(1).unwrap().to_owned();
            }
        }
    }
}

fn is_complete(head: &str, body: &str) -> bool {
    let head = head.to_ascii_lowercase();
    match head.split_once("content-length: ") {
        Some((_, rest)) => body.len() >= rest.lines().next().unwrap().parse().unwrap(),
        None if head.contains("transfer-encoding: chunked") => body.ends_with("0\r\n\r\n"),
        None => true,
    }
}

/// How often the threads of a process went to sleep and were woken, but for its worker.
fn wakeups(process: &GatewayProcess) -> u64 {
    let threads = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    let statuses = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")));
    let field = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().to_owned()
    };
    let others = statuses
        .map(Result::unwrap)
        .filter(|status| !field(status, "Name:").starts_with("worker-"));
    others
        .map(|status| {
            field(&status, "voluntary_ctxt_switches:")
                .parse::<u64>()
                .unwrap()
        })
        .sum()
}
