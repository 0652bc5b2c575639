//! What a worker holds open for whom, so that it can be ended.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use tokio::sync::oneshot;

use crate::{
    revocation::{Cause, Revocations},
    session::Session,
};

/// The open WebSockets and long polls of one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Rc<RefCell<Entries>>);

/// Why the gateway ends a socket or stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The session was revoked.
    Revoked(Cause),
    /// The session reached its end.
    Expired,
    /// The gateway stops.
    Shutdown,
}

/// An open socket or poll; dropping it takes it out of the books.
#[derive(Debug)]
pub(crate) struct Registration {
    live: Live,
    number: u64,
    end: oneshot::Receiver<End>,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    open: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    session: Rc<Session>,
    kind: Kind,
    end: Option<oneshot::Sender<End>>,
}

/// What is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A WebSocket: stays open until somebody ends it.
    Socket,
    /// A BOSH request: ends by itself within its `wait`.
    Poll,
}

// === impl Live ===

impl Live {
    /// Enters something that was opened for a session.
    pub(crate) fn register(&self, session: Rc<Session>, kind: Kind) -> Registration {
        let (sender, end) = oneshot::channel();
        let mut entries = self.0.borrow_mut();
        let number = entries.next;
        entries.next += 1;
        entries.open.insert(
            number,
            Entry {
                session,
                kind,
                end: Some(sender),
            },
        );
        Registration {
            live: self.clone(),
            number,
            end,
        }
    }

    /// Ends everything whose session is revoked.
    pub(crate) fn end_revoked(&self, revocations: &Revocations) {
        self.end_where(|entry| revocations.cause(&entry.session).map(End::Revoked));
    }

    /// Ends the sockets because the gateway stops; polls end by themselves.
    pub(crate) fn end_sockets(&self) {
        self.end_where(|entry| (entry.kind == Kind::Socket).then_some(End::Shutdown));
    }

    fn end_where(&self, why: impl Fn(&Entry) -> Option<End>) {
        for entry in self.0.borrow_mut().open.values_mut() {
            if let Some(why) = why(entry)
                && let Some(end) = entry.end.take()
            {
                // Whoever does not listen any more is ending anyway.
                let _ = end.send(why);
            }
        }
    }
}

// === impl Registration ===

impl Registration {
    /// Waits to be told to end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn told_to_end(&mut self) -> End {
        // The sender lives as long as the entry, and the entry as long as this.
        (&mut self.end).await.unwrap_or(End::Shutdown)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.live.0.borrow_mut().open.remove(&self.number);
    }
}

// === impl End ===

impl End {
    /// The word for metrics and the audit line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked(cause) => cause.as_str(),
            Self::Expired => "expired",
            Self::Shutdown => "shutdown",
        }
    }

    /// Whether the client may not come back with what was ended.
    pub(crate) const fn is_for_good(self) -> bool {
        matches!(self, Self::Revoked(_) | Self::Expired)
    }

    /// The close code for WebSockets (RFC 6455 § 7.4.1).
    pub(crate) const fn close_code(self) -> u16 {
        match self {
            Self::Revoked(_) | Self::Expired => 1008,
            Self::Shutdown => 1001,
        }
    }
}
