//! What each replica says of itself in the store, so that the doctor sees whether all are of one kind.
//!
//! Nothing in it is secret: ids of keys and fingerprints of what may be printed.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::store::{Event, Note, State, Store, StoreError};

/// What a replica says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The form of this text.
    #[serde(rename = "v")]
    pub form: u32,
    /// Which replica: a random name, new with every start.
    pub replica: String,
    /// How often it has changed what it says, which tells the newest of its texts.
    pub turn: u64,
    /// The release that it runs.
    pub version: String,
    /// The fingerprint of its configuration.
    pub settings: String,
    /// The ids of the keys that it opens cookies with, the newest first.
    pub cookie_keys: Vec<String>,
    /// The ids of the keys that it signs with; none for a shared secret.
    pub signing_keys: Vec<String>,
    /// The fingerprint of where it sends rooms.
    pub ring: String,
}

/// Says it again and again until told to stop, and anew when it has changed.
pub async fn announce(
    store: Arc<dyn Store>,
    mut announcement: watch::Receiver<Announcement>,
    stopped: CancellationToken,
) {
    // Nobody else reads this process's memory.
    if store.state() == State::Memory {
        return;
    }
    let mut events = store.subscribe();
    let mut turns = interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let speaking = async {
        loop {
            tokio::select! {
                _ = turns.tick() => {}
                event = events.recv() => match event {
                    // What was said to a store that was away was not heard.
                    Ok(Event::Connected) | Err(RecvError::Lagged(_)) => {}
                    Ok(Event::Lost | Event::Said { .. }) => continue,
                    Err(RecvError::Closed) => return,
                },
                changed = announcement.changed() => if changed.is_err() {
                    return;
                },
            }
            let text = announcement.borrow_and_update().text();
            let note = Note {
                text,
                lifetime: LIFETIME,
            };
            if let Err(error) = store.note(LIST, &[note]).await {
                debug!(%error, "nobody hears what this replica says of itself");
            }
        }
    };
    stopped.run_until_cancelled(speaking).await;
}

/// What the replicas said last, those that have run within the last minute.
pub async fn announced(store: &dyn Store) -> Result<Vec<Announcement>, StoreError> {
    let mut newest: Vec<Announcement> = Vec::new();
    for text in store.notes(LIST).await? {
        // A later release may say it in another form.
        let Ok(own) = serde_json::from_str::<Announcement>(&text) else {
            continue;
        };
        match newest.iter_mut().find(|known| known.replica == own.replica) {
            Some(known) if known.turn < own.turn => *known = own,
            Some(_) => {}
            None => newest.push(own),
        }
    }
    Ok(newest)
}

// === impl Announcement ===

impl Announcement {
    /// # Panics
    ///
    /// Never: texts and numbers always serialize.
    fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers always serialize")
    }
}

const LIST: &str = "replicas";

const EVERY: Duration = Duration::from_secs(15);

/// Three times missed is gone; what ended without a word is forgotten soon.
const LIFETIME: Duration = Duration::from_secs(50);

/// The form that this release writes.
pub const FORM: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    fn own(replica: &str, turn: u64, settings: &str) -> Announcement {
        Announcement {
            form: FORM,
            replica: replica.to_owned(),
            turn,
            settings: settings.to_owned(),
            ..Announcement::default()
        }
    }

    #[tokio::test]
    async fn the_newest_word_of_each_replica_counts() {
        let store = Memory::new();
        for text in [
            own("a", 0, "old").text(),
            own("a", 1, "new").text(),
            own("b", 0, "new").text(),
            "{\"v\": 2}".to_owned(),
            "?".to_owned(),
        ] {
            let lifetime = LIFETIME;
            store.note(LIST, &[Note { text, lifetime }]).await.unwrap();
        }
        let mut said = announced(&store).await.unwrap();
        said.sort_by(|one, other| one.replica.cmp(&other.replica));
        assert_eq!(said, [own("a", 1, "new"), own("b", 0, "new")]);
    }

    #[tokio::test]
    async fn memory_is_nobody_elses() {
        let store = Arc::new(Memory::new());
        let (_sender, receiver) = watch::channel(own("a", 0, "x"));
        let stopped = CancellationToken::new();
        announce(Arc::clone(&store) as Arc<dyn Store>, receiver, stopped).await;
        assert!(announced(&*store).await.unwrap().is_empty());
    }
}
