//! WebSockets of apps without a token, which get a SASL failure, take little memory: any client can open them.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::flood::resident;
use crate::support::{
    run_in_own_process,
    site::{Site, SiteOptions},
};

/// Open at the same time, within the time after which each is closed.
const SOCKETS: usize = 400;

/// A task, a socket and small buffers. The WebSocket library's default is a buffer of 128 KiB.
const MAX_EACH: usize = 64 * 1024;

/// Runs in a separate process, because other tests would change its memory use.
#[test]
fn refused_apps_take_little_memory() {
    let output = run_in_own_process("gateway::refused_apps::alone");
    let summary = output.lines().find(|line| line.contains("each"));
    println!("{}", summary.expect("the test ran"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by refused_apps_take_little_memory"]
async fn alone() {
    let options = SiteOptions::default().listen("trusted_proxies = [\"127.0.0.1/32\"]");
    let site = Site::with(options).await.ready().await;
    let mut held = vec![refused_app(site.http_address()).await];
    let before = resident(&site.metrics().await);
    for _ in 0..SOCKETS {
        held.push(refused_app(site.http_address()).await);
    }
    let growth = resident(&site.metrics().await).saturating_sub(before);
    println!("{} bytes for each of {SOCKETS}", growth / SOCKETS);
    assert!(growth < SOCKETS * MAX_EACH, "{growth} bytes");
    drop(held);
}

/// A WebSocket whose client has opened its stream and was answered.
async fn refused_app(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = "GET /xmpp-websocket?room=x HTTP/1.1\r\nHost: meet.example.org\r\nX-Forwarded-Proto: https\r\n\
        Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let open = b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi'/>";
    let length = u8::try_from(open.len()).unwrap();
    let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], &open[..]].concat();
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&frame).await.unwrap();
    let mut received = Vec::new();
    while !contains(&received, b"</stream:features>") {
        let count = socket.read_buf(&mut received).await.unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&received));
    }
    socket
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
