//! Announcements: each replica describes itself in the store, so that the doctor can compare the
//! replicas of a deployment.
//!
//! An announcement contains no secrets: ids of keys and fingerprints of the configuration.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::store::{ListItem, Store, StoreError, StoreEvent, StoreState};

/// The description of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Version of the JSON form; [`FORMAT_VERSION`] for this release.
    #[serde(rename = "v")]
    pub format_version: u32,
    /// Random name of the replica, new at each start.
    pub replica: String,
    /// Number of earlier announcements that differ; the highest is the current one.
    #[serde(rename = "turn")]
    pub revision: u64,
    /// Version of the program.
    pub version: String,
    /// Fingerprint of the configuration.
    pub settings: String,
    /// Ids of the keys that open cookies, newest first.
    pub cookie_keys: Vec<String>,
    /// Ids of the signing keys; empty for a shared secret.
    pub signing_keys: Vec<String>,
    /// Fingerprint of the shards' ring.
    pub ring: String,
}

/// Writes the announcement every 15 seconds and after each change, until `stopped`.
pub async fn announce(
    store: Arc<dyn Store>,
    mut announcement: watch::Receiver<Announcement>,
    stopped: CancellationToken,
) {
    // No other process can read an in-memory store.
    if store.state() == StoreState::Memory {
        return;
    }
    let mut events = store.subscribe();
    let mut renewals = interval(INTERVAL);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let announcing = async {
        loop {
            tokio::select! {
                _ = renewals.tick() => {}
                event = events.recv() => match event {
                    // A restarted store may be empty.
                    Ok(StoreEvent::Connected) | Err(RecvError::Lagged(_)) => {}
                    Ok(StoreEvent::Lost | StoreEvent::Message { .. }) => continue,
                    Err(RecvError::Closed) => return,
                },
                changed = announcement.changed() => if changed.is_err() {
                    return;
                },
            }
            let item = ListItem {
                text: announcement.borrow_and_update().to_json(),
                lifetime: LIFETIME,
            };
            if let Err(error) = store.list_add(LIST, &[item]).await {
                debug!(%error, "cannot write the announcement of this replica");
            }
        }
    };
    stopped.run_until_cancelled(announcing).await;
}

/// Reads the latest announcement of each replica that ran within the last 50 seconds.
pub async fn list_announcements(store: &dyn Store) -> Result<Vec<Announcement>, StoreError> {
    let mut newest: Vec<Announcement> = Vec::new();
    for text in store.list_members(LIST).await? {
        // Another release may use another JSON form.
        let Ok(read) = serde_json::from_str::<Announcement>(&text) else {
            continue;
        };
        match newest
            .iter_mut()
            .find(|known| known.replica == read.replica)
        {
            Some(known) if known.revision < read.revision => *known = read,
            Some(_) => {}
            None => newest.push(read),
        }
    }
    Ok(newest)
}

// === impl Announcement ===

impl Announcement {
    fn to_json(&self) -> String {
        // Infallible: the type has string keys and no fallible `Serialize`.
        serde_json::to_string(self).expect("announcements serialize to JSON")
    }
}

/// The key of the list.
const LIST: &str = "replicas";

/// A third of the lifetime, so an announcement survives two failed writes.
const INTERVAL: Duration = Duration::from_secs(15);

/// An announcement outlives three intervals; a crashed replica disappears after this time.
const LIFETIME: Duration = Duration::from_secs(50);

/// The version that this release writes.
pub const FORMAT_VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn announcement(replica: &str, revision: u64, settings: &str) -> Announcement {
        Announcement {
            format_version: FORMAT_VERSION,
            replica: replica.to_owned(),
            revision,
            settings: settings.to_owned(),
            ..Announcement::default()
        }
    }

    #[tokio::test]
    async fn the_latest_revision_of_each_replica_is_listed() {
        let store = MemoryStore::new();
        for text in [
            announcement("a", 0, "old").to_json(),
            announcement("a", 1, "new").to_json(),
            announcement("b", 0, "new").to_json(),
            "{\"v\": 2}".to_owned(),
            "?".to_owned(),
        ] {
            let lifetime = LIFETIME;
            let item = ListItem { text, lifetime };
            store.list_add(LIST, &[item]).await.unwrap();
        }
        let mut listed = list_announcements(&store).await.unwrap();
        listed.sort_by(|one, other| one.replica.cmp(&other.replica));
        assert_eq!(
            listed,
            [announcement("a", 1, "new"), announcement("b", 0, "new")]
        );
    }

    #[tokio::test]
    async fn nothing_is_announced_in_a_memory_store() {
        let store = Arc::new(MemoryStore::new());
        let (_sender, receiver) = watch::channel(announcement("a", 0, "x"));
        let stopped = CancellationToken::new();
        announce(Arc::clone(&store) as Arc<dyn Store>, receiver, stopped).await;
        assert!(list_announcements(&*store).await.unwrap().is_empty());
    }
}
