//! Test support: the contract that every store fulfils, a store with faults, a real server.

mod contract;
mod faulty;
mod redis_server;

use std::{sync::Arc, time::Duration};

use tokio::sync::broadcast;

pub(crate) use self::{
    contract::check_contract,
    faulty::FaultyStore,
    redis_server::{ConnectedStore, RedisServer, free_port},
};
use super::{StoreError, StoreEvent, Topic};

/// Polls until `probe` returns a value; fails after 20 seconds.
pub(crate) async fn until<T>(probe: impl Fn() -> Option<T>) -> T {
    until_within(Duration::from_secs(20), probe).await
}

/// Polls until `probe` returns a value; fails after `limit`.
pub(crate) async fn until_within<T>(limit: Duration, probe: impl Fn() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(found) = probe() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(limit, polling)
        .await
        .expect("the condition holds in time")
}

/// Receives the next message, skipping other events.
pub(crate) async fn next_message(
    events: &mut broadcast::Receiver<StoreEvent>,
) -> (Topic, Arc<str>) {
    loop {
        if let StoreEvent::Message { topic, text } = events.recv().await.unwrap() {
            return (topic, text);
        }
    }
}

/// Whether an operation failed for lack of a connection.
pub(crate) fn is_unreachable<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unreachable(_)))
}
