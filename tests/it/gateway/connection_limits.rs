//! Client connections above a limit are closed at once, and the admin listener answers meanwhile.

use std::{
    fs::File,
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    run_in_own_process,
    site::{Site, SiteOptions},
};

async fn site(limits: &str) -> Site {
    let options = SiteOptions::default().limits(limits);
    Site::with(options).await.ready().await
}

/// A connection that sends nothing.
async fn idle(site: &Site) -> TcpStream {
    TcpStream::connect(site.http_address()).await.unwrap()
}

/// The beginning of the answer to a request; empty if the connection was refused.
async fn ask(mut connection: TcpStream) -> String {
    let request = b"GET /x HTTP/1.1\r\nHost: meet.example.org\r\nConnection: close\r\n\r\n";
    let mut answer = Vec::new();
    if connection.write_all(request).await.is_ok() {
        let _ = connection.read_to_end(&mut answer).await;
    }
    let line = answer.split(|byte| *byte == b'\r').next();
    String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
}

#[tokio::test]
async fn an_idle_connection_stays_open_for_the_configured_time() {
    let site = site("connection_idle = \"5s\"").await;
    let began = Instant::now();
    let mut connection = idle(&site).await;
    let end = timeout(Duration::from_mins(1), connection.read_u8()).await;
    assert!(end.expect("the default is longer").is_err());
    assert!(
        began.elapsed() > Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}

async fn refused(site: &Site, limit: &str) -> bool {
    let zero = format!("jitsi_auth_gateway_limits_total{{limit=\"{limit}\"}} 0");
    let metrics = site.metrics().await;
    assert!(metrics.contains(limit), "{metrics}");
    !metrics.contains(&zero)
}

#[tokio::test]
async fn connections_above_a_limit_are_refused_until_one_ends() {
    for limit in ["connections", "connections_per_address"] {
        let site = site(&format!("{limit} = 3")).await;
        let served = "HTTP/1.1 308 Permanent Redirect";
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(idle(&site).await);
        }
        assert_eq!(ask(idle(&site).await).await, served, "{limit}");
        site.wait_for("the answered connection has ended", async || {
            let metrics = site.metrics().await;
            metrics.contains("jitsi_auth_gateway_connections_open 2\n")
        })
        .await;
        held.push(idle(&site).await);
        assert!(!refused(&site, limit).await, "{limit}");
        assert_eq!(ask(idle(&site).await).await, "", "{limit}");
        assert!(refused(&site, limit).await, "{limit}");
        held.pop();
        site.wait_for("the place is free", async || {
            ask(idle(&site).await).await == served
        })
        .await;
    }
}

#[tokio::test]
async fn a_websocket_keeps_its_place_after_it_left_http() {
    let site = site("connections_per_address = 2").await;
    let mut max = site.signed_in("max").await;
    let socket = max.socket("room=x").await.unwrap();
    site.wait_for("only the socket is open", async || {
        let metrics = site.metrics().await;
        metrics.contains("jitsi_auth_gateway_connections_open 0\n")
    })
    .await;
    let held = idle(&site).await;
    assert_eq!(ask(idle(&site).await).await, "");
    drop((held, socket));
}

/// Runs in a separate process, whose limit of descriptors is low.
#[test]
fn the_last_descriptors_are_kept_for_the_admin_listener() {
    run_in_own_process("gateway::connection_limits::alone");
}

#[tokio::test]
#[ignore = "run by the_last_descriptors_are_kept_for_the_admin_listener"]
async fn alone() {
    const MOST: u64 = 256;
    let most = Rlimit {
        current: Some(MOST / 2),
        maximum: Some(MOST),
    };
    setrlimit(Resource::Nofile, most).unwrap();
    let site = site("connections = 1000").await;
    // This process has the clients' ends, too: files take what is left but for a few.
    let mut files = Vec::new();
    loop {
        let file = File::open("/dev/null").unwrap();
        let number = file.as_raw_fd();
        files.push(file);
        if number >= 256 - 16 - 1 {
            break;
        }
    }
    // Numbers that became free meanwhile are taken first.
    let held = [idle(&site).await, idle(&site).await, idle(&site).await];
    assert_eq!(ask(idle(&site).await).await, "");
    assert!(refused(&site, "accept").await);
    drop(held);
    files.truncate(files.len() - 8);
    assert_ne!(ask(idle(&site).await).await, "");
}
