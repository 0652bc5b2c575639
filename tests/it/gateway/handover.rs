//! A process replaces another on the same listening socket, while requests, handshakes and WebSockets
//! go on.

use std::{net::TcpListener, sync::atomic::Ordering, time::Duration};

use model::clock::Clock;
use rustix::process::Signal;
use tokio::task::spawn_blocking;

use crate::support::{
    load::{Figures, Load},
    process::GatewayProcess,
    site::{Site, SiteOptions},
};

const REPLACEMENTS: usize = 20;

/// The kinds of clients that the process serves.
fn counts(figures: &Figures) -> [usize; 3] {
    [&figures.requests, &figures.handshakes, &figures.echoes]
        .map(|count| count.load(Ordering::Relaxed))
}

/// Waits until a process is ready. Another one may accept connections meanwhile.
async fn ready(process: &GatewayProcess) {
    let waiting = async {
        while !process.is_ready() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waiting = tokio::time::timeout(Duration::from_secs(20), waiting);
    waiting.await.expect("the process becomes ready");
}

/// Waits until clients of each kind were served again.
async fn served(load: &Load) {
    let before = counts(load.figures());
    let waiting = async {
        while std::iter::zip(counts(load.figures()), before).any(|(now, before)| now <= before) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waiting = tokio::time::timeout(Duration::from_secs(20), waiting);
    waiting.await.expect("clients of each kind are served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes processor time for a while: a step of tests/run"]
async fn twenty_replacements_on_one_listening_socket_fail_no_request() {
    let (_, control) = Clock::manual(Clock::system().now());
    let options = SiteOptions::default().clock(Clock::system(), control);
    let site = Site::with(options).await.ready().await;
    let max = site.signed_in("max").await;
    let config = site.file("gateway.toml");
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = || {
        let (config, socket) = (config.clone(), socket.try_clone().unwrap());
        spawn_blocking(move || GatewayProcess::start_with_socket(&config, &socket))
    };

    let mut process = start().await.unwrap();
    ready(&process).await;
    let mut load = Load::new(max.at(socket.local_addr().unwrap()), "/steady");
    load.start();
    served(&load).await;
    let mut stopping = Vec::new();
    for _ in 0..REPLACEMENTS {
        let successor = start().await.unwrap();
        ready(&successor).await;
        process.signal(Signal::TERM);
        let replaced = std::mem::replace(&mut process, successor);
        stopping.push(spawn_blocking(move || replaced.wait()));
        served(&load).await;
    }
    for stopped in stopping {
        assert_eq!(stopped.await.unwrap().code(), Some(0));
    }
    served(&load).await;

    let figures = load.finish().await;
    println!("{REPLACEMENTS} replacements: {figures}");
    assert_eq!(figures.failures(), [""; 0]);
    for count in [&figures.reconnects, &figures.going_away] {
        let count = count.load(Ordering::Relaxed);
        assert!(count >= REPLACEMENTS, "the load met {count} replacements");
    }
}
