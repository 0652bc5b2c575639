//! Passes: credentials for one room, for guests, holders of links, embedded users, and members
//! whose client keeps no session cookie.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Credential, Session, SessionId};
use crate::{
    authentication_context::AuthenticationContext,
    clock::{Clock, EventTime, Timestamp},
    identity::{GUEST_PREFIX, Identity, Standing},
    random::Random,
    room::RoomKey,
};

/// A person's credential for one room, with an expiry time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    #[serde(rename = "i")]
    id: SessionId,
    /// The provider's session id, if the pass was issued from a member's session.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    provider_session: Option<String>,
    #[serde(rename = "w")]
    identity: Identity,
    #[serde(rename = "b")]
    began: Timestamp,
    /// The milliseconds of `began`, as in a session.
    #[serde(rename = "m", default, skip_serializing_if = "super::is_zero")]
    began_millis: u16,
    /// The time of issue of the token for which the pass was issued. The token may be shown again.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    token_issued: Option<Timestamp>,
    /// When the provider confirmed the member's session last; `None` if it cannot be asked again.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    validated: Option<Timestamp>,
    /// How the member authenticated.
    #[serde(
        rename = "a",
        default,
        skip_serializing_if = "AuthenticationContext::is_empty"
    )]
    authentication: AuthenticationContext,
    #[serde(rename = "k", default, skip_serializing_if = "is_member")]
    standing: Standing,
    #[serde(rename = "r")]
    room: RoomKey,
    #[serde(rename = "x")]
    ends: Timestamp,
}

/// The time from the issue of a pass to its end.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The time of issue.
    pub begins: EventTime,
    /// The expiry time.
    pub ends: Timestamp,
}

// === impl Validity ===

impl Validity {
    /// Begins now and ends after `lifetime`.
    pub fn beginning_now(clock: &Clock, lifetime: Duration) -> Self {
        let begins = clock.event_time();
        let ends = begins.second().after(lifetime);
        Self { begins, ends }
    }
}

// === impl Pass ===

impl Pass {
    /// Issues a pass with a random id. An identity without a subject gets a random one with the
    /// guests' prefix, which no provider's subject has.
    pub fn issue(
        room: &RoomKey,
        standing: Standing,
        mut identity: Identity,
        validity: Validity,
        random: &Random,
    ) -> Self {
        let id = SessionId(random.text::<16>());
        if identity.subject.is_empty() {
            identity.subject = format!("{GUEST_PREFIX}{}", random.text::<9>());
        }
        Self {
            id,
            provider_session: None,
            identity,
            began: validity.begins.second(),
            began_millis: validity.begins.millis(),
            token_issued: None,
            validated: None,
            authentication: AuthenticationContext::default(),
            standing,
            room: room.clone(),
            ends: validity.ends,
        }
    }

    pub(super) fn of_member(session: &Session, room: &RoomKey, ends: Timestamp) -> Self {
        Self {
            id: session.id.clone(),
            provider_session: session.provider_session.clone(),
            identity: session.identity.clone(),
            began: session.began,
            began_millis: session.began_millis,
            token_issued: None,
            validated: session.validated,
            authentication: session.authentication.clone(),
            standing: Standing::Member,
            room: room.clone(),
            ends,
        }
    }

    /// The id in revocations and in the connection registry.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The person's identity; for a guest at most a self-chosen name.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The proof on which the pass was issued.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The only room of the pass.
    pub fn room(&self) -> &RoomKey {
        &self.room
    }

    /// The time of issue.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// The expiry time.
    pub fn ends(&self) -> Timestamp {
        self.ends
    }

    /// When the provider confirmed the member's session last, if the pass was issued from one that
    /// can be revalidated.
    pub fn validated(&self) -> Option<Timestamp> {
        self.validated
    }

    /// How the member authenticated, if the pass was issued from a member's session.
    pub fn authentication(&self) -> &AuthenticationContext {
        &self.authentication
    }

    /// The same pass of a person who authenticated like this.
    #[must_use]
    pub fn authenticated(self, authentication: AuthenticationContext) -> Self {
        Self {
            authentication,
            ..self
        }
    }

    /// The same pass under another id.
    #[must_use]
    pub fn named(self, id: SessionId) -> Self {
        Self { id, ..self }
    }

    /// The same pass with the member's identity of now. The identity of other holders stays.
    #[must_use]
    pub fn revalidated(self, identity: &Identity) -> Self {
        if !self.standing.is_member() {
            return self;
        }
        Self {
            identity: identity.clone(),
            ..self
        }
    }

    /// The same pass for a token of this time of issue. A revocation of the person since then counts.
    #[must_use]
    pub fn with_token_issued(self, issued: Timestamp) -> Self {
        Self {
            token_issued: Some(issued.min(self.began)),
            ..self
        }
    }

    /// The same pass for a client without credentials: only its stream tells it from others.
    #[must_use]
    pub fn of_stream(mut self, id: SessionId) -> Self {
        self.identity.subject = format!("{GUEST_PREFIX}{}", id.as_str());
        self.named(id)
    }

    /// The parts of this pass that a revocation may name.
    pub fn credential(&self) -> Credential<'_> {
        Credential {
            id: &self.id,
            provider_session: self.provider_session.as_deref(),
            identity: &self.identity,
            began: match self.token_issued {
                Some(issued) => EventTime::start_of(issued),
                None => EventTime::new(self.began, self.began_millis),
            },
            link: match &self.standing {
                Standing::Invited(invited) => Some(&invited.link),
                _ => None,
            },
            ancestor: None,
        }
    }

    pub(super) fn standing_mut(&mut self) -> &mut Standing {
        &mut self.standing
    }
}

fn is_member(standing: &Standing) -> bool {
    *standing == Standing::Member
}
