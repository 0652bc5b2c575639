//! Random input never becomes a metric label: the number of series and memory stay bounded.

use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Method, header};
use url::Url;

use super::CREATE;
use crate::{
    monitoring::exported::series,
    support::{
        browser::{KeepAliveClient, navigation},
        run_in_own_process, school,
        site::{Site, SiteOptions},
    },
};

/// The number of random rooms, hosts and paths: far more than any limit on labels.
const RANDOM_REQUESTS: usize = 10_000;

/// The number of concurrent clients.
const CLIENTS: usize = 20;

/// Above the constant number of exported series; one series per request would exceed it at once.
const MAX_SERIES: usize = 700;

/// Runs in a separate process, because other tests would change its memory use.
#[test]
fn random_rooms_hosts_and_paths_add_no_metric_series() {
    let output = run_in_own_process("gateway::flood::alone");
    let summary = output.lines().find(|line| line.contains("made-up"));
    println!("{}", summary.expect("the test ran"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by random_rooms_hosts_and_paths_add_no_metric_series"]
async fn alone() {
    let site = Site::with(SiteOptions::default().rules(school::RULES));
    let site = site.await.ready().await;
    let mut max = site.signed_in("max").await;
    // One event of each kind, because some series appear with their first event.
    max.navigate("/x").await;
    max.bosh("room=x", CREATE).await;
    let _ = max.socket("room=x").await;
    site.browser()
        .navigate("/_gateway/callback?state=made-up&code=x")
        .await;
    // Memory is compared after a warm-up, which fills pools and caches.
    flood(&site, 0..RANDOM_REQUESTS / 2).await;
    let (before, text) = (resident(&site.metrics().await), site.metrics().await);
    let calm = series(&text);
    flood(&site, RANDOM_REQUESTS / 2..RANDOM_REQUESTS).await;
    let text = site.metrics().await;
    let after = resident(&text);
    println!(
        "{RANDOM_REQUESTS} made-up rooms, hosts and paths: {} series, {} bytes; memory {} KiB more after the second half",
        series(&text),
        text.len(),
        after.saturating_sub(before) / 1024,
    );
    assert_eq!(series(&text), calm, "{text}");
    assert!(calm < MAX_SERIES, "{calm}");
    assert!(!text.contains("made-up"), "{text}");
    assert!(after < before + 32 * 1024 * 1024, "{before} {after}");
}

/// Sends random requests, one per number.
async fn flood(site: &Site, numbers: std::ops::Range<usize>) {
    let shares = numbers.len() / CLIENTS;
    let people = (0..CLIENTS).map(|person| {
        let from = numbers.start + person * shares;
        send(site, from..from + shares)
    });
    stream::iter(people)
        .buffer_unordered(CLIENTS)
        .collect::<Vec<()>>()
        .await;
}

async fn send(site: &Site, numbers: std::ops::Range<usize>) {
    let mut line = KeepAliveClient::new(site.browser());
    for number in numbers {
        let (path, method) = match number % 10 {
            0 => (format!("/made-up-{number}"), Method::GET),
            1 => (
                format!("/tenant-made-up-{number}/room-made-up-{number}"),
                Method::GET,
            ),
            2 => (format!("/http-bind?room=made-up-{number}"), Method::POST),
            3 => (
                format!("/xmpp-websocket?room=made-up-{number}"),
                Method::GET,
            ),
            4 => (format!("/libs/made-up-{number}.js"), Method::GET),
            5 => (format!("/_gateway/made-up-{number}"), Method::GET),
            6 => (
                format!("/made-up-{number}"),
                Method::from_bytes(b"MADEUP").unwrap(),
            ),
            7 => (
                format!("/_gateway/api/v1/rooms/made-up-{number}"),
                Method::GET,
            ),
            8 => (
                format!("/made-up-{number}?jwt=e30.e30.e30&vnode=made-up-{number}"),
                Method::GET,
            ),
            _ => (
                format!("/_gateway/callback?state=made-up-{number}&code=x"),
                Method::GET,
            ),
        };
        let mut headers = navigation();
        let value = |text: String| HeaderValue::try_from(text).unwrap();
        if number % 3 == 0 {
            headers.insert(header::HOST, value(format!("made-up-{number}.test")));
        }
        let bearer = value(format!("Bearer made-up-{number}"));
        headers.insert(header::AUTHORIZATION, bearer);
        headers.insert(
            HeaderName::try_from(format!("x-made-up-{number}")).unwrap(),
            HeaderValue::from_static("made-up"),
        );
        let url = Url::parse(&format!("https://meet.example.org{path}")).unwrap();
        line.send(method, &url, &headers).await;
    }
}

pub(super) fn resident(metrics: &str) -> usize {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    line.unwrap().parse().unwrap()
}
