//! BOSH requests that Prosody holds and whose clients go away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::CREATE;
use crate::support::site::{Site, SiteOptions};

const CLIENTS: usize = 40;

/// A Prosody that answers no request. Returns its address, and the number of requests that it holds.
pub(super) async fn silent_prosody() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let held = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&held);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(hold(stream, Arc::clone(&counted)));
        }
    });
    (url, held)
}

/// Counts a connection from its first whole request to its end.
async fn hold(mut stream: TcpStream, held: Arc<AtomicUsize>) {
    let mut request = Vec::new();
    let mut counted = false;
    loop {
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if !counted && request.ends_with(b"/>") {
            counted = true;
            held.fetch_add(1, Ordering::SeqCst);
        }
    }
    held.fetch_sub(usize::from(counted), Ordering::SeqCst);
}

#[tokio::test]
async fn a_held_request_whose_client_goes_away_ends_at_prosody_within_a_second() {
    let (prosody, held) = silent_prosody().await;
    let rules =
        format!("[[room]]\nmatch = \"*\"\nenter = \"member\"\n[upstream]\nxmpp = \"{prosody}\"\n");
    let options = SiteOptions::default()
        .rules(&rules)
        .limits("streams_per_session = 64");
    let site = Site::with(options).await.ready().await;
    let max = site.signed_in("max").await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = max.open_bosh("room=x", CREATE.len()).await;
        client.write_all(CREATE.as_bytes()).await.unwrap();
        client.flush().await.unwrap();
        clients.push(client);
    }
    site.wait_for("Prosody holds all requests", async || {
        held.load(Ordering::SeqCst) == CLIENTS
    })
    .await;
    drop(clients);
    let ended = site.wait_for("no request is held", async || {
        held.load(Ordering::SeqCst) == 0
    });
    timeout(Duration::from_secs(1), ended).await.unwrap();
}
