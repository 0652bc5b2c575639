//! The sender of a request: anonymous, or a principal that its credentials prove.

use std::rc::Rc;

use super::{Pass, Session, SessionId};
use crate::{
    clock::Timestamp,
    identity::{Identity, Standing},
    room::RoomKey,
};

/// The sender of a request, as authenticated for one room.
#[derive(Clone, Debug)]
pub enum Visitor {
    /// The request carries no valid credential.
    Anonymous,
    /// The request's credentials prove a principal.
    Known(Rc<Principal>),
}

/// A person whose credentials are valid: the holder of a session, of a pass, or of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Signed in with the provider; any room.
    Member(Session),
    /// The holder of a pass; its room only.
    Pass(Pass),
    /// A member who also holds a link to the room: the member's identity, with what the link adds.
    /// Only the pass of a link is ever combined with a session ([`Principal::combine`]).
    MemberWithPass {
        /// The session, which is renewed like any other.
        member: Session,
        /// The pass of the link; boxed, as few members hold one.
        pass: Box<Pass>,
    },
}

/// The parts of a session or pass that a revocation may name.
#[derive(Clone, Copy, Debug)]
pub struct Credential<'c> {
    /// The id of the session or pass.
    pub id: &'c SessionId,
    /// The provider's `sid`.
    pub provider_session: Option<&'c str>,
    /// The person; the provider's `sub` is in it.
    pub identity: &'c Identity,
    /// Revocations of a person end what began before them.
    pub began: Timestamp,
    /// The link that the holder came by.
    pub link: Option<&'c str>,
}

// === impl Visitor ===

impl Visitor {
    /// The principal; none for an anonymous visitor.
    pub fn principal(&self) -> Option<&Rc<Principal>> {
        match self {
            Self::Anonymous => None,
            Self::Known(principal) => Some(principal),
        }
    }
}

impl From<Principal> for Visitor {
    fn from(principal: Principal) -> Self {
        Self::Known(Rc::new(principal))
    }
}

impl From<Option<Principal>> for Visitor {
    fn from(principal: Option<Principal>) -> Self {
        principal.map_or(Self::Anonymous, Self::from)
    }
}

// === impl Principal ===

impl Principal {
    /// Combines a session with a pass to the room. An account counts for more than a name that a
    /// guest chose, an integration's word about its own room for more than an account; a link adds
    /// to the account.
    #[must_use]
    pub fn combine(member: Session, mut pass: Pass) -> Self {
        match pass.standing_mut() {
            Standing::Embedded(_) => Self::Pass(pass),
            Standing::Invited(invited) => {
                invited.member = true;
                let pass = Box::new(pass);
                Self::MemberWithPass { member, pass }
            }
            Standing::Guest | Standing::Member => Self::Member(member),
        }
    }

    /// The id that audit, presence and the connection registry know the person by.
    pub fn id(&self) -> &SessionId {
        match self {
            Self::Member(session)
            | Self::MemberWithPass {
                member: session, ..
            } => session.id(),
            Self::Pass(pass) => pass.id(),
        }
    }

    /// The person's identity.
    pub fn identity(&self) -> &Identity {
        match self {
            Self::Member(session)
            | Self::MemberWithPass {
                member: session, ..
            } => session.identity(),
            Self::Pass(pass) => pass.identity(),
        }
    }

    /// The grounds on which the person stands before a room.
    pub fn standing(&self) -> &Standing {
        match self {
            Self::Member(_) => &Standing::Member,
            Self::Pass(pass) => pass.standing(),
            Self::MemberWithPass { pass, .. } => pass.standing(),
        }
    }

    /// Whether the person signed in with the provider.
    pub fn is_member(&self) -> bool {
        self.standing().is_member()
    }

    /// The session that requests renew; a pass ends when it ends.
    pub fn renewable(&self) -> Option<&Session> {
        match self {
            Self::Member(session)
            | Self::MemberWithPass {
                member: session, ..
            } => Some(session),
            Self::Pass(_) => None,
        }
    }

    /// Whether the credentials are for this room.
    pub fn is_for(&self, room: &RoomKey) -> bool {
        match self {
            Self::Member(_) => true,
            Self::Pass(pass) => pass.room() == room,
            Self::MemberWithPass { pass, .. } => pass.room() == room,
        }
    }

    /// Everything a revocation may name: revoking either ends the principal.
    pub fn credentials(&self) -> impl Iterator<Item = Credential<'_>> {
        let (first, second) = match self {
            Self::Member(session) => (session.credential(), None),
            Self::Pass(pass) => (pass.credential(), None),
            Self::MemberWithPass { member, pass } => (member.credential(), Some(pass.credential())),
        };
        std::iter::once(first).chain(second)
    }

    /// The same right as a pass, for a client that keeps no cookies: the member's identity, and what
    /// the link adds.
    #[must_use]
    pub fn to_pass(&self, room: &RoomKey, ends: Timestamp) -> Pass {
        match self {
            Self::Member(session) => session.pass_to(room, ends),
            Self::Pass(pass) => pass.clone(),
            Self::MemberWithPass { member, pass } => {
                let mut own = member.pass_to(room, ends.min(pass.ends()));
                *own.standing_mut() = pass.standing().clone();
                own
            }
        }
    }
}
