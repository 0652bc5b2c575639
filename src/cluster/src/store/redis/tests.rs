//! Tests against a real server.

use std::time::Duration;

use super::*;
use crate::store::{
    Store, StoreState, UseOutcome,
    testing::{
        ConnectedStore, RedisServer, check_contract, free_port, is_unreachable, next_message,
    },
};

async fn reason_of(server: &RedisServer, login: &str) -> String {
    reason_at(&server.store(login, "n")).await
}

async fn reason_at(connected: &ConnectedStore) -> String {
    // The server may still be starting.
    let state = connected
        .until(|state| match state {
            StoreState::Unreachable { reason } => {
                !["not tried", "refuses connections", "is starting"]
                    .iter()
                    .any(|early| reason.contains(early))
            }
            _ => true,
        })
        .await;
    match state {
        StoreState::Unreachable { reason } => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn redis_store_fulfils_the_contract() {
    let server = RedisServer::start(&[]);
    let connected = server.store("", "n");
    connected.until_ready().await;
    check_contract(&*connected.store).await;
    assert_eq!(connected.metrics.ready.get(), 1);
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn every_redis_key_expires_and_has_the_namespace_prefix() {
    let server = RedisServer::start(&[]);
    let (one, other) = (server.store("", "one"), server.store("", "other"));
    one.until_ready().await;
    other.until_ready().await;
    check_contract(&*one.store).await;
    assert_eq!(other.store.get("first").await, Ok(None));
    let mut events = other.store.subscribe();
    one.store.publish(Topic::Presence, "mine").await.unwrap();
    other.store.publish(Topic::Presence, "own").await.unwrap();
    assert_eq!(
        next_message(&mut events).await,
        (Topic::Presence, "own".into())
    );
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
async fn of_two_replicas_one_consumes_the_last_use() {
    let server = RedisServer::start(&[]);
    let (a, b) = (server.store("", "n"), server.store("", "n"));
    a.until_ready().await;
    b.until_ready().await;
    for round in 0..50 {
        let key = format!("link:{round}");
        let minute = Duration::from_mins(1);
        let (a, b) = tokio::join!(
            a.store.consume_use(&key, 1, minute),
            b.store.consume_use(&key, 1, minute)
        );
        let mut outcomes = [a.unwrap(), b.unwrap()];
        outcomes.sort_by_key(|outcome| *outcome == UseOutcome::Exhausted);
        assert_eq!(
            outcomes,
            [UseOutcome::Granted { used: 1 }, UseOutcome::Exhausted]
        );
    }
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn store_reconnects_after_a_server_restart() {
    let mut server = RedisServer::start(&[]);
    let connected = server.store("", "n");
    connected.until_ready().await;
    let mut events = connected.store.subscribe();
    server.kill().await;
    assert_eq!(events.recv().await, Ok(StoreEvent::Lost));
    connected
        .until(|state| {
            matches!(state, StoreState::Unreachable { reason } if reason.contains("refuses connections"))
        })
        .await;
    assert!(is_unreachable(&connected.store.get("k").await));
    assert_eq!(connected.metrics.ready.get(), 0);
    server.launch();
    assert_eq!(events.recv().await, Ok(StoreEvent::Connected));
    connected
        .store
        .publish(Topic::Revocation, "again")
        .await
        .unwrap();
    assert_eq!(
        next_message(&mut events).await,
        (Topic::Revocation, "again".into())
    );
    assert_eq!(connected.metrics.reconnects.get(), 1);
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn login_failures_name_the_remedy() {
    let server = RedisServer::start(&["--requirepass", "right"]);
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
async fn permissions_named_by_the_reason_suffice() {
    let users = "--user few on >pw ~gw:* &gw:* +@connection \
                 --user gateway on >pw ~gw:* &gw:* +@read +@write +@scripting +@pubsub \
                 +@connection +time";
    let server = RedisServer::start(&users.split_whitespace().collect::<Vec<_>>());
    let few = reason_of(&server, "few:pw@").await;
    assert!(few.contains("does not let the user do"), "{few}");
    let connected = server.store("gateway:pw@", "n");
    connected.until_ready().await;
    check_contract(&*connected.store).await;
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_server_that_rejects_writes_is_not_ready() {
    let full = RedisServer::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let reason = reason_of(&full, "").await;
    assert!(reason.contains("has no memory left"), "{reason}");
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1 1"]);
    let reason = reason_of(&replica, "").await;
    assert!(
        reason.contains("only reads") || reason.contains("is starting"),
        "{reason}"
    );
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn tls_failures_name_the_remedy() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (certificate, private) = (files.path().join("crt"), files.path().join("key"));
    std::fs::write(&certificate, key.cert.pem()).unwrap();
    std::fs::write(&private, key.signing_key.serialize_pem()).unwrap();
    let plain = RedisServer::start(&[]);
    let tls_port = free_port().to_string();
    let server = RedisServer::start(&[
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
    let at = |url: String, ca: &Option<Vec<u8>>| ConnectedStore::connect(&url, ca.clone(), "n");

    let trusted = at(format!("rediss://localhost:{tls_port}"), &ca);
    trusted.until_ready().await;
    check_contract(&*trusted.store).await;

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
