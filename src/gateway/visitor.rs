//! Who makes a request, and whether the rules let them into its room.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Response, header};

use super::{Body, Facts, Failure, Rules, Worker, audit};
use crate::{
    identity::{Identity, Standing},
    policy::{Admission, Grant, Policy, Situation, Visitor},
    room::RoomKey,
    session::{self, CookieJar, SESSION_COOKIE, Session},
};

/// Somebody who was let into a room.
pub(super) struct Entrant<'p> {
    pub(super) session: Rc<Session>,
    pub(super) grant: Grant<'p>,
    /// They came with nothing: a native app where the rule lets guests in.
    pub(super) passing: bool,
}

// === impl Worker ===

impl Worker {
    /// The session of somebody who signed in, if it is alive.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Rc<Session>> {
        let value = CookieJar::new(headers).value(SESSION_COOKIE)?;
        let session = self.gateway.sessions.open(value)?;
        (!self.gateway.revocations.contains(&session)).then(|| Rc::new(session))
    }

    /// Who stands before a room, by the cookies of the request: what an integration says of them in
    /// this room comes first, then their own account, with what a link adds to it.
    pub(super) fn visitor(&self, headers: &HeaderMap, room: &RoomKey) -> Option<Rc<Session>> {
        let pass = self.gateway.passes.find(room, CookieJar::new(headers));
        let pass = pass.filter(|pass| !self.gateway.revocations.contains(pass));
        let Some(pass) = pass else {
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

    /// Asks the rules, counts and records the answer.
    pub(super) fn admit<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        session: Option<&Session>,
        facts: &Facts,
    ) -> Result<Grant<'p>, Failure> {
        let admission = self.ask_rules(policy, room, session);
        self.metrics.decided(admission.as_str());
        let person = || session.map(|session| session.identity().display_name().to_owned());
        match admission {
            Admission::Admit(grant) => Ok(grant),
            Admission::Wait(waiting) => Err(Failure::Waiting {
                room: room.clone(),
                person: person(),
                for_host: waiting.for_host,
            }),
            Admission::SignIn => Err(Failure::SignInFirst),
            Admission::Guest { ask } => Err(Failure::GuestFirst { ask }),
            Admission::Refuse(refusal) => {
                if let Some(session) = session {
                    audit::refused(session, room, refusal, facts);
                }
                Err(Failure::Refused {
                    refusal,
                    room: room.clone(),
                    person: person(),
                })
            }
        }
    }

    /// What the rules say, without a trace of the question.
    pub(super) fn ask_rules<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        session: Option<&Session>,
    ) -> Admission<'p> {
        let gateway = &self.gateway;
        let visitor = session
            .filter(|session| session.is_for(room))
            .map(|session| Visitor {
                identity: session.identity(),
                standing: session.standing(),
                owner: gateway.owners.is_owner(room, session.identity()),
            });
        let presence = &gateway.presence;
        let here = session.is_some_and(|session| presence.is_here(room, session.id()));
        let situation = Situation {
            now: gateway.clock.now(),
            open: presence.is_open(room),
            others: presence.people(room).saturating_sub(u32::from(here)),
        };
        policy.decide(room, visitor.as_ref(), &situation)
    }

    /// Asks the rules about somebody who connects. Whoever comes with nothing is a guest where
    /// guests may enter: an app has no page of ours to say a name on, and asks for one itself.
    pub(super) fn admit_connection<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        visitor: Option<Rc<Session>>,
        facts: &Facts,
    ) -> Result<Entrant<'p>, Failure> {
        match (self.admit(policy, room, visitor.as_deref(), facts), visitor) {
            (Ok(grant), Some(session)) => Ok(Entrant {
                session,
                grant,
                passing: false,
            }),
            (Err(Failure::GuestFirst { .. }), _) => {
                let guest = Rc::new(self.new_guest(room, None));
                let grant = self.admit(policy, room, Some(&guest), facts)?;
                Ok(Entrant {
                    session: guest,
                    grant,
                    passing: true,
                })
            }
            (outcome, _) => {
                outcome?;
                // The policy admits nobody in particular.
                Err(Failure::SignInFirst)
            }
        }
    }

    /// A pass for somebody of whom nothing is known but perhaps a name.
    pub(super) fn new_guest(&self, room: &RoomKey, name: Option<String>) -> Session {
        let gateway = &self.gateway;
        let identity = Identity {
            name,
            ..Identity::default()
        };
        let ends = gateway.clock.now().after(gateway.guests.lifetime);
        gateway
            .passes
            .issue(room, Standing::Guest, identity, ends, &gateway.random)
    }

    /// The rules as they are now; one request sees one state of them.
    pub(super) fn rules(&self) -> std::sync::Arc<Rules> {
        self.gateway.rules.load_full()
    }

    /// Adds a renewed session cookie to an answer, when it is time.
    pub(super) fn renew(&self, session: &Session, answer: &mut Response<Body>) {
        if let Some(value) = self.gateway.sessions.renew(session) {
            let cookie = self.session_cookie(&value);
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }

    /// The `Set-Cookie` header for a sealed session.
    pub(super) fn session_cookie(&self, value: &str) -> HeaderValue {
        session::set(
            SESSION_COOKIE,
            value,
            self.gateway.sessions.cookie_lifetime(),
        )
    }
}
