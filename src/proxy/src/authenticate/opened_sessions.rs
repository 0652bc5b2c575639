//! The sessions whose cookies one worker has opened before.
//!
//! A client sends the same cookie with each poll until it is renewed. To decode and decrypt it and to
//! parse the session costs about as much as all other decisions on a poll together.
//!
//! What a cookie opens to never changes, so it is remembered; whether the session is over or revoked
//! is asked each time. Only cookies that this gateway sealed are remembered, in a table of constant
//! size: a newer session takes the slot of an older one.

use std::{
    cell::RefCell,
    fmt,
    hash::{BuildHasher, RandomState},
    rc::Rc,
};

use model::session::{Principal, Session, SessionCodec};
use zeroize::Zeroizing;

/// The sessions of one worker, by their sealed cookies.
pub(crate) struct OpenedSessions {
    slots: RefCell<Vec<Option<OpenedSession>>>,
    /// Keyed, so that a client cannot choose cookies that share a slot.
    hasher: RandomState,
}

/// A cookie is a credential: it is neither printed nor left in freed memory.
struct OpenedSession {
    sealed: Zeroizing<String>,
    /// A [`Principal::Member`].
    member: Rc<Principal>,
}

// === impl OpenedSessions ===

impl OpenedSessions {
    /// The member whose session a cookie's value is; `None` if another deployment sealed it, it was
    /// changed, or the session has expired.
    pub(crate) fn open(&self, codec: &SessionCodec, sealed: &str) -> Option<Rc<Principal>> {
        let slot = usize::try_from(self.hasher.hash_one(sealed) % SLOTS as u64).ok()?;
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(slot)?;
        if let Some(known) = slot.as_ref().filter(|known| *known.sealed == sealed) {
            let is_live = known.session().is_some_and(|it| codec.is_live(it));
            return is_live.then(|| Rc::clone(&known.member));
        }
        let member = Rc::new(Principal::Member(codec.open(sealed)?));
        *slot = Some(OpenedSession {
            sealed: Zeroizing::new(sealed.to_owned()),
            member: Rc::clone(&member),
        });
        Some(member)
    }
}

impl Default for OpenedSessions {
    fn default() -> Self {
        Self {
            slots: RefCell::new((0..SLOTS).map(|_| None).collect()),
            hasher: RandomState::new(),
        }
    }
}

impl fmt::Debug for OpenedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedSessions")
    }
}

// === impl OpenedSession ===

impl OpenedSession {
    fn session(&self) -> Option<&Session> {
        match &*self.member {
            Principal::Member(session) => Some(session),
            Principal::Pass(_) | Principal::MemberWithPass { .. } => None,
        }
    }
}

/// Above the number of people that one worker serves at a time. A session and its cookie have one or
/// two kilobytes, so all slots have at most some megabytes.
const SLOTS: usize = 1024;
