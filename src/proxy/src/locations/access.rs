//! Who may use a location.
//!
//! Most requests beside a meeting name no room: a whiteboard's WebSocket has none in its address, and
//! notes have names of their own. `in-a-room` is therefore a person whom the rules admit to some room: a
//! member for whom a rule has a room, or the holder of a pass whose own room is open to them now. A room
//! that a request names has to be theirs.

use std::{rc::Rc, time::Duration};

use http::{Request, header};
use model::{
    headers::{self, RequestOrigin},
    policy::Admission,
    query,
    room::{RoomKey, Tenant},
    route::{LocationAccess, SiteLocation},
    session::{Principal, RequestCookies, SessionCodec, Visitor},
};

use super::LocationError;
use crate::{
    ReloadableState, RequestContext, RequestError, Worker,
    authorize::{AccessError, admits_somewhere},
    connections::{
        AdmissionScope, ConnectionKind, ConnectionOwner, ConnectionRegistry, Registration,
    },
    credentials::Intent,
    request_context::is_reading,
};

/// A client that may use a location.
#[derive(Debug)]
pub(super) struct LocationUser {
    owner: ConnectionOwner,
    scope: Option<AdmissionScope>,
    /// How long a connection may stay open.
    pub(super) lifetime: Duration,
}

/// The person of a request, or why there is none.
pub(super) fn identify<B>(
    worker: &Worker,
    request: &Request<B>,
    context: &RequestContext,
    location: &SiteLocation,
    tenant: Option<Tenant>,
    is_socket: bool,
) -> Result<LocationUser, RequestError> {
    let is_public = location.access == LocationAccess::Anybody;
    let own_origin = &worker.state.authenticator.origin;
    let has_cookies = check_origin(own_origin, request, is_public, is_socket)?;
    let anonymous = || LocationUser {
        owner: ConnectionOwner::Address(context.client.ip()),
        scope: None,
        lifetime: Duration::MAX,
    };
    match location.access {
        LocationAccess::Anybody => Ok(anonymous()),
        LocationAccess::Member => {
            let authenticator = &worker.state.authenticator;
            let session = authenticator.session(request.headers());
            let session = session.filter(|_| has_cookies);
            let member = Principal::Member(session.ok_or(AccessError::SignInFirst)?);
            let scope = AdmissionScope::Account;
            let sessions = &authenticator.sessions;
            Ok(LocationUser::new(sessions, Rc::new(member), scope, None))
        }
        // A recorder shows what stands beside the meeting that it records.
        LocationAccess::InRoom if worker.state.is_recorder(context) => Ok(anonymous()),
        LocationAccess::InRoom if !has_cookies => Err(AccessError::RoomFirst.into()),
        LocationAccess::InRoom => {
            let occupant = Occupant {
                worker,
                rules: &worker.rules(),
                headers: request.headers(),
            };
            let query = request.uri().query().unwrap_or_default();
            match query::named_room(tenant, query)? {
                Some(room) => occupant.of_room(&room),
                None => occupant.of_any_room(),
            }
        }
    }
}

/// Whether the cookies of a request count.
///
/// WebSockets know no same-origin rule; those without an `Origin` are of clients that keep no cookies. What
/// a page of another site sends never counts, but a link to a page.
fn check_origin<B>(
    own_origin: &str,
    request: &Request<B>,
    is_public: bool,
    is_socket: bool,
) -> Result<bool, AccessError> {
    let origin = headers::request_origin(request.headers(), own_origin);
    let reads = is_reading(request.method());
    match origin {
        RequestOrigin::SameOrigin => Ok(true),
        RequestOrigin::Absent if is_socket => Ok(false),
        RequestOrigin::Absent if reads || is_public => Ok(true),
        RequestOrigin::CrossOrigin if is_public && !is_socket => Ok(true),
        RequestOrigin::CrossOrigin
            if reads && !is_socket && headers::is_navigation(request.headers()) =>
        {
            Ok(true)
        }
        RequestOrigin::Absent | RequestOrigin::CrossOrigin => Err(AccessError::ForeignSender),
    }
}

