//! The contract of [`Store`], which each kind of store runs as a test.

use std::{collections::HashSet, time::Duration};

use super::next_message;
use crate::store::{ListItem, PutOutcome, Store, Topic, UseOutcome};

/// Checks every promise of [`Store`] on an empty store.
pub(crate) async fn check_contract(store: &dyn Store) {
    check_use_counts(store).await;
    check_contended_uses(store).await;
    check_put_if_absent(store).await;
    check_values(store).await;
    check_lists(store).await;
    check_messages(store).await;
}

async fn check_use_counts(store: &dyn Store) {
    for used in 1..=2 {
        assert_eq!(store.uses("used").await, Ok(used - 1));
        let outcome = store.consume_use("used", 2, MINUTE).await;
        assert_eq!(outcome, Ok(UseOutcome::Granted { used }));
    }
    assert_eq!(store.uses("used").await, Ok(2));
    let exhausted = Ok(UseOutcome::Exhausted);
    assert_eq!(store.consume_use("used", 2, MINUTE).await, exhausted);
    assert_eq!(store.consume_use("used", 1, MINUTE).await, exhausted);
    assert_eq!(store.consume_use("never", 0, MINUTE).await, exhausted);
}

async fn check_contended_uses(store: &dyn Store) {
    let outcomes = (0..20).map(|_| store.consume_use("contended", 7, MINUTE));
    let outcomes = futures_util::future::join_all(outcomes).await;
    let granted: HashSet<_> = outcomes
        .into_iter()
        .filter_map(|outcome| match outcome.unwrap() {
            UseOutcome::Granted { used } => Some(used),
            UseOutcome::Exhausted => None,
        })
        .collect();
    assert_eq!(granted, (1..=7).collect());
}

async fn check_put_if_absent(store: &dyn Store) {
    let first = store.put_if_absent("first", "{\"v\":1}", MINUTE).await;
    assert_eq!(first, Ok(PutOutcome::Stored));
    let second = store.put_if_absent("first", "{\"v\":2}", MINUTE).await;
    assert_eq!(second, Ok(PutOutcome::Existing("{\"v\":1}".to_owned())));
}

async fn check_values(store: &dyn Store) {
    assert_eq!(store.get("value").await, Ok(None));
    for value in ["one", "two, ünïcode\r\n\0"] {
        store.put("value", value, MINUTE).await.unwrap();
        assert_eq!(store.get("value").await, Ok(Some(value.to_owned())));
    }
    store.remove("value").await.unwrap();
    assert_eq!(store.get("value").await, Ok(None));
}

async fn check_lists(store: &dyn Store) {
    assert_eq!(store.list_members("list").await, Ok(vec![]));
    let items: Vec<_> = (0..3000)
        .map(|n| ListItem {
            text: format!("item {n}"),
            lifetime: MINUTE * 2,
        })
        .collect();
    store.list_add("list", &items).await.unwrap();
    // An earlier expiry does not shorten the later one.
    let first = ListItem {
        text: "item 0".to_owned(),
        lifetime: Duration::ZERO,
    };
    store.list_add("list", &[first]).await.unwrap();
    let found: HashSet<_> = store
        .list_members("list")
        .await
        .unwrap()
        .into_iter()
        .collect();
    let mut texts: Vec<_> = items.into_iter().map(|item| item.text).collect();
    assert_eq!(found, texts.iter().cloned().collect());
    let last = texts.split_off(2999);
    texts.push("never there".to_owned());
    store.list_remove("list", &texts).await.unwrap();
    assert_eq!(store.list_members("list").await, Ok(last));
}

async fn check_messages(store: &dyn Store) {
    let mut events = store.subscribe();
    for topic in Topic::ALL {
        store.publish(topic, "hello").await.unwrap();
        assert_eq!(next_message(&mut events).await, (topic, "hello".into()));
    }
}

const MINUTE: Duration = Duration::from_mins(1);
