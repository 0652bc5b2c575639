//! Signing in: to the provider and back.

use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use secrecy::{ExposeSecret, SecretString};
use tracing::{debug, warn};

use crate::{
    Body, RequestContext, RequestError, Worker, audit,
    request_context::ContextError,
    respond::{Responder, login_path},
    web::assets::redirect,
    web::embedding::place_of,
    web::room_page::append_cookies,
};
use model::{
    route::OWN_PREFIX,
    session::{
        self, Afterwards, BrowsingContext, HINT_COOKIE, JitsiState, RequestCookies, ReturnTo,
        SignIn, SignInCookies, SignInError,
    },
};
use observe::metrics::SignInReason;
use oidc::{AuthenticationErrorClass, Callback, Prompt, RelyingParty};
use pages::{Content, SignInProblem as Told};

/// Why a sign-in or sign-out did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// The provider's configuration is not known yet, or the provider cannot be asked now.
    #[error("the OpenID provider is not reachable")]
    ProviderUnavailable,
    /// The sign-in failed.
    #[error("signing in failed: {code}")]
    Failed {
        /// The word for logs and metrics.
        code: &'static str,
        /// What the person is told.
        told: Told,
        /// Where the person wanted to go.
        return_to: ReturnTo,
    },
}

// === impl LoginError ===

impl LoginError {
    /// The same failure of a sign-in, knowing where it was to lead.
    #[must_use]
    pub(super) fn leading_to(self, target: &ReturnTo) -> Self {
        match self {
            Self::Failed { code, told, .. } => Self::Failed {
                code,
                told,
                return_to: target.clone(),
            },
            Self::ProviderUnavailable => self,
        }
    }
}

// === impl Worker ===

