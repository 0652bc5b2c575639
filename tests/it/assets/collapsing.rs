//! One fetch for many clients, and the bounds of memory.

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::{Client, SCRIPT, gauge, outcomes, site, site_with};
use crate::support::{asset_server::Script, site::Site};

/// A proxy in front, whose connections are plain and not limited.
const BEHIND_PROXY: &str = "[listen]\ntrusted_proxies = [\"127.0.0.1\"]";

/// The response to a GET by a proxy, as text.
async fn get_as_proxy(address: std::net::SocketAddr, target: String) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: meet.example.org\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: meet.example.org\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

fn spawn_clients(site: &Site, count: usize, target: &str) -> JoinSet<String> {
    let address = site.http_address();
    (0..count)
        .map(|_| get_as_proxy(address, target.to_owned()))
        .collect()
}

async fn open_connections(site: &Site) -> u64 {
    let text = site.metrics().await;
    let mut lines = text.lines();
    let open = lines.find_map(|line| line.strip_prefix("jitsi_auth_gateway_connections_open "));
    open.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_cause_one_fetch() {
    let (site, server) = site(BEHIND_PROXY).await;
    server.hold();
    let clients = spawn_clients(&site, 1000, SCRIPT);
    site.wait_for("all are connected", async || {
        open_connections(&site).await >= 1000
    })
    .await;
    server.release();
    let answers = clients.join_all().await;
    for answer in &answers {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("let answer = 42;"), "{answer}");
    }
    assert_eq!((answers.len(), server.count()), (1000, 1));
    println!("{:?}", outcomes(&site).await);
    assert!(outcomes(&site).await.contains(&"miss 1".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_of_a_meeting_cause_one_fetch_per_file() {
    let (site, server) = site(BEHIND_PROXY).await;
    // With a version, and without one, where the first request shows that the file may be stored.
    let files = (0..10).map(|number| match number % 2 {
        0 => format!("/libs/{number}.js?v=1"),
        _ => format!("/images/{number}.svg"),
    });
    let files: Vec<String> = files.collect();
    for file in files.iter().skip(1).step_by(2) {
        get_as_proxy(site.http_address(), file.clone()).await;
    }
    assert_eq!(server.take_received().len(), 5);
    server.hold();
    let clients: Vec<_> = files
        .iter()
        .map(|file| spawn_clients(&site, 100, file))
        .collect();
    site.wait_for("all are connected", async || {
        open_connections(&site).await >= 1000
    })
    .await;
    server.release();
    for answers in clients {
        for answer in answers.join_all().await {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
    }
    let received = server.take_received();
    let mut fetched: Vec<_> = received.iter().map(|it| it.uri.to_string()).collect();
    fetched.sort();
    let mut expected = files;
    expected.sort();
    assert_eq!(fetched, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_cancels_nothing() {
    let (site, server) = site(BEHIND_PROXY).await;
    server.hold();
    let mut first = spawn_clients(&site, 1, SCRIPT);
    site.wait_for("the fetch began", async || server.count() == 1)
        .await;
    let others = spawn_clients(&site, 9, SCRIPT);
    site.wait_for("all are connected", async || {
        open_connections(&site).await >= 10
    })
    .await;
    first.abort_all();
    while first.join_next().await.is_some() {}
    site.wait_for("the first is gone", async || {
        open_connections(&site).await <= 9
    })
    .await;
    server.release();
    for answer in others.join_all().await {
        assert!(answer.ends_with("let answer = 42;"), "{answer}");
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fetch_leaves_each_request_to_itself() {
    let (site, server) = site(BEHIND_PROXY).await;
    let unavailable = Script::new(&["cache-control: max-age=60"]).status(503);
    server.script("/libs/app.bundle.min.js", unavailable);
    server.hold();
    let clients = spawn_clients(&site, 20, SCRIPT);
    site.wait_for("all are connected", async || {
        open_connections(&site).await >= 20
    })
    .await;
    server.release();
    for answer in clients.join_all().await {
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    assert!(server.count() > 20, "{}", server.count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_web_server_is_waited_for_once() {
    let (site, server) = site_with("web_timeout = \"1s\"", BEHIND_PROXY).await;
    server.hold();
    let began = std::time::Instant::now();
    for answer in spawn_clients(&site, 20, SCRIPT).join_all().await {
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    }
    let took = began.elapsed();
    assert!(
        took.as_millis() < 1900,
        "{took:?}, with a timeout of one second"
    );
    assert_eq!(server.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_made_up_addresses_stay_within_the_memory() {
    let small = format!("{BEHIND_PROXY}\n[cache]\nsize = \"1MiB\"\nlargest = \"64KiB\"");
    let (site, server) = site(&small).await;
    let lived = Script::new(&["cache-control: max-age=31536000"]).body("x".repeat(8 * 1024));
    server.script("/libs/app.bundle.min.js", lived);
    let mut client = Client::of(&site);
    // Requested twice, so that it is worth more than what is requested once.
    client.get("/libs/kept.js?v=1").await;
    client.get("/libs/kept.js?v=1").await;
    let address = site.http_address();
    for round in 0..100 {
        let requests = (0..100).map(|number| {
            let target = format!("{SCRIPT}{round}-{number}");
            get_as_proxy(address, target)
        });
        let answers: JoinSet<String> = requests.collect();
        for answer in answers.join_all().await {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        let bytes = gauge(&site, "bytes").await;
        assert!(bytes <= 1024 * 1024, "{bytes}");
    }
    println!(
        "{} bytes in {} entries after {} evictions",
        gauge(&site, "bytes").await,
        gauge(&site, "entries").await,
        gauge(&site, "evictions_total").await
    );
    assert!(gauge(&site, "evictions_total").await > 9000);
    server.take_received();
    let kept = client.get("/libs/kept.js?v=1").await;
    assert_eq!(
        (kept.status, server.count()),
        (StatusCode::OK, 0),
        "the file of meetings stayed"
    );
    // Larger than the limit of one file: forwarded, not stored.
    let large = Script::new(&["cache-control: max-age=60"]).body("x".repeat(65 * 1024));
    server.script("/libs/large.js", large);
    for _ in 0..2 {
        let page = client.get("/libs/large.js?v=1").await;
        assert_eq!(page.body.len(), 65 * 1024);
    }
    assert_eq!(server.count(), 3);
}

/// The cache remembers of such files only that they are not stored, or that the next request may store them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_queries_of_files_that_are_not_stored_stay_within_the_memory() {
    let small = format!("{BEHIND_PROXY}\n[cache]\nsize = \"1MiB\"\nlargest = \"64KiB\"");
    let (site, server) = site(&small).await;
    let script = |line| server.script("/libs/a.js", Script::new(&[line]));
    let long = "x".repeat(900);
    for (line, version) in [
        ("cache-control: no-store", "v=1&"),
        ("cache-control: max-age=31536000", ""),
    ] {
        script(line);
        let before = gauge(&site, "evictions_total").await;
        for round in 0..15 {
            let requests = (0..100).map(|number| {
                let target = format!("/libs/a.js?{version}{round}-{number}-{long}");
                get_as_proxy(site.http_address(), target)
            });
            let answers: JoinSet<String> = requests.collect();
            for answer in answers.join_all().await {
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            }
            let bytes = gauge(&site, "bytes").await;
            assert!(bytes <= 1024 * 1024, "{line}: {bytes}");
        }
        let evicted = gauge(&site, "evictions_total").await - before;
        println!("{line}: {evicted} evictions");
        assert!(evicted > 500, "{line}: {evicted}");
    }
}
