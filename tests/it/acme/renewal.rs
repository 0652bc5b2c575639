//! Renewal while clients connect.

use std::collections::BTreeSet;

use tempfile::tempdir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    acme_gateway::{AcmeGateway, connect},
    pebble::{Pebble, PebbleSettings, eventually},
};

#[tokio::test]
#[ignore = "needs Pebble"]
async fn a_renewal_breaks_no_connection_and_no_handshake_and_survives_a_reload() {
    let files = tempdir().unwrap();
    let pebble = Pebble::start(PebbleSettings::new(files.path())).await;
    let settings = &pebble.settings;
    let acme = settings.section("seconds");
    let gateway = AcmeGateway::start(files.path(), settings.http, settings.https, &acme);
    eventually("an order is under way", async || {
        pebble.log().contains("order-plz")
    })
    .await;
    gateway.running.reload(&gateway.config).unwrap();
    gateway.issued("meet.test").await;
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(connect(settings.https, "meet.test").await.unwrap());
    }
    let mut leaves = BTreeSet::new();
    let mut handshakes = 0;
    eventually("it is renewed", async || {
        for _ in 0..20 {
            let (_, leaf) = connect(settings.https, "meet.test").await.unwrap();
            leaves.insert(leaf);
            handshakes += 1;
        }
        leaves.len() > 1 && handshakes >= 200
    })
    .await;
    let (_, renewed) = connect(settings.https, "meet.test").await.unwrap();
    for (mut stream, leaf) in open {
        assert_ne!(leaf, renewed);
        let request = b"GET /_gateway/jwks.json HTTP/1.1\r\nHost: meet.test\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut start = [0; 9];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 ");
    }
    gateway.stop().await;
    assert!(pebble.issued() >= 2);
}
