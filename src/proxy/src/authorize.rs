//! The authorization phase: from a visitor and a room to a [`Grant`] or an [`AccessError`], by the
//! policy.
//!
//! [`Authorizer::evaluate`] decides and leaves no trace; [`Authorizer::authorize`] also counts and audits.

use std::{rc::Rc, sync::Arc};

use cluster::presence::Presence;
use model::{
    clock::Clock,
    clock::Timestamp,
    identity::{GUEST_PREFIX, RECORDER_PREFIX, Standing},
    owner::OwnerTags,
    policy::{self, Admission, Authentication, Grant, Policy, Refusal, Situation, StepUp},
    room::RoomKey,
    session::{Principal, Visitor},
};
use observe::metrics::WorkerMetrics;
use pages::PagePerson;

use crate::{RequestContext, audit, credentials::Intent, passes::PassIssuer};

/// What the policy needs besides the visitor and the room.
#[derive(Debug)]
pub(crate) struct Authorizer {
    /// Tells the creator of a room by the tag in its name.
    pub(crate) owners: OwnerTags,
    /// Which rooms are open, and who is in them.
    pub(crate) presence: Arc<Presence>,
    pub(crate) clock: Clock,
}

/// A visitor's request for access to a room.
#[derive(Clone, Copy)]
pub(crate) struct AccessRequest<'r> {
    pub(crate) room: &'r RoomKey,
    pub(crate) visitor: &'r Visitor,
    pub(crate) intent: Intent,
    pub(crate) context: &'r RequestContext,
}

/// Why a visitor does not get into a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// The rule wants an account.
    SignIn,
    /// The rule lets guests in; `ask` says that they name themselves first.
    Guest {
        /// Whether a name is asked for.
        ask: bool,
    },
    /// No host has opened the room.
    Waiting,
    /// The rule wants a stronger or more recent authentication.
    StepUp(StepUpDemand),
    /// The rule refuses.
    Refused(Refusal),
}

/// A rule's demand for a stronger or more recent authentication.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule} requires a stronger or more recent sign-in: {required}")]
pub(crate) struct StepUpDemand {
    /// Position of the rule, from 1.
    pub(crate) rule: usize,
    /// What the rule requires, in the terms of the protocol.
    pub(crate) required: String,
    /// The id of the requirement.
    id: String,
}

/// Why the sender of a request has no access.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// A page of another site sent it.
    #[error("the request comes from a page of another site")]
    ForeignSender,
    /// Only people who signed in get an answer.
    #[error("this needs a signed-in account")]
    SignInFirst,
    /// Only people who may be in a room get an answer.
    #[error("this is for people in a room; open the room first")]
    RoomFirst,
    /// The person may be in no room, or not in the one that the request names.
    #[error("no rule lets this person into a room now that this is for")]
    NoRoom,
    /// Anonymous visitors may enter as guests only.
    #[error("this needs a signed-in account or a guest's pass")]
    GuestFirst {
        /// After saying a name.
        ask: bool,
    },
    /// The room is not open, and who asks may not open it.
    #[error("the room is not open yet")]
    Waiting {
        /// The room.
        room: RoomKey,
        /// Who waits.
        person: Option<NamedPerson>,
    },
    /// The person has to authenticate more strongly, or anew.
    #[error("{demand}")]
    StepUp {
        /// What is required.
        demand: StepUpDemand,
        /// The room.
        room: RoomKey,
        /// Who has to.
        person: Option<String>,
    },
    /// The rules refuse.
    #[error("{refusal}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// Which room.
        room: RoomKey,
        /// The person; none for an anonymous visitor.
        person: Option<NamedPerson>,
    },
}

/// A person as an error page names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPerson {
    name: String,
    is_member: bool,
}

/// A principal with a right to a connection to Prosody.
#[derive(Debug)]
pub(crate) struct Admitted<'p> {
    /// The person.
    pub(crate) principal: Rc<Principal>,
    /// What the person is to Prosody.
    pub(crate) privilege: Privilege<'p>,
}

/// What an admitted principal is to Prosody.
#[derive(Debug)]
pub(crate) enum Privilege<'p> {
    /// Granted to a principal with credentials.
    Granted(Grant<'p>),
    /// Granted to an anonymous client, such as an app, where the rule lets guests in: each of its
    /// requests is anonymous.
    Anonymous(Grant<'p>),
    /// A recorder, which has credentials of its own at Prosody.
    Recorder,
}

// === impl NamedPerson ===

impl NamedPerson {
    /// The person behind a principal that has a name.
    fn of(principal: &Principal) -> Option<Self> {
        Some(Self {
            name: principal.identity().display_name()?.to_owned(),
            is_member: principal.is_member(),
        })
    }

    /// The values of the page.
    pub(crate) fn on_page(&self) -> PagePerson<'_> {
        PagePerson {
            name: &self.name,
            is_member: self.is_member,
        }
    }
}

