//! The open XMPP streams of this process, as operators see them: who is in which room, as what, and
//! since when.
//!
//! A stream is listed from the audit line of its entry to that of its end, which its listing writes: exactly one,
//! also if the process stops. Listing and unlisting take a lock for a moment; requests of an open stream take none,
//! and a listing is copied out of the lock.

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
use observe::metrics::{CutReason, EntryRole};

use crate::{
    audit,
    request_context::{RequestContext, RequestId},
    table_memory::shrink_if_sparse,
};

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

/// Keeps a stream listed until its end is recorded. One that is dropped before records that the process stops: its
/// task ended with the runtime.
#[derive(Debug)]
pub(crate) struct StreamListing {
    directory: Arc<StreamDirectory>,
    record: Arc<StreamRecord>,
    number: u64,
    /// The request that the stream was listed for.
    request: RequestId,
    is_recorded: bool,
}

/// How a stream ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// Either side closed it.
    Closed,
    /// The client's connection broke off. A BOSH stream may continue with its next request.
    Broken,
    /// No BOSH request came until Prosody's timeout.
    Vanished,
}

#[derive(Debug, Default)]
struct Listed {
    next: u64,
    streams: HashMap<u64, Arc<StreamRecord>>,
}

// === impl StreamDirectory ===

impl StreamDirectory {
    /// Lists a stream until its end is recorded.
    pub(crate) fn list(
        self: &Arc<Self>,
        record: StreamRecord,
        context: &RequestContext,
    ) -> StreamListing {
        let record = Arc::new(record);
        let mut listed = self.listed();
        let number = listed.next;
        listed.next += 1;
        listed.streams.insert(number, Arc::clone(&record));
        drop(listed);
        StreamListing {
            directory: Arc::clone(self),
            record,
            number,
            request: context.id,
            is_recorded: false,
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

impl StreamListing {
    pub(crate) fn record(&self) -> Arc<StreamRecord> {
        Arc::clone(&self.record)
    }

    /// Records that the stream ended by itself.
    pub(crate) fn left(mut self, how: Departure, context: &RequestContext) {
        self.is_recorded = true;
        audit::left(&self.record, how, context.id);
    }

    /// Records that the gateway ended the stream.
    pub(crate) fn cut(mut self, reason: CutReason, context: &RequestContext) {
        self.is_recorded = true;
        audit::cut(&self.record, reason, context.id);
    }
}

impl Drop for StreamListing {
    fn drop(&mut self) {
        let mut listed = self.directory.listed();
        listed.streams.remove(&self.number);
        shrink_if_sparse(&mut listed.streams);
        drop(listed);
        if !self.is_recorded {
            audit::cut(&self.record, CutReason::Shutdown, self.request);
        }
    }
}

// === impl Departure ===

impl Departure {
    /// The value of `how` in the audit log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Vanished => "vanished",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{context, key, principal};

    #[test]
    fn streams_are_listed_oldest_first_while_their_listing_lives() {
        let directory = Arc::new(StreamDirectory::default());
        let list = |room: &str| {
            let record = StreamRecord {
                room: key(room),
                role: EntryRole::Moderator,
                transport: Transport::Bosh,
                client: Some([192, 0, 2, 1].into()),
                since: Timestamp::from_unix(7),
                person: StreamPerson::of(&principal()),
            };
            directory.list(record, &context(1))
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
