//! The sender of a request: anonymous, or a principal with valid credentials.

use std::rc::Rc;

use super::{Pass, Session, SessionId};
use crate::{
    authentication_context::AuthenticationContext,
    clock::{EventTime, Timestamp},
    identity::{Identity, Standing},
    room::RoomKey,
};

/// The sender of a request, as authenticated for one room.
#[derive(Clone, Debug)]
pub enum Visitor {
    /// The request carries no valid credential.
    Anonymous,
    /// The request's credentials are valid for a principal.
    Known(Rc<Principal>),
}

/// A person whose credentials are valid: the holder of a session, of a pass, or of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The holder of a session, valid in any room.
    Member(Session),
    /// The holder of a pass, valid in its room only.
    Pass(Pass),
    /// A member who also holds a link to the room: the member's identity, with the rights of the
    /// link. Only the pass of a link is ever combined with a session ([`Principal::combine`]).
    MemberWithPass {
        /// The session, which is renewed like any other.
        member: Session,
        /// The pass of the link; boxed, because few members hold one.
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
    /// The identity, with the provider's `sub`.
    pub identity: &'c Identity,
    /// The start time; revoking a person ends only what began earlier.
    pub began: EventTime,
    /// The id of the invitation link behind a pass.
    pub link: Option<&'c str>,
    /// The id of the first of the sessions that followed each other in one browser, if it is another one.
    pub ancestor: Option<&'c SessionId>,
}

// === impl Visitor ===

impl Visitor {
    /// The principal; `None` for an anonymous visitor.
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
    /// Combines a session with a pass for the room. A session takes precedence over a guest's pass,
    /// an integration's pass over a session; a link is added to the session.
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

    /// The id in audit, presence and the connection registry.
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

    /// The proof behind the identity, as the policy evaluates it.
    pub fn standing(&self) -> &Standing {
        match self {
            Self::Member(_) => &Standing::Member,
            Self::Pass(pass) => pass.standing(),
            Self::MemberWithPass { pass, .. } => pass.standing(),
        }
    }

    /// How the person authenticated with the provider.
    pub fn authentication(&self) -> &AuthenticationContext {
        match self {
            Self::Member(session)
            | Self::MemberWithPass {
                member: session, ..
            } => session.authentication(),
            Self::Pass(pass) => pass.authentication(),
        }
    }

    /// Whether the person signed in with the provider.
    pub fn is_member(&self) -> bool {
        self.standing().is_member()
    }

    /// The session to renew on requests; `None` for a pass, which is never renewed.
    pub fn renewable(&self) -> Option<&Session> {
        match self {
            Self::Member(session)
            | Self::MemberWithPass {
                member: session, ..
            } => Some(session),
            Self::Pass(_) => None,
        }
    }

    /// The same principal after the provider confirmed the session again, as this identity; only
    /// the identity of a member is the provider's.
    #[must_use]
    pub fn revalidated(&self, identity: &Identity, at: Timestamp) -> Self {
        match self {
            Self::Member(session) => Self::Member(session.clone().revalidated(identity, at)),
            Self::Pass(pass) => Self::Pass(pass.clone().revalidated(identity)),
            Self::MemberWithPass { member, pass } => Self::MemberWithPass {
                member: member.clone().revalidated(identity, at),
                pass: pass.clone(),
            },
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

    /// Everything that a revocation may name; a match of any of them ends the principal.
    pub fn credentials(&self) -> impl Iterator<Item = Credential<'_>> {
        let (first, second) = match self {
            Self::Member(session) => (session.credential(), None),
            Self::Pass(pass) => (pass.credential(), None),
            Self::MemberWithPass { member, pass } => (member.credential(), Some(pass.credential())),
        };
        std::iter::once(first).chain(second)
    }

    /// The same rights as a pass, for a client that keeps no cookies: the member's identity, and
    /// the rights of the link.
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