// === impl Authorizer ===

impl Authorizer {
    /// The policy's answer.
    pub(crate) fn evaluate<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        principal: Option<&Principal>,
        intent: Intent,
    ) -> Admission<'p> {
        let situation = self.situation(room, principal, intent);
        self.evaluate_in(policy, room, principal, &situation)
    }

    /// Asks the policy, counts the answer, and audits a refusal.
    pub(crate) fn authorize<'p>(
        &self,
        policy: &'p Policy,
        request: AccessRequest<'_>,
        metrics: &WorkerMetrics,
    ) -> Result<Grant<'p>, AccessError> {
        let AccessRequest { room, intent, .. } = request;
        let principal = request.visitor.principal().map(|principal| &**principal);
        let admission = self.evaluate(policy, room, principal, intent);
        // Each poll is evaluated; only the one that does not continue counts.
        let continues = intent == Intent::Poll
            && matches!(admission, Admission::Admit(_) | Admission::Guest { .. });
        if !continues {
            metrics.count_admission(&admission);
        }
        Denial::of(admission, principal).map_err(|denial| {
            if let (Denial::Refused(refusal), Some(principal)) = (&denial, principal) {
                audit::refused(principal, room, refusal, request.context);
            }
            denial.into_error(room, principal)
        })
    }

    /// Authorizes a connection to Prosody. An anonymous client is a guest where guests may enter: an
    /// app has no page of the gateway to state a name on, and asks for one itself.
    pub(crate) fn authorize_connection<'p>(
        &self,
        policy: &'p Policy,
        request: AccessRequest<'_>,
        passes: &PassIssuer,
        metrics: &WorkerMetrics,
    ) -> Result<Admitted<'p>, AccessError> {
        let granted = self.authorize(policy, request, metrics);
        match (granted, request.visitor) {
            (Ok(grant), Visitor::Known(principal)) => Ok(Admitted {
                principal: Rc::clone(principal),
                privilege: Privilege::Granted(grant),
            }),
            (Err(AccessError::GuestFirst { .. }), _) => {
                let guest = passes.guest(request.room, None);
                let guest = Rc::new(Principal::Pass(guest));
                let visitor = Visitor::Known(Rc::clone(&guest));
                let request = AccessRequest {
                    visitor: &visitor,
                    ..request
                };
                let grant = self.authorize(policy, request, metrics)?;
                Ok(Admitted {
                    principal: guest,
                    privilege: Privilege::Anonymous(grant),
                })
            }
            (Err(error), _) => Err(error),
            (Ok(_), Visitor::Anonymous) => Err(AccessError::SignInFirst),
        }
    }

    /// Whether the policy lets a principal in, now or when a host comes.
    pub(crate) fn could_enter(
        &self,
        policy: &Policy,
        room: &RoomKey,
        principal: &Principal,
    ) -> bool {
        let admission = self.evaluate(policy, room, Some(principal), Intent::Connect);
        matches!(admission, Admission::Admit(_) | Admission::Wait(_))
    }

    /// The situation in a room. `Intent::Poll` is of a connection that exists: its person stays when
    /// the room would make others wait or is full, even if a restart lost the presence.
    fn situation(
        &self,
        room: &RoomKey,
        principal: Option<&Principal>,
        intent: Intent,
    ) -> Situation {
        let presence = &self.presence;
        let present = principal.is_some_and(|principal| presence.is_present(room, principal.id()));
        Situation {
            now: self.clock.now(),
            open: presence.is_open(room),
            others: presence
                .occupant_count(room)
                .saturating_sub(u32::from(present)),
            staying: intent == Intent::Poll,
        }
    }

    fn evaluate_in<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        principal: Option<&Principal>,
        situation: &Situation,
    ) -> Admission<'p> {
        let visitor = principal
            .filter(|principal| principal.is_for(room))
            .map(|principal| policy::Requester {
                identity: principal.identity(),
                standing: principal.standing(),
                // A guest may claim any identity.
                owner: has_account(principal.standing())
                    && self.owners.is_owner(room, principal.identity()),
                authentication: Authentication::Known(principal.authentication()),
            });
        policy.decide(room, visitor.as_ref(), situation)
    }
}