/// The search for a room in which the sender of a request may be.
struct Occupant<'r> {
    worker: &'r Worker,
    rules: &'r ReloadableState,
    headers: &'r header::HeaderMap,
}

// === impl Occupant ===

impl Occupant<'_> {
    fn of_room(&self, room: &RoomKey) -> Result<LocationUser, RequestError> {
        match self.visitor(room) {
            Visitor::Anonymous => Err(AccessError::RoomFirst.into()),
            Visitor::Known(principal) => {
                let user = self.admit(&principal, room);
                Ok(user.ok_or(AccessError::NoRoom)?)
            }
        }
    }

    fn of_any_room(&self) -> Result<LocationUser, RequestError> {
        let authenticator = &self.worker.state.authenticator;
        let session = authenticator.session(self.headers);
        let is_known = session.is_some();
        if let Some(session) = session {
            let member = Rc::new(Principal::Member(session));
            if admits_somewhere(&self.rules.policy, &member) {
                let scope = AdmissionScope::SomeRoom;
                let sessions = &authenticator.sessions;
                return Ok(LocationUser::new(sessions, member, scope, None));
            }
        }
        let rooms = authenticator
            .passes
            .rooms(RequestCookies::new(self.headers));
        let mut holds_pass = false;
        for room in &rooms {
            if let Visitor::Known(principal) = self.visitor(room) {
                holds_pass = true;
                if let Some(user) = self.admit(&principal, room) {
                    return Ok(user);
                }
            }
        }
        Err(if is_known || holds_pass {
            AccessError::NoRoom.into()
        } else {
            AccessError::RoomFirst.into()
        })
    }

    fn visitor(&self, room: &RoomKey) -> Visitor {
        let authenticator = &self.worker.state.authenticator;
        let opened = &self.worker.opened_sessions;
        authenticator.visitor(opened, self.headers, room, &self.rules.integrations)
    }

    /// The person, if they may be in the room: an occupant stays one, anybody else has to be let in now.
    fn admit(&self, principal: &Rc<Principal>, room: &RoomKey) -> Option<LocationUser> {
        let authorizer = &self.worker.state.authorizer;
        let intent = if authorizer.presence.is_present(room, principal.id()) {
            Intent::Poll
        } else {
            Intent::Connect
        };
        let admission = authorizer.evaluate(&self.rules.policy, room, Some(principal), intent);
        let Admission::Admit(grant) = admission else {
            return None;
        };
        let scope = AdmissionScope::Room(room.clone());
        let principal = Rc::clone(principal);
        let sessions = &self.worker.state.authenticator.sessions;
        let lifetime = grant.lifetime();
        Some(LocationUser::new(sessions, principal, scope, lifetime))
    }
}

// === impl LocationUser ===

impl LocationUser {
    fn new(
        sessions: &SessionCodec,
        principal: Rc<Principal>,
        scope: AdmissionScope,
        longest: Option<Duration>,
    ) -> Self {
        let left = sessions.time_left(&principal);
        Self {
            owner: ConnectionOwner::Principal(principal),
            scope: Some(scope),
            lifetime: longest.map_or(left, |longest| longest.min(left)),
        }
    }

    /// The person, unless the location is for anybody.
    pub(super) fn principal(&self) -> Option<&Principal> {
        self.owner.principal()
    }

    /// Registers a connection, which a revocation and reloaded rules end.
    pub(super) fn register(
        &self,
        connections: &ConnectionRegistry,
        kind: ConnectionKind,
    ) -> Result<Registration, LocationError> {
        let registration = connections.register_location(self.owner.clone(), kind);
        let registration = registration.ok_or(LocationError::TooManySockets)?;
        if let Some(scope) = &self.scope {
            registration.admitted_to(scope.clone());
        }
        Ok(registration)
    }
}
