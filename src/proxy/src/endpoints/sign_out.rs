//! Signing out: here, at the provider, and by the provider.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use secrecy::{ExposeSecret, SecretString};
use tracing::debug;

use crate::{
    Body, RequestContext, RequestError, Worker, audit,
    authorize::AccessError,
    body,
    endpoints::LoginError,
    respond::{Responder, plain},
    web::assets::redirect,
    web::embedding::place_of,
    web::room_page::append_cookies,
};
use cluster::revocation::Selector;
use model::{
    route::OWN_PREFIX,
    session::{self, BrowsingContext, HINT_COOKIE, RequestCookies, SESSION_COOKIE},
};
use observe::metrics::LogoutOutcome;
use pages::Content;

// === impl Worker ===

impl Worker {
    pub(crate) fn logout(
        &self,
        request: &Request<Incoming>,
        responder: &Responder,
        context: RequestContext,
    ) -> Result<Response<Body>, RequestError> {
        // A picture on another site must not sign people out.
        let foreign = request
            .headers()
            .get("sec-fetch-site")
            .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
        if foreign {
            return Err(AccessError::ForeignSender.into());
        }
        if let Some(session) = self.state.authenticator.session(request.headers()) {
            audit::signed_out(&session, &context);
            self.state.authenticator.revoke(session.id());
        }
        let passes = self
            .state
            .authenticator
            .revoke_passes(RequestCookies::new(request.headers()));
        let hint = RequestCookies::new(request.headers())
            .value(HINT_COOKIE)
            .and_then(|sealed| self.state.hints.open(sealed))
            .and_then(|plain| String::from_utf8(plain.to_vec()).ok());
        let relying_party = self.state.relying_party.as_ref();
        let target =
            relying_party.and_then(|provider| provider.end_session_url(hint.as_deref(), None));
        let framed = place_of(request.headers()) == BrowsingContext::EmbeddedFrame;
        let mut answer = match &target {
            // The provider's page shows in no frame; Jitsi's page waits for a word.
            _ if framed => Ok(self.show(&Content::LogoutFrame, responder)),
            Some(url) => redirect(StatusCode::SEE_OTHER, url.as_str()),
            None => redirect(StatusCode::SEE_OTHER, "/_gateway/signed-out"),
        }?;
        let headers = answer.headers_mut();
        headers.append(header::SET_COOKIE, session::expire(SESSION_COOKIE));
        headers.append(header::SET_COOKIE, forget_hint());
        append_cookies(&mut answer, passes);
        Ok(answer)
    }

    /// The provider says that a session ended (OpenID Connect Back-Channel Logout 1.0 § 2.5).
    pub(crate) async fn backchannel_logout(
        &self,
        request: Request<Incoming>,
        context: RequestContext,
    ) -> Result<Response<Body>, RequestError> {
        let relying_party = Arc::clone(self.relying_party()?);
        let body = body::whole(request.into_body(), MAX_LOGOUT_BODY).await;
        let body =
            body.inspect_err(|_| self.metrics.count_logout(LogoutOutcome::InvalidRequest))?;
        let mut tokens = url::form_urlencoded::parse(&body)
            .filter(|(name, _)| name == "logout_token")
            .map(|(_, value)| SecretString::from(value.into_owned()));
        let (Some(token), None) = (tokens.next(), tokens.next()) else {
            self.metrics.count_logout(LogoutOutcome::InvalidRequest);
            return Ok(logout_refused());
        };
        let checking = self.state.control.spawn(async move {
            relying_party
                .validate_logout_token(token.expose_secret())
                .await
        });
        let checked = checking
            .await
            .map_err(|_| RequestError::Internal("the logout was abandoned"))?;
        match checked {
            Ok(logout) => {
                let selector = match (logout.sid, logout.sub) {
                    (Some(sid), _) => Selector::ProviderSession(sid),
                    (None, Some(sub)) => Selector::ProviderSubject(sub),
                    (None, None) => {
                        self.metrics.count_logout(LogoutOutcome::TokenRefused);
                        return Ok(logout_refused());
                    }
                };
                self.metrics.count_logout(LogoutOutcome::Ok);
                audit::logged_out_by_provider(&selector, &context);
                self.state.authenticator.revocations.revoke(selector);
                let mut answer = plain(StatusCode::OK, "text/plain", "");
                answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
                Ok(answer)
            }
            // The provider tries again later, if it is told that the fault is passing.
            Err(error) if error.is_transient() => {
                self.metrics.count_logout(LogoutOutcome::Unavailable);
                debug!(%error, request = %context.id, "cannot check a logout token now");
                Err(LoginError::ProviderUnavailable.into())
            }
            Err(error) => {
                self.metrics.count_logout(LogoutOutcome::TokenRefused);
                debug!(%error, reason = error.as_str(), request = %context.id, "logout token refused");
                Ok(logout_refused())
            }
        }
    }
}

fn forget_hint() -> HeaderValue {
    session::set_below(HINT_COOKIE, "", Duration::ZERO, OWN_PREFIX)
}

fn logout_refused() -> Response<Body> {
    let body = r#"{"error":"invalid_request"}"#;
    let mut answer = plain(StatusCode::BAD_REQUEST, "application/json", body);
    answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    answer
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Logout tokens are about a kilobyte.
const MAX_LOGOUT_BODY: usize = 32 * 1024;