// === impl Denial ===

impl Denial {
    /// Splits an admission: a grant is only one to a principal.
    pub(crate) fn of<'p>(
        admission: Admission<'p>,
        principal: Option<&Principal>,
    ) -> Result<Grant<'p>, Self> {
        match admission {
            Admission::Admit(grant) if principal.is_some() => Ok(grant),
            Admission::Admit(_) | Admission::SignIn => Err(Self::SignIn),
            Admission::Guest { ask } => Err(Self::Guest { ask }),
            Admission::Wait(_) => Err(Self::Waiting),
            Admission::StepUp(step_up) => Err(Self::StepUp(StepUpDemand::of(step_up))),
            Admission::Refuse(refusal) => Err(Self::Refused(refusal)),
        }
    }

    /// The error for the request.
    pub(crate) fn into_error(self, room: &RoomKey, principal: Option<&Principal>) -> AccessError {
        let person = || principal.and_then(NamedPerson::of);
        match self {
            Self::SignIn => AccessError::SignInFirst,
            Self::Guest { ask } => AccessError::GuestFirst { ask },
            Self::Waiting => AccessError::Waiting {
                room: room.clone(),
                person: person(),
            },
            Self::StepUp(demand) => demand.into_error(room, principal),
            Self::Refused(refusal) => AccessError::Refused {
                refusal,
                room: room.clone(),
                person: person(),
            },
        }
    }
}

// === impl StepUpDemand ===

impl StepUpDemand {
    pub(crate) fn of(step_up: StepUp<'_>) -> Self {
        Self {
            rule: step_up.rule,
            required: step_up.requirement.to_string(),
            id: step_up.requirement.id(),
        }
    }

    /// Whether the provider was asked just now, so that asking it again would be a loop.
    pub(crate) fn was_asked(&self, principal: &Principal, now: Timestamp) -> bool {
        let session = principal.renewable();
        session.is_some_and(|session| session.was_asked(&self.id, now))
    }

    /// The error for the request.
    pub(crate) fn into_error(self, room: &RoomKey, principal: Option<&Principal>) -> AccessError {
        let person = principal.and_then(|principal| principal.identity().display_name());
        AccessError::StepUp {
            demand: self,
            room: room.clone(),
            person: person.map(ToOwned::to_owned),
        }
    }
}

/// Whether some room admits a principal, whom a pass limits to its own room.
pub(crate) fn admits_somewhere(policy: &Policy, principal: &Principal) -> bool {
    let requester = policy::Requester {
        identity: principal.identity(),
        standing: principal.standing(),
        // Of some room, perhaps.
        owner: has_account(principal.standing()),
        authentication: Authentication::Sufficient,
    };
    policy.admits_somewhere(&requester)
}

/// Whether the provider proved an identity, or a system that is trusted with e-mail addresses.
fn has_account(standing: &Standing) -> bool {
    standing.is_member() || matches!(standing, Standing::Embedded(_))
}

// === impl Admitted ===

impl Admitted<'_> {
    /// The policy's grant; recorders need none.
    pub(crate) fn grant(&self) -> Option<&Grant<'_>> {
        match &self.privilege {
            Privilege::Granted(grant) | Privilege::Anonymous(grant) => Some(grant),
            Privilege::Recorder => None,
        }
    }

    /// Whether the principal's presence opens the room for those who wait.
    pub(crate) fn opens(&self) -> bool {
        self.grant().is_some_and(Grant::opens)
    }

    /// The ids of all credentials, which the resumption of a stream is bound to: a revocation of any of
    /// them ends the stream.
    pub(crate) fn credential_ids(&self) -> String {
        match self.privilege {
            Privilege::Granted(_) => {
                let credentials = self.principal.credentials();
                let ids: Vec<_> = credentials.map(|own| own.id.as_str()).collect();
                ids.join(" ")
            }
            Privilege::Anonymous(_) => GUEST_PREFIX.to_owned(),
            Privilege::Recorder => RECORDER_PREFIX.to_owned(),
        }
    }

    /// The owner that a BOSH session id is bound to. Not the person, whose other sessions outlive a
    /// sign-out of this one; nor all credentials, as a member may open a link in the meeting.
    pub(crate) fn owner(&self) -> &str {
        match self.privilege {
            Privilege::Granted(_) => self.principal.id().as_str(),
            Privilege::Anonymous(_) => GUEST_PREFIX,
            Privilege::Recorder => RECORDER_PREFIX,
        }
    }
}

#[cfg(test)]
mod tests;
