//! Renewal of session cookies: requests keep a session from idling out.

use http::{HeaderMap, HeaderValue, Response, header};
use model::session::{self, Principal, SESSION_COOKIE, Session};

use crate::{Body, Worker};

// === impl Worker ===

impl Worker {
    /// Adds the principal's renewed session cookie to an answer, when it is time. A pass is never
    /// renewed: it ends when it ends.
    pub(crate) fn renew(&self, principal: &Principal, answer: &mut Response<Body>) {
        if let Some(session) = principal.renewable() {
            self.renew_session(session, answer);
        }
    }

    /// The same for the session of a request, if it carries one.
    pub(crate) fn renew_session_of(&self, headers: &HeaderMap, answer: &mut Response<Body>) {
        if let Some(session) = self.state.authenticator.session(headers) {
            self.renew_session(&session, answer);
        }
    }

    /// The same for a member's session.
    pub(crate) fn renew_session(&self, session: &Session, answer: &mut Response<Body>) {
        if let Some(value) = self.state.authenticator.sessions.renew(session) {
            let cookie = self.session_cookie(&value);
            answer.headers_mut().append(header::SET_COOKIE, cookie);
            self.metrics.count_renewal();
        }
    }

    /// The `Set-Cookie` header for a sealed session.
    pub(crate) fn session_cookie(&self, value: &str) -> HeaderValue {
        let lifetime = self.state.authenticator.sessions.cookie_lifetime();
        session::set(SESSION_COOKIE, value, lifetime)
    }
}
