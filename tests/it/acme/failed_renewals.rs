//! Renewals that fail: the certificate in use stays, and the next success replaces it.

use std::time::Duration;

use model::clock::{Clock, ClockControl};
use tempfile::{TempDir, tempdir};

use crate::support::{
    acme_account::AcmeAccount,
    acme_gateway::AcmeGateway,
    pebble::{Pebble, PebbleSettings, eventually, free_ports},
};

/// A gateway with a certificate of 90 days.
struct Renewing {
    files: TempDir,
    settings: PebbleSettings,
    gateway: AcmeGateway,
    clock: ClockControl,
    leaf: Vec<u8>,
}

// === impl Renewing ===

impl Renewing {
    async fn start() -> (Self, Pebble) {
        let files = tempdir().unwrap();
        let pebble = Pebble::start(PebbleSettings::new(files.path())).await;
        let settings = pebble.settings.clone();
        let acme = settings.section("default");
        let (clock, control) = Clock::manual(Clock::system().now());
        let ports = [settings.http, settings.https];
        let gateway = AcmeGateway::start_at(files.path(), ports, &acme, clock);
        gateway.issued("meet.test").await;
        let leaf = gateway.certificate("meet.test").await;
        let renewing = Self {
            files,
            settings,
            gateway,
            clock: control,
            leaf,
        };
        (renewing, pebble)
    }

    /// Moves the clock behind two thirds of the lifetime and the spread.
    fn becomes_due(&self) {
        self.clock.advance(Duration::from_hours(70 * 24));
    }

    async fn fails(&self, reason: &str) {
        eventually("the renewal fails", async || {
            self.gateway.admin("/readyz").await.contains(reason)
        })
        .await;
        assert_eq!(self.gateway.certificate("meet.test").await, self.leaf);
        let ready = self.gateway.admin("/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    }

    async fn succeeds(&self) {
        eventually("the certificate is renewed", async || {
            self.gateway.certificate("meet.test").await != self.leaf
        })
        .await;
        assert!(!self.gateway.leaf("meet.test").await.is_self_issued);
        eventually("the failure is forgotten", async || {
            !self.gateway.admin("/readyz").await.contains("certificate")
        })
        .await;
        let metrics = self.gateway.admin("/metrics").await;
        assert!(
            metrics.contains("acme_orders_total{outcome=\"ok\"} 2\n"),
            "{metrics}"
        );
    }
}

#[tokio::test]
#[ignore = "needs Pebble"]
async fn a_certificate_stays_while_the_authority_is_down_or_cannot_verify_the_name() {
    let (renewing, pebble) = Renewing::start().await;
    drop(pebble);
    renewing.becomes_due();
    renewing
        .fails("the exchange with the authority failed")
        .await;

    let [elsewhere] = free_ports();
    let pebble = Pebble::start(PebbleSettings {
        https: elsewhere,
        ..renewing.settings.clone()
    })
    .await;
    renewing
        .fails("the authority could not verify meet.test: ")
        .await;
    assert_eq!(pebble.issued(), 0);
    drop(pebble);

    let pebble = Pebble::start(renewing.settings.clone()).await;
    renewing.succeeds().await;
    assert_eq!(pebble.issued(), 1);
    renewing.gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs Pebble"]
async fn a_deactivated_account_is_replaced_at_the_next_renewal() {
    let (renewing, pebble) = Renewing::start().await;
    let storage = renewing.files.path().join("acme");
    AcmeAccount::read(&storage)
        .deactivate(&renewing.settings)
        .await;
    let before = std::fs::read(storage.join("account.json")).unwrap();
    renewing.becomes_due();
    renewing.succeeds().await;
    assert_ne!(std::fs::read(storage.join("account.json")).unwrap(), before);
    assert_eq!(pebble.issued(), 2);
    renewing.gateway.stop().await;
}
