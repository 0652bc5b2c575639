//! A machine's clock that is set, and set back.

use std::time::Duration;

use model::clock::{Clock, Timestamp};
use tempfile::tempdir;

use crate::support::{
    acme_gateway::AcmeGateway,
    pebble::{Pebble, PebbleSettings, eventually},
};

const DAY: u64 = 86_400;

#[tokio::test]
#[ignore = "needs Pebble"]
async fn a_clock_past_the_end_orders_one_certificate_and_one_that_is_set_back_orders_none() {
    let files = tempdir().unwrap();
    let pebble = Pebble::start(PebbleSettings::new(files.path())).await;
    let settings = &pebble.settings;
    let acme = settings.section("default");
    let start = Clock::system().now().as_unix();
    let (clock, control) = Clock::manual(Timestamp::from_unix(start));
    let ports = [settings.http, settings.https];
    let gateway = AcmeGateway::start_at(files.path(), ports, &acme, clock);
    gateway.issued("meet.test").await;
    let renewal = async || {
        let next = gateway.next_try().await.unwrap_or_default();
        (start + 55 * DAY..start + 66 * DAY).contains(&next)
    };
    eventually("the renewal is planned", renewal).await;

    // All certificates of the authority, which last for 90 days, have expired for this machine.
    control.advance(Duration::from_secs(100 * DAY));
    let error = "the new certificate expired at ";
    eventually("the clock is suspected", async || {
        gateway.admin("/readyz").await.contains(error)
    })
    .await;
    assert_eq!(pebble.issued(), 2);
    let next = gateway.next_try().await.unwrap();
    assert!(next >= start + 100 * DAY + 6 * 3600, "{next}");
    assert!(!gateway.leaf("meet.test").await.is_self_issued);

    // Before the certificates begin.
    control.set(Timestamp::from_unix(start - 10 * DAY));
    eventually("the renewal is planned again", renewal).await;
    let ready = gateway.admin("/readyz").await;
    assert!(!ready.contains("certificate"), "{ready}");
    assert_eq!(pebble.issued(), 2, "{}", pebble.log());
    gateway.stop().await;
}
