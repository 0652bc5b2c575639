//! An upstream that closes kept connections whenever it likes: no client gets a 502 for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use url::Url;

use crate::support::{
    browser::KeepAliveClient,
    site::{ORIGIN, Site, SiteOptions},
};

const REQUESTS: usize = 10_000;
const CLIENTS: usize = 16;

/// What the upstream did; all of it has to have happened often.
#[derive(Default)]
struct Closings {
    at_once: AtomicU64,
    while_idle: AtomicU64,
    at_a_request: AtomicU64,
}

/// A pseudo-random sequence (xorshift), the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Reads the head of a request; `false` at the end of the connection.
async fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    true
}

/// Answers the first request of a connection, and then closes it at random: at once, while it is idle, or
/// when a request has arrived.
async fn serve(mut stream: TcpStream, mut dice: Dice, closings: &Closings) {
    if !read_head(&mut stream).await {
        return;
    }
    loop {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
        if stream.write_all(answer).await.is_err() {
            return;
        }
        match dice.roll(8) {
            0 => {
                closings.at_once.fetch_add(1, Ordering::Relaxed);
                return;
            }
            1 => {
                // Between the gateway's requests, or while one is on its way.
                sleep(Duration::from_micros(dice.roll(3000))).await;
                closings.while_idle.fetch_add(1, Ordering::Relaxed);
                return;
            }
            2 => {
                let arrived = read_head(&mut stream).await;
                closings
                    .at_a_request
                    .fetch_add(u64::from(arrived), Ordering::Relaxed);
                return;
            }
            _ => {}
        }
        if !read_head(&mut stream).await {
            return;
        }
    }
}

#[tokio::test]
async fn no_request_fails_because_an_idle_upstream_connection_was_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = listener.local_addr().unwrap();
    let closings = Arc::new(Closings::default());
    let counted = Arc::clone(&closings);
    tokio::spawn(async move {
        for seed in 1.. {
            let (stream, _) = listener.accept().await.unwrap();
            let counted = Arc::clone(&counted);
            // Distinct sequences from neighbouring seeds.
            let dice = Dice(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
            tokio::spawn(async move { serve(stream, dice, &counted).await });
        }
    });
    let upstream = format!(
        "[[room]]\nmatch = \"*\"\nenter = \"member\"\n[upstream]\nweb = \"http://{web}\"\n"
    );
    let site = Site::with(SiteOptions::default().rules(&upstream)).await;
    let url = Url::parse(&format!("{ORIGIN}/libs/app.js")).unwrap();
    let clients = (0..CLIENTS).map(|_| {
        let mut client = KeepAliveClient::new(site.browser());
        let url = url.clone();
        tokio::spawn(async move {
            for number in 0..REQUESTS / CLIENTS {
                let answer = client.send(Method::GET, &url, &HeaderMap::new()).await;
                assert_eq!(answer.status, StatusCode::OK, "request {number}");
                assert_eq!(answer.body, "ok");
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let all = async {
        for client in clients {
            client.await.unwrap();
        }
    };
    timeout(Duration::from_mins(2), all).await.unwrap();
    for (what, count) in [
        ("at once", &closings.at_once),
        ("while idle", &closings.while_idle),
        ("at a request", &closings.at_a_request),
    ] {
        let count = count.load(Ordering::Relaxed);
        assert!(count > 200, "closed {what}: {count}");
    }
}
