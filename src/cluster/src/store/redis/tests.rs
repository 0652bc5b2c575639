//! Against a real server.

use std::time::Duration;

use super::*;
use crate::store::{
    Claim, State, Store,
    testing::{Connected, Server, free_port, is_unreachable, keeps_promises, said},
};

async fn reason_of(server: &Server, login: &str) -> String {
    reason_at(&server.store(login, "n")).await
}

async fn reason_at(connected: &Connected) -> String {
    // The server may still be starting.
    let state = connected
        .until(|state| match state {
            State::Unreachable { reason } => !["not tried", "refuses connections", "is starting"]
                .iter()
                .any(|early| reason.contains(early)),
            _ => true,
        })
        .await;
    match state {
        State::Unreachable { reason } => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn redis_keeps_the_promises_of_a_store() {
    let server = Server::start(&[]);
    let connected = server.store("", "n");
    connected.until_ready().await;
    keeps_promises(&*connected.store).await;
    assert_eq!(connected.metrics.ready.get(), 1);
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn everything_in_redis_has_an_end_and_its_namespace() {
    let server = Server::start(&[]);
    let (one, other) = (server.store("", "one"), server.store("", "other"));
    one.until_ready().await;
    other.until_ready().await;
    keeps_promises(&*one.store).await;
    assert_eq!(other.store.get("first").await, Ok(None));
    let mut heard = other.store.subscribe();
    one.store.publish(Topic::Presence, "mine").await.unwrap();
    other.store.publish(Topic::Presence, "own").await.unwrap();
    assert_eq!(said(&mut heard).await, (Topic::Presence, "own".into()));
    let mut connection = one.store.connection().unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(keys.len() >= 5, "{keys:?}");
    for key in keys {
        assert!(
            key.starts_with("gw:one:") || key.starts_with("gw:other:"),
            "{key}"
        );
        let ttl: i64 = redis::cmd("PTTL")
            .arg(&key)
            .query_async(&mut connection)
            .await
            .unwrap();
        assert!(ttl > 0, "{key} {ttl}");
    }
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn two_replicas_share_the_last_use() {
    let server = Server::start(&[]);
    let (a, b) = (server.store("", "n"), server.store("", "n"));
    a.until_ready().await;
    b.until_ready().await;
    for round in 0..50 {
        let key = format!("link:{round}");
        let minute = Duration::from_mins(1);
        let (a, b) = tokio::join!(
            a.store.claim(&key, 1, minute),
            b.store.claim(&key, 1, minute)
        );
        let mut claims = [a.unwrap(), b.unwrap()];
        claims.sort_by_key(|claim| *claim == Claim::Exhausted);
        assert_eq!(claims, [Claim::Granted { used: 1 }, Claim::Exhausted]);
    }
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_server_that_was_away_is_used_again() {
    let mut server = Server::start(&[]);
    let connected = server.store("", "n");
    connected.until_ready().await;
    let mut events = connected.store.subscribe();
    server.kill().await;
    assert_eq!(events.recv().await, Ok(Event::Lost));
    connected
        .until(|state| {
            matches!(state, State::Unreachable { reason } if reason.contains("refuses connections"))
        })
        .await;
    assert!(is_unreachable(&connected.store.get("k").await));
    assert_eq!(connected.metrics.ready.get(), 0);
    server.launch();
    assert_eq!(events.recv().await, Ok(Event::Connected));
    connected
        .store
        .publish(Topic::Revocation, "again")
        .await
        .unwrap();
    assert_eq!(said(&mut events).await, (Topic::Revocation, "again".into()));
    assert_eq!(connected.metrics.reconnects.get(), 1);
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn refusals_say_what_to_do() {
    let server = Server::start(&["--requirepass", "right"]);
    let none = reason_of(&server, "").await;
    assert!(
        none.contains("wants a password: write it into store.url"),
        "{none}"
    );
    for login in [":wrong@", "nobody:wrong@"] {
        let wrong = reason_of(&server, login).await;
        assert!(
            wrong.contains("refuses the user name or password"),
            "{wrong}"
        );
        assert!(!wrong.contains("wrong"), "{wrong}");
    }
    server.store(":right@", "n").until_ready().await;
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn the_rights_that_the_reason_names_are_enough() {
    let users = "--user few on >pw ~gw:* &gw:* +@connection \
                 --user gateway on >pw ~gw:* &gw:* +@read +@write +@scripting +@pubsub \
                 +@connection +time";
    let server = Server::start(&users.split_whitespace().collect::<Vec<_>>());
    let few = reason_of(&server, "few:pw@").await;
    assert!(few.contains("does not let the user do"), "{few}");
    let connected = server.store("gateway:pw@", "n");
    connected.until_ready().await;
    keeps_promises(&*connected.store).await;
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_server_that_cannot_write_is_not_ready() {
    let full = Server::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let reason = reason_of(&full, "").await;
    assert!(reason.contains("has no memory left"), "{reason}");
    let replica = Server::start(&["--replicaof", "127.0.0.1 1"]);
    let reason = reason_of(&replica, "").await;
    assert!(
        reason.contains("only reads") || reason.contains("is starting"),
        "{reason}"
    );
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn tls_is_checked_and_its_faults_say_what_to_do() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (certificate, private) = (files.path().join("crt"), files.path().join("key"));
    std::fs::write(&certificate, key.cert.pem()).unwrap();
    std::fs::write(&private, key.signing_key.serialize_pem()).unwrap();
    let plain = Server::start(&[]);
    let tls_port = free_port().to_string();
    let server = Server::start(&[
        "--tls-port",
        &tls_port,
        "--tls-cert-file",
        certificate.to_str().unwrap(),
        "--tls-key-file",
        private.to_str().unwrap(),
        "--tls-auth-clients",
        "no",
    ]);
    server.store("", "n").until_ready().await;
    let ca = Some(key.cert.pem().into_bytes());
    let at = |url: String, ca: &Option<Vec<u8>>| Connected::to(&url, ca.clone(), "n");

    let trusted = at(format!("rediss://localhost:{tls_port}"), &ca);
    trusted.until_ready().await;
    keeps_promises(&*trusted.store).await;

    for (url, ca, expected) in [
        (
            format!("rediss://localhost:{tls_port}"),
            &None,
            "not trusted",
        ),
        (format!("rediss://127.0.0.1:{tls_port}"), &ca, "not trusted"),
        (
            format!("rediss://localhost:{}", plain.port),
            &ca,
            "whether it speaks TLS",
        ),
        (
            format!("redis://localhost:{tls_port}"),
            &None,
            "write rediss:// in store.url",
        ),
    ] {
        let reason = reason_at(&at(url.clone(), ca)).await;
        assert!(reason.contains(expected), "{url}: {reason}");
    }
}
