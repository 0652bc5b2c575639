//! Who makes a request, and whether the rules let them into its room.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Response, header};

use crate::{Body, RequestContext, RequestError, Rules, Worker, audit, credentials::Intent};
use model::{
    headers::{self, Sender},
    identity::{GUEST_PREFIX, Identity, RECORDER_PREFIX, Standing},
    policy::{Admission, Grant, Policy, Situation, Visitor},
    room::RoomKey,
    session::{self, CookieJar, SESSION_COOKIE, Session},
    token::BackendToken,
};

/// Somebody who was let into a room, with a connection to Prosody.
pub(crate) struct Admitted<'p> {
    pub(crate) session: Rc<Session>,
    pub(crate) privilege: Privilege<'p>,
}

/// What an admitted is to Prosody.
pub(crate) enum Privilege<'p> {
    /// Somebody whom the rules let in.
    Granted(Grant<'p>),
    /// The same, but they came with nothing, and will with each request: a native app where the
    /// rule lets guests in.
    Passing(Grant<'p>),
    /// A recorder, which has credentials of its own.
    Recorder,
}

// === impl Worker ===

impl Worker {
    /// The session of somebody who signed in, if it is alive.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Option<Rc<Session>> {
        let value = CookieJar::new(headers).value(SESSION_COOKIE)?;
        let session = self.state.sessions.open(value)?;
        self.is_valid(&session).then(|| Rc::new(session))
    }

    /// Who stands before a room, by the cookies of the request: what an integration says of them in
    /// this room comes first, then their own account, with what a link adds to it.
    pub(crate) fn visitor(&self, headers: &HeaderMap, room: &RoomKey) -> Option<Rc<Session>> {
        let Some(pass) = self.pass(headers, room) else {
            return self.session(headers);
        };
        if let Standing::Embedded(_) = pass.standing() {
            return Some(Rc::new(pass));
        }
        match (self.session(headers), pass.standing()) {
            (Some(member), Standing::Invited(_)) => Some(Rc::new(member.with_link(&pass))),
            (Some(member), _) => Some(member),
            (None, _) => Some(Rc::new(pass)),
        }
    }

    /// The pass to a room that somebody holds, if it counts.
    pub(crate) fn pass(&self, headers: &HeaderMap, room: &RoomKey) -> Option<Session> {
        let pass = self.state.passes.find(room, CookieJar::new(headers))?;
        self.is_valid(&pass).then_some(pass)
    }

    /// Whether a session or pass that is not over still counts: nobody revoked it, and who vouched
    /// for it still may.
    pub(crate) fn is_valid(&self, session: &Session) -> bool {
        let vouched = match (session.standing(), session.room()) {
            (Standing::Embedded(by), Some(room)) => {
                self.rules().integrations.may_vouch(&by.integration, room)
            }
            (Standing::Embedded(_), None) => false,
            _ => true,
        };
        vouched && !self.state.revocations.contains(session)
    }

    /// Asks the rules, counts and records the answer.
    pub(crate) fn admit<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        session: Option<&Session>,
        context: &RequestContext,
    ) -> Result<Grant<'p>, RequestError> {
        self.authorize_for(policy, room, session, Intent::Connect, context)
    }

    fn authorize_for<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        session: Option<&Session>,
        intent: Intent,
        context: &RequestContext,
    ) -> Result<Grant<'p>, RequestError> {
        let admission = self.evaluate_for(policy, room, session, intent);
        // Who stays is asked about with every poll, and enters no room by it.
        let stays = intent == Intent::Poll
            && matches!(admission, Admission::Admit(_) | Admission::Guest { .. });
        if !stays {
            self.metrics.decided(admission.as_str());
        }
        let person = || {
            session
                .and_then(|session| session.identity().display_name())
                .map(ToOwned::to_owned)
        };
        match admission {
            Admission::Admit(grant) => Ok(grant),
            Admission::Wait(_) => Err(RequestError::Waiting {
                room: room.clone(),
                person: person(),
            }),
            Admission::SignIn => Err(RequestError::SignInFirst),
            Admission::Guest { ask } => Err(RequestError::GuestFirst { ask }),
            Admission::Refuse(refusal) => {
                if let Some(session) = session {
                    audit::refused(session, room, refusal, context);
                }
                Err(RequestError::Refused {
                    refusal,
                    room: room.clone(),
                    person: person(),
                })
            }
        }
    }

    /// What the rules say, without a trace of the question.
    pub(crate) fn evaluate<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        session: Option<&Session>,
    ) -> Admission<'p> {
        self.evaluate_for(policy, room, session, Intent::Connect)
    }

    /// Whether the rules as they are now let somebody stay where they let them in.
    pub(crate) fn may_stay(&self, session: &Session, room: &RoomKey) -> bool {
        let rules = self.rules();
        let admission = self.evaluate_for(&rules.policy, room, Some(session), Intent::Poll);
        self.is_valid(session) && matches!(admission, Admission::Admit(_))
    }

    fn evaluate_for<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        session: Option<&Session>,
        intent: Intent,
    ) -> Admission<'p> {
        let state = &self.state;
        let visitor = session
            .filter(|session| session.is_for(room))
            .map(|session| Visitor {
                identity: session.identity(),
                standing: session.standing(),
                // Others could say that they are whoever they like.
                owner: has_account(session.standing())
                    && state.owners.is_owner(room, session.identity()),
            });
        let presence = &state.presence;
        let here = session.is_some_and(|session| presence.is_here(room, session.id()));
        let situation = Situation {
            now: state.clock.now(),
            open: presence.is_open(room),
            others: presence.people(room).saturating_sub(u32::from(here)),
            // Even if a restart made us forget who is there.
            staying: intent == Intent::Poll,
        };
        policy.decide(room, visitor.as_ref(), &situation)
    }

    /// Who connects, by their cookies. They count only if a page of ours sent them: WebSockets know
    /// no same-origin rule, and Prosody allows every origin.
    pub(crate) fn connecting(
        &self,
        headers: &HeaderMap,
        room: &RoomKey,
    ) -> Result<Option<Rc<Session>>, RequestError> {
        match headers::sender(headers, &self.state.origin) {
            Sender::Own => Ok(self.visitor(headers, room)),
            Sender::Foreign => Err(RequestError::ForeignSender),
            Sender::NoPage => Ok(None),
        }
    }

    /// The recorder's place in a room.
    pub(crate) fn admit_recorder(&self, room: &RoomKey) -> Admitted<'static> {
        let session = Rc::new(self.new_guest(room, Some("recorder".to_owned())));
        Admitted {
            session,
            privilege: Privilege::Recorder,
        }
    }

    /// The token for an admitted's connection; none for whom Prosody is to know otherwise.
    pub(crate) fn mint(
        &self,
        rules: &Rules,
        room: &RoomKey,
        admitted: &Admitted<'_>,
    ) -> Result<Option<BackendToken>, RequestError> {
        let session = &admitted.session;
        match admitted.grant() {
            Some(grant) if !self.is_tokenless(session, grant.role()) => {
                let minter = rules.minter.as_ref().ok_or(RequestError::NotFound)?;
                Ok(Some(minter.mint(room, grant, session.identity())?))
            }
            _ => Ok(None),
        }
    }

    /// Asks the rules about somebody who connects. Whoever comes with nothing is a guest where
    /// guests may enter: an app has no page of ours to say a name on, and asks for one itself.
    pub(crate) fn admit_connection<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        visitor: Option<Rc<Session>>,
        intent: Intent,
        context: &RequestContext,
    ) -> Result<Admitted<'p>, RequestError> {
        let admitted = self.authorize_for(policy, room, visitor.as_deref(), intent, context);
        match (admitted, visitor) {
            (Ok(grant), Some(session)) => Ok(Admitted {
                session,
                privilege: Privilege::Granted(grant),
            }),
            (Err(RequestError::GuestFirst { .. }), _) => {
                let guest = Rc::new(self.new_guest(room, None));
                let grant = self.authorize_for(policy, room, Some(&guest), intent, context)?;
                Ok(Admitted {
                    session: guest,
                    privilege: Privilege::Passing(grant),
                })
            }
            (outcome, _) => {
                outcome?;
                // The policy admits nobody in particular.
                Err(RequestError::SignInFirst)
            }
        }
    }

    /// A pass for somebody of whom nothing is known but perhaps a name.
    pub(crate) fn new_guest(&self, room: &RoomKey, name: Option<String>) -> Session {
        let state = &self.state;
        let identity = Identity {
            name,
            ..Identity::default()
        };
        let ends = state.clock.now().after(state.guests.lifetime);
        state
            .passes
            .issue(room, Standing::Guest, identity, ends, &state.random)
    }

    /// The rules as they are now; one request sees one state of them.
    pub(crate) fn rules(&self) -> std::sync::Arc<Rules> {
        self.state.rules.load_full()
    }

    /// Adds a renewed session cookie to an answer, when it is time.
    pub(crate) fn renew(&self, session: &Session, answer: &mut Response<Body>) {
        if let Some(value) = self.state.sessions.renew(session) {
            let cookie = self.session_cookie(&value);
            answer.headers_mut().append(header::SET_COOKIE, cookie);
            self.metrics.renewed();
        }
    }

    /// The `Set-Cookie` header for a sealed session.
    pub(crate) fn session_cookie(&self, value: &str) -> HeaderValue {
        session::set(SESSION_COOKIE, value, self.state.sessions.cookie_lifetime())
    }
}

/// Whether an identity was proved by the provider, or by a system that is trusted with e-mail
/// addresses.
fn has_account(standing: &Standing) -> bool {
    standing.is_member() || matches!(standing, Standing::Embedded(_))
}

// === impl Admitted ===

impl Admitted<'_> {
    /// What the rules gave.
    pub(crate) fn grant(&self) -> Option<&Grant<'_>> {
        match &self.privilege {
            Privilege::Granted(grant) | Privilege::Passing(grant) => Some(grant),
            Privilege::Recorder => None,
        }
    }

    /// Whether their presence opens the room for those who wait.
    pub(crate) fn opens(&self) -> bool {
        self.grant().is_some_and(Grant::opens)
    }

    /// Whom a BOSH session belongs to.
    pub(crate) fn owner(&self) -> &str {
        match self.privilege {
            Privilege::Granted(_) => &self.session.identity().subject,
            Privilege::Passing(_) => GUEST_PREFIX,
            Privilege::Recorder => RECORDER_PREFIX,
        }
    }
}
