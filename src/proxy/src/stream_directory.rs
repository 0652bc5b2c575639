//! The open XMPP streams of this process, as operators see them: who is in which room, as what, and
//! since when.
//!
//! A stream is listed from the audit line of its entry to that of its end. Listing and unlisting take
//! a lock for a moment; requests of an open stream take none, and a listing is copied out of the lock.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::{
    clock::Timestamp,
    identity::Standing,
    room::RoomKey,
    route::Transport,
    session::{Principal, SessionId},
};
use observe::metrics::EntryRole;

/// The open streams of all workers.
#[derive(Debug, Default)]
pub struct StreamDirectory(Mutex<Listed>);

/// One open stream. A person has one for each tab and device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRecord {
    pub(crate) room: RoomKey,
    pub(crate) role: EntryRole,
    pub(crate) transport: Transport,
    /// The address of the client, if it is known.
    pub(crate) client: Option<IpAddr>,
    pub(crate) since: Timestamp,
    pub(crate) person: StreamPerson,
}

/// Whose stream it is, in the words of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamPerson {
    pub(crate) session: SessionId,
    pub(crate) subject: String,
    pub(crate) name: Option<String>,
    pub(crate) standing: &'static str,
    /// The integration that named the person.
    pub(crate) integration: Option<String>,
    /// The link with which the person came.
    pub(crate) link: Option<String>,
}

/// Keeps a stream listed until it is dropped.
#[derive(Debug)]
pub(crate) struct StreamListing {
    directory: Arc<StreamDirectory>,
    number: u64,
}

#[derive(Debug, Default)]
struct Listed {
    next: u64,
    streams: HashMap<u64, Arc<StreamRecord>>,
}

// === impl StreamDirectory ===

impl StreamDirectory {
    /// Lists a stream until the listing is dropped.
    pub(crate) fn list(self: &Arc<Self>, record: StreamRecord) -> StreamListing {
        let record = Arc::new(record);
        let mut listed = self.listed();
        let number = listed.next;
        listed.next += 1;
        listed.streams.insert(number, record);
        drop(listed);
        StreamListing {
            directory: Arc::clone(self),
            number,
        }
    }

    /// The open streams, oldest first.
    pub(crate) fn streams(&self) -> Vec<Arc<StreamRecord>> {
        let listed = self.listed();
        let mut numbered: Vec<_> = listed
            .streams
            .iter()
            .map(|(number, record)| (*number, Arc::clone(record)))
            .collect();
        drop(listed);
        numbered.sort_unstable_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, record)| record).collect()
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        // No operation under the lock panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl StreamPerson ===

impl StreamPerson {
    pub(crate) fn of(principal: &Principal) -> Self {
        let (identity, standing) = (principal.identity(), principal.standing());
        Self {
            session: principal.id().clone(),
            subject: identity.subject.clone(),
            name: identity.display_name().map(ToOwned::to_owned),
            standing: standing.as_str(),
            integration: match standing {
                Standing::Embedded(embedded) => Some(embedded.integration.clone()),
                Standing::Member | Standing::Guest | Standing::Invited(_) => None,
            },
            link: match standing {
                Standing::Invited(invited) => Some(invited.link.clone()),
                Standing::Member | Standing::Guest | Standing::Embedded(_) => None,
            },
        }
    }
}

// === impl StreamListing ===

impl Drop for StreamListing {
    fn drop(&mut self) {
        self.directory.listed().streams.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{key, principal};

    #[test]
    fn streams_are_listed_oldest_first_while_their_listing_lives() {
        let directory = Arc::new(StreamDirectory::default());
        let list = |room: &str| {
            directory.list(StreamRecord {
                room: key(room),
                role: EntryRole::Moderator,
                transport: Transport::Bosh,
                client: Some([192, 0, 2, 1].into()),
                since: Timestamp::from_unix(7),
                person: StreamPerson::of(&principal()),
            })
        };
        let rooms = || -> Vec<String> {
            let streams = directory.streams();
            streams.iter().map(|it| it.room.to_string()).collect()
        };
        let (first, second, third) = (list("a"), list("b"), list("c"));
        assert_eq!(rooms(), ["a", "b", "c"]);
        drop(second);
        let fourth = list("d");
        assert_eq!(rooms(), ["a", "c", "d"]);
        drop((first, third, fourth));
        assert!(rooms().is_empty());
    }
}