impl Worker {
    pub(crate) fn login(
        &self,
        request: &Request<Incoming>,
        responder: &Responder,
        context: RequestContext,
    ) -> Result<Response<Body>, RequestError> {
        let relying_party = self.relying_party()?;
        let query = request.uri().query().unwrap_or_default();
        let wanted = LoginQuery::parse(query);
        let headers = request.headers();
        let session = self
            .state
            .authenticator
            .session(headers)
            .filter(|_| !wanted.switch);
        // A redirect can carry the options of Jitsi's `state` in its fragment: to the page, or to
        // the one on the way to the provider, which keeps it.
        if wanted.then == Afterwards::Page && !wanted.options.is_empty() {
            let target = match session {
                Some(_) => wanted.return_to.as_str().to_owned(),
                None => login_path(&wanted.return_to, wanted.switch),
            };
            return redirect(
                StatusCode::SEE_OTHER,
                &format!("{target}#{}", wanted.options),
            );
        }
        if let Some(session) = session {
            return self.go_on(
                &session,
                &wanted.return_to,
                &wanted.then,
                responder,
                context,
            );
        }
        if place_of(headers) == BrowsingContext::EmbeddedFrame
            && let Some(page) =
                self.sign_in_apart(headers, &wanted.return_to, wanted.switch, responder)
        {
            return Ok(page);
        }
        let sign_in = SignIn::begin(
            wanted.return_to,
            wanted.then,
            &self.state.random,
            &self.state.clock,
        );
        let prompt = wanted.switch.then_some(Prompt::SelectAccount);
        let address = relying_party
            .authorization_url(&sign_in.state, &sign_in.nonce, &sign_in.verifier, prompt)
            .map_err(|_| LoginError::ProviderUnavailable)?;
        let way = Content::Continue {
            provider: &address,
            return_to: &sign_in.return_to,
        };
        let mut answer = self.show(&way, responder);
        let cookies = self
            .state
            .sign_ins
            .remember(&sign_in, RequestCookies::new(request.headers()));
        for cookie in cookies {
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
        self.metrics.count_sign_in_start();
        debug!(request = %context.id, client.addr = %context.client, "sign-in started");
        Ok(answer)
    }

    pub(crate) async fn callback(
        &self,
        request: &Request<Incoming>,
        responder: &Responder,
        context: RequestContext,
    ) -> Result<Response<Body>, RequestError> {
        let relying_party = Arc::clone(self.relying_party()?);
        let jar = RequestCookies::new(request.headers());
        let callback =
            Callback::parse(request.uri().query().unwrap_or_default()).map_err(|error| {
                let reason = SignInReason::InvalidCallback;
                self.sign_in_failed(reason, error.as_str(), Told::Unknown, &error, context)
            })?;
        let state = callback.state().to_owned();
        let before = self.state.authenticator.session(request.headers());
        let sign_in = match self.state.sign_ins.find(&state, jar) {
            Ok(sign_in) => sign_in,
            // The callback was loaded twice, or a second tab was slow: the person is in already.
            Err(_) if before.is_some() => {
                return redirect(StatusCode::SEE_OTHER, ReturnTo::default().as_str());
            }
            Err(error @ SignInError::Unknown) => {
                return Err(self
                    .sign_in_failed(
                        SignInReason::UnknownState,
                        "unknown_state",
                        Told::Unknown,
                        &error,
                        context,
                    )
                    .into());
            }
            Err(error @ SignInError::Expired) => {
                return Err(self
                    .sign_in_failed(
                        SignInReason::TooLate,
                        "too_late",
                        Told::Expired,
                        &error,
                        context,
                    )
                    .into());
            }
        };
        let rules = self.rules();
        let (nonce, verifier) = (sign_in.nonce.clone(), sign_in.verifier.clone());
        let finishing = self.state.control.spawn(async move {
            relying_party
                .finish(&callback, &nonce, &verifier, &rules.policy)
                .await
        });
        let finished = finishing
            .await
            .map_err(|_| RequestError::Internal("the sign-in was abandoned"))?;
        let signed_in = match finished {
            Ok(signed_in) => signed_in,
            Err(failure) => {
                let (code, told) = (failure.as_str(), told(failure.class()));
                let failed = self.sign_in_failed(failure.reason(), code, told, &failure, context);
                return self.give_up(failed, &sign_in, responder);
            }
        };
        let sessions = &self.state.authenticator.sessions;
        let session = sessions.begin(
            signed_in.identity,
            signed_in.provider_session,
            &self.state.random,
        );
        let sealed = sessions.seal(&session).map_err(|error| {
            let reason = SignInReason::SessionTooLarge;
            self.sign_in_failed(reason, "session_too_large", Told::TooLarge, &error, context)
        })?;
        // Another person was signed in here before: that session ends with its connections, and its
        // passes are not for the successor.
        let mut cookies = Vec::new();
        if let Some(before) = before
            && before.identity().subject != session.identity().subject
        {
            self.state.authenticator.revoke(before.id());
            cookies = self.state.authenticator.revoke_passes(jar);
        }
        audit::signed_in(&session, &context);
        self.metrics.count_sign_in(SignInReason::None);
        let (target, then) = (&sign_in.return_to, &sign_in.then);
        let mut answer = self.go_on(&session, target, then, responder, context)?;
        append_cookies(&mut answer, cookies);
        let headers = answer.headers_mut();
        headers.append(
            header::SET_COOKIE,
            self.state.authenticator.session_cookie(&sealed),
        );
        headers.append(header::SET_COOKIE, SignInCookies::forget(&state));
        if let Some(hint) = self.hint_cookie(&signed_in.id_token) {
            headers.append(header::SET_COOKIE, hint);
        }
        Ok(answer)
    }

    /// The relying party; without a provider its endpoints do not exist.
    pub(crate) fn relying_party(&self) -> Result<&Arc<RelyingParty>, ContextError> {
        let relying_party = self.state.relying_party.as_ref();
        relying_party.ok_or(ContextError::NotFound)
    }

    /// Any stranger can send a callback that matches no sign-in, so that is no warning.
    fn sign_in_failed(
        &self,
        reason: SignInReason,
        code: &'static str,
        told: Told,
        error: &dyn std::fmt::Display,
        context: RequestContext,
    ) -> LoginError {
        self.metrics.count_sign_in(reason);
        if reason.is_unmatched() {
            debug!(reason = code, %error, request = %context.id, client.addr = %context.client, "callback without a sign-in");
        } else {
            warn!(reason = code, %error, request = %context.id, client.addr = %context.client, "sign-in failed");
        }
        LoginError::Failed {
            code,
            told,
            return_to: ReturnTo::default(),
        }
    }

    /// Keeps the ID token for the provider's logout page, if a cookie can hold it.
    fn hint_cookie(&self, id_token: &SecretString) -> Option<HeaderValue> {
        let sealed = self.state.hints.seal(id_token.expose_secret().as_bytes());
        let lifetime = self.state.authenticator.sessions.cookie_lifetime();
        (sealed.len() <= session::MAX_COOKIE_BYTES)
            .then(|| session::set_below(HINT_COOKIE, &sealed, lifetime, OWN_PREFIX))
    }
}

/// What a login address asks for.
struct LoginQuery {
    return_to: ReturnTo,
    then: Afterwards,
    /// Options for the fragment of Jitsi's page.
    options: String,
    switch: bool,
}

// === impl LoginQuery ===

impl LoginQuery {
    /// Reads `return_to`, or the `state` that Jitsi's client fills into `tokenAuthUrl`: untrusted
    /// JSON that names room and tenant (jitsi-meet `react/features/authentication`).
    fn parse(query: &str) -> Self {
        let mut wanted = Self {
            return_to: ReturnTo::default(),
            then: Afterwards::Page,
            options: String::new(),
            switch: false,
        };
        let mut popup = false;
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()).take(MAX_PARAMETERS) {
            match name.as_ref() {
                "return_to" => wanted.return_to = ReturnTo::parse(&value),
                "state" => {
                    let state = JitsiState::parse(&value);
                    wanted.return_to = state.return_to;
                    wanted.options.clone_from(&state.options);
                    if let Some(app) = state.app {
                        let options = state.options;
                        wanted.then = Afterwards::App { app, options };
                    }
                }
                // Jitsi adds it to the address of the window that it opens (`tokenAuthInline`).
                "nonce" => popup = true,
                "switch" => wanted.switch = value == "1",
                _ => {}
            }
        }
        if popup && wanted.then == Afterwards::Page {
            wanted.then = Afterwards::Popup;
        }
        wanted
    }
}

fn told(class: AuthenticationErrorClass) -> Told {
    match class {
        AuthenticationErrorClass::Cancelled => Told::Declined,
        AuthenticationErrorClass::TryAgain => Told::Expired,
        AuthenticationErrorClass::Unavailable | AuthenticationErrorClass::Provider => {
            Told::Provider
        }
    }
}

/// More parameters than a login address has.
const MAX_PARAMETERS: usize = 20;
