//! Certificates and rules are replaced while requests, handshakes and WebSockets go on.

use std::{fs, sync::atomic::Ordering, time::Duration};

use http::StatusCode;
use model::clock::Clock;
use rustix::process::Signal;

use crate::support::{
    certificate_directory::{CertificateDirectory, CertificatePair, replace},
    load::Load,
    process::GatewayProcess,
    site::{Site, SiteOptions},
};

/// Of certificates, and at the same time of configurations.
const CHANGES: usize = 100;

/// Only staff may enter `changing`, or all members; nothing changes for `steady`.
const RULES: &str = r#"
[tls]
# SIGHUP checks the files, and nothing else does.
check_every = "24h"

[[room]]
match = "changing"
enter = "member"

[[room]]
match = "*"
enter = "member"
"#;

/// Polls a condition for at most twenty seconds.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap_or_else(|_| panic!("timed out waiting until {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes processor time for a while: a step of tests/run"]
async fn a_hundred_certificates_and_a_hundred_configurations_fail_no_request() {
    let (_, control) = Clock::manual(Clock::system().now());
    let options = SiteOptions::default()
        .rules(RULES)
        .clock(Clock::system(), control);
    let site = Site::with(options).await.ready().await;
    let mut max = site.signed_in("max").await;
    let config = site.file("gateway.toml");
    let process = GatewayProcess::start(&config);
    until("the process is ready", async || process.is_ready()).await;

    let pairs = [CertificatePair::new(), CertificatePair::new()];
    max = max.at(process.https.unwrap());
    for pair in &pairs {
        max.trust(pair.der());
    }
    let mut load = Load::new(max.clone(), "/steady");
    load.start();
    let presented = |pair: &CertificatePair| {
        let leaves = load.figures().leaves.lock().unwrap();
        leaves.get(&*pair.der()).copied().unwrap_or_default()
    };

    let original = fs::read_to_string(&config).unwrap();
    let staff_only = original.replacen("\"member\"", "\"group:staff\"", 1);
    let invalid = original.replacen("\"member\"", "\"persons\"", 1);
    let versions = [
        (&staff_only, "ok", StatusCode::FORBIDDEN),
        (&invalid, "failed", StatusCode::FORBIDDEN),
        (&original, "ok", StatusCode::OK),
        (&invalid, "failed", StatusCode::OK),
    ];
    let reloads = |outcome: &str| {
        let series = "jitsi_auth_gateway_config_reloads_total";
        process.metric(&format!("{series}{{outcome=\"{outcome}\"}}"))
    };
    let mut directory = CertificateDirectory::new(site.file(""));
    let mut visitor = max.clone();
    for n in 0..CHANGES {
        let (pair, (text, outcome, status)) = (&pairs[n % 2], versions[n % versions.len()]);
        let (read_before, presented_before) = (reloads(outcome), presented(pair));
        if n < CHANGES / 2 {
            directory.rename(pair);
        } else {
            directory.swap(pair);
        }
        replace(&config, text);
        process.signal(Signal::HUP);
        until("the configuration is read", async || {
            reloads(outcome) > read_before
        })
        .await;
        let page = visitor.navigate("/changing").await;
        assert_eq!(page.status, status, "change {n}");
        until("the certificate is presented", async || {
            presented(pair) > presented_before
        })
        .await;
    }

    let figures = load.finish().await;
    println!("{CHANGES} changes: {figures}");
    assert_eq!(figures.failures(), [""; 0]);
    for count in [&figures.reconnects, &figures.repeated, &figures.going_away] {
        assert_eq!(count.load(Ordering::Relaxed), 0, "a connection was dropped");
    }
}
