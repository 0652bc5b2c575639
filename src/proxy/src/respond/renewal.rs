//! Renewal of session cookies: requests keep a session from idling out.

use std::sync::Arc;

use http::{HeaderMap, Response, header};
use model::session::{Principal, Session};
use observe::metrics::WorkerMetrics;

use crate::{Body, authenticate::Authenticator};

/// Adds renewed session cookies to answers, when it is time.
#[derive(Debug)]
pub(crate) struct SessionRenewal {
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) metrics: Arc<WorkerMetrics>,
}

// === impl SessionRenewal ===

impl SessionRenewal {
    /// Renews the session of a principal. A pass is never renewed: its link or
    /// invitation set its end.
    pub(crate) fn renew(&self, principal: &Principal, answer: &mut Response<Body>) {
        if let Some(session) = principal.renewable() {
            self.renew_session(session, answer);
        }
    }

    /// The same for the session of a request, if it carries one.
    pub(crate) fn renew_session_of(&self, headers: &HeaderMap, answer: &mut Response<Body>) {
        if let Some(session) = self.authenticator.session(headers) {
            self.renew_session(&session, answer);
        }
    }

    /// The same for a member's session.
    pub(crate) fn renew_session(&self, session: &Session, answer: &mut Response<Body>) {
        if let Some(sealed) = self.authenticator.sessions.renew(session) {
            let cookie = self.authenticator.session_cookie(&sealed);
            answer.headers_mut().append(header::SET_COOKIE, cookie);
            self.metrics.count_renewal();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::identity::Standing;

    use super::*;
    use crate::testing::Deployment;

    #[test]
    fn a_session_in_use_is_renewed_and_a_pass_is_not() {
        let deployment = Deployment::new();
        let renewal = SessionRenewal {
            authenticator: Arc::clone(&deployment.authenticator),
            metrics: Arc::default(),
        };
        let member = deployment.session("ann");
        let guest = deployment.pass("x", Standing::Guest);
        let headers = deployment.cookies(Some(&member), None);
        for (later, renewed) in [(Duration::ZERO, 0), (Duration::from_mins(14), 1)] {
            deployment.hand.advance(later);
            for (principal, expected) in [
                (Principal::Member(member.clone()), renewed),
                (Principal::combine(member.clone(), guest.clone()), renewed),
                (Principal::Pass(guest.clone()), 0),
            ] {
                let mut answer = Response::new(Body::EMPTY);
                renewal.renew(&principal, &mut answer);
                let cookies = answer.headers().get_all(header::SET_COOKIE).iter();
                assert_eq!(cookies.count(), expected, "{later:?} {principal:?}");
            }
            let mut answer = Response::new(Body::EMPTY);
            renewal.renew_session_of(&headers, &mut answer);
            let cookies = answer.headers().get_all(header::SET_COOKIE).iter();
            assert_eq!(cookies.count(), renewed, "{later:?}");
        }
    }
}
