//! The process is killed while it writes its journal.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::support::{
    process::{GatewayProcess, request},
    site::{Site, SiteOptions},
};

/// The number of revocations that the journal keeps.
fn entries(process: &GatewayProcess) -> usize {
    let answer = request(process.admin, "GET /metrics", "").unwrap();
    let name = "jitsi_auth_gateway_journal_entries ";
    let line = answer.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
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
            let process = GatewayProcess::start(&config);
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
            let kept = entries(&GatewayProcess::start(&config));
            let acknowledged = acknowledged.load(Ordering::SeqCst);
            let sent = sent.load(Ordering::SeqCst);
            println!("{acknowledged} acknowledged, {kept} kept, {sent} sent");
            assert!((acknowledged..=sent).contains(&kept), "{kept} are kept");
        }
    });
    killing.await.unwrap();
    files.close().unwrap();
}
