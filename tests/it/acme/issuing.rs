//! First certificates, and what keeps an authority from issuing one.

use std::{fs, os::unix::fs::MetadataExt};

use tempfile::tempdir;

use crate::support::{
    acme_gateway::AcmeGateway,
    pebble::{KEY_ID, MAC_KEY, Pebble, PebbleSettings, eventually, free_ports},
};

/// `[tls.acme]` with more options.
fn acme(pebble: &PebbleSettings, more: &str) -> String {
    pebble.section("default") + more
}

fn gateway(pebble: &PebbleSettings, more: &str) -> AcmeGateway {
    let directory = &pebble.directory;
    AcmeGateway::start(directory, pebble.http, pebble.https, &acme(pebble, more))
}

#[tokio::test]
#[ignore = "needs Pebble"]
async fn a_certificate_is_issued_by_either_challenge_and_used_at_once() {
    for challenge in ["tls-alpn-01", "http-01"] {
        let files = tempdir().unwrap();
        let pebble = PebbleSettings::new(files.path());
        let names = "names = [\"meet.test\", \"talk.test\"]";
        let gateway = gateway(&pebble, &format!("challenge = \"{challenge}\"\n{names}"));
        // The authority is down: the listener is up all the same.
        let provisional = gateway.leaf("meet.test").await;
        assert!(provisional.is_self_issued && provisional.is_for("talk.test"));
        eventually("the failure is reported", async || {
            gateway
                .admin("/readyz")
                .await
                .contains("no certificate was issued: ")
        })
        .await;
        let pebble = Pebble::start(pebble).await;
        gateway.issued("meet.test").await;
        let leaf = gateway.leaf("unknown.test").await;
        assert!(
            leaf.is_for("meet.test") && leaf.is_for("talk.test"),
            "{leaf:?}"
        );
        let mode = |name: &str| fs::metadata(files.path().join(name)).unwrap().mode() & 0o777;
        assert_eq!(mode("acme"), 0o700);
        for file in ["acme/account.json", "acme/certificate.pem"] {
            assert_eq!(mode(file), 0o600, "{file}");
        }
        let ready = gateway.admin("/readyz").await;
        assert!(!ready.contains("certificate"), "{ready}");
        let metrics = gateway.admin("/metrics").await;
        for series in [
            "jitsi_auth_gateway_acme_orders_total{outcome=\"ok\"} 1\n",
            "jitsi_auth_gateway_certificate_not_after_timestamp_seconds{name=\"meet.test\"} ",
        ] {
            assert!(metrics.contains(series), "{series} in {metrics}");
        }
        gateway.stop().await;
        assert_eq!(pebble.issued(), 1);
    }
}

#[tokio::test]
#[ignore = "needs Pebble"]
async fn two_gateways_with_one_storage_place_one_order() {
    let files = tempdir().unwrap();
    let pebble = Pebble::start(PebbleSettings::new(files.path())).await;
    let settings = &pebble.settings;
    let [http, https] = free_ports();
    // The authority reaches the second one only, whichever orders.
    let acme = acme(settings, "");
    let first = AcmeGateway::start(files.path(), http, https, &acme);
    let second = AcmeGateway::start(files.path(), settings.http, settings.https, &acme);
    first.issued("meet.test").await;
    second.issued("meet.test").await;
    assert_eq!(
        first.certificate("meet.test").await,
        second.certificate("meet.test").await
    );
    assert_eq!(pebble.issued(), 1, "{}", pebble.log());
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
#[ignore = "needs Pebble"]
async fn a_restart_orders_nothing_and_an_unknown_account_is_replaced() {
    let files = tempdir().unwrap();
    let settings = PebbleSettings::new(files.path());
    let first = Pebble::start(settings.clone()).await;
    let running = gateway(&settings, "");
    running.issued("meet.test").await;
    let leaf = running.certificate("meet.test").await;
    running.stop().await;
    let running = gateway(&settings, "");
    assert_eq!(running.certificate("meet.test").await, leaf);
    running.stop().await;
    assert_eq!(first.issued(), 1);
    drop(first);

    // Pebble keeps accounts in memory.
    let account = fs::read(files.path().join("acme/account.json")).unwrap();
    fs::remove_file(files.path().join("acme/certificate.pem")).unwrap();
    let second = Pebble::start(settings.clone()).await;
    let running = gateway(&settings, "");
    running.issued("meet.test").await;
    let replaced = fs::read(files.path().join("acme/account.json")).unwrap();
    assert_ne!(account, replaced);
    assert_eq!(second.issued(), 1);
    running.stop().await;
}

#[tokio::test]
#[ignore = "needs Pebble"]
async fn an_external_account_is_bound_where_the_authority_requires_it() {
    let files = tempdir().unwrap();
    let settings = PebbleSettings {
        external_account: true,
        ..PebbleSettings::new(files.path())
    };
    let pebble = Pebble::start(settings.clone()).await;
    let without = gateway(&settings, "");
    eventually("the reason is given", async || {
        let ready = without.admin("/readyz").await;
        ready.contains("requires an external account; add tls.acme.external_account")
    })
    .await;
    without.stop().await;
    let key = files.path().join("mac.secret");
    fs::write(&key, MAC_KEY).unwrap();
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let binding = format!(
        "external_account = {{ id = \"{KEY_ID}\", key_file = \"{}\" }}",
        key.display()
    );
    let with = gateway(&settings, &binding);
    with.issued("meet.test").await;
    with.stop().await;
    assert_eq!(pebble.issued(), 1);
}

#[tokio::test]
#[ignore = "needs Pebble"]
async fn a_name_that_leads_elsewhere_is_named_with_the_authoritys_reason() {
    let files = tempdir().unwrap();
    let mut settings = PebbleSettings::new(files.path());
    let pebble = Pebble::start(settings.clone()).await;
    let [elsewhere] = free_ports();
    settings.https = elsewhere;
    let gateway = gateway(&settings, "");
    let expected = "the authority could not verify meet.test: ";
    eventually("the reason is given", async || {
        gateway.admin("/readyz").await.contains(expected)
    })
    .await;
    assert!(gateway.leaf("meet.test").await.is_self_issued);
    gateway.stop().await;
    assert_eq!(pebble.issued(), 0);
}
