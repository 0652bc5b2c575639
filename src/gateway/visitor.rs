//! Who makes a request, and whether the rules let them into its room.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Response, header};

use super::{Body, Facts, Failure, Rules, Worker, audit};
use crate::{
    policy::{Admission, Grant, Policy, Situation, Visitor},
    room::RoomKey,
    session::{self, CookieJar, SESSION_COOKIE, Session},
};

// === impl Worker ===

impl Worker {
    /// The session of a request's cookie, if it is alive.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Rc<Session>> {
        let value = CookieJar::new(headers).value(SESSION_COOKIE)?;
        let session = self.gateway.sessions.open(value)?;
        (!self.gateway.revocations.contains(&session)).then(|| Rc::new(session))
    }

    /// Asks the rules, counts and records the answer.
    pub(super) fn admit<'p>(
        &self,
        policy: &'p Policy,
        room: &RoomKey,
        session: Option<&Session>,
        facts: &Facts,
    ) -> Result<Grant<'p>, Failure> {
        let visitor = session.map(|session| Visitor::member(session.identity()));
        let situation = Situation {
            now: self.gateway.clock.now(),
            ..Situation::default()
        };
        match policy.decide(room, visitor.as_ref(), &situation) {
            Admission::Wait(_) | Admission::Guest { .. } => Err(Failure::SignInFirst),
            Admission::Admit(grant) => {
                self.metrics.decided(grant.role().as_str());
                Ok(grant)
            }
            Admission::SignIn => {
                self.metrics.decided("sign_in");
                Err(Failure::SignInFirst)
            }
            Admission::Refuse(refusal) => {
                self.metrics.decided(refusal.as_str());
                if let Some(session) = session {
                    audit::refused(session, room, refusal, facts);
                }
                let person = session.map(|session| session.identity().display_name().to_owned());
                Err(Failure::Refused {
                    refusal,
                    room: room.clone(),
                    person,
                })
            }
        }
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
