//! The gateway's own addresses: signing in and out, and the public keys.

use std::{rc::Rc, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use secrecy::{ExposeSecret, SecretString};
use tracing::{info, warn};

use super::{
    Body, Facts, Failure, Worker, audit, body,
    failure::{Asking, login_path, plain},
    framing::place_of,
    room::give_cookies,
    web::redirect,
};
use crate::{
    metrics::OutcomeLabel,
    oidc::{Callback, FailureClass, Prompt, SignInOptions},
    pages::{Content, SignInFailure as Told},
    revocation::Selector,
    route::{OWN_PREFIX, Own},
    session::{
        self, Afterwards, CookieJar, HINT_COOKIE, JitsiState, Place, ReturnTo, SESSION_COOKIE,
        Session, SignIn, SignInCookies, SignInError,
    },
};

// === impl Worker ===

impl Worker {
    /// Answers a request to one of our own addresses.
    pub(super) async fn own(
        self: &Rc<Self>,
        own: Own,
        request: Request<Incoming>,
        asking: &Asking,
        facts: Facts,
    ) -> Result<Response<Body>, Failure> {
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match own {
            Own::Api(path) => self.api(&path, request, facts).await,
            Own::BackchannelLogout if *request.method() == Method::POST => {
                self.backchannel_logout(request).await
            }
            Own::BackchannelLogout => Err(Failure::Method { allow: "POST" }),
            Own::Join => self.join(request, asking, facts).await,
            Own::Meetings => self.make_meeting(request, asking).await,
            Own::Unknown | Own::Jwks | Own::Asap(_) => Err(Failure::NotFound),
            _ if !reading => Err(Failure::Method { allow: "GET, HEAD" }),
            Own::Login => self.login(&request, asking, facts),
            Own::Callback => self.callback(&request, asking, facts).await,
            Own::Events => self.events(&request),
            Own::Go => self.go(&request, asking),
            Own::Meeting => self.meeting(&request, asking, &facts),
            Own::Calendar => self.meeting_file(&request, &facts),
            Own::Logout => self.logout(&request, asking, facts),
            Own::SignedOut => Ok(self.show(&Content::SignedOut, asking)),
        }
    }

    /// The public halves of the signing keys. They are no secret, and Prosody asks for them by an
    /// internal name and without TLS, so neither is checked.
    pub(super) fn published_keys(&self, own: &Own, asking: &Asking) -> Response<Body> {
        let rules = self.rules();
        let (content_type, text) = match own {
            Own::Jwks => ("application/json", Some(rules.published.jwks.as_str())),
            Own::Asap(file) => ("application/x-pem-file", rules.published.asap(file)),
            _ => ("text/plain", None),
        };
        let Some(text) = text else {
            return Failure::NotFound.answer(asking, &self.gateway.pages, None);
        };
        let mut answer = plain(StatusCode::OK, content_type, text.to_owned());
        answer
            .headers_mut()
            .insert(header::CACHE_CONTROL, KEYS_CACHED);
        answer
    }

    fn login(
        &self,
        request: &Request<Incoming>,
        asking: &Asking,
        facts: Facts,
    ) -> Result<Response<Body>, Failure> {
        let query = request.uri().query().unwrap_or_default();
        let wanted = LoginQuery::parse(query);
        let headers = request.headers();
        let session = self.session(headers).filter(|_| !wanted.switch);
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
            return self.go_on(&session, &wanted.return_to, &wanted.then, asking, facts);
        }
        if place_of(headers) == Place::Frame
            && let Some(page) =
                self.sign_in_apart(headers, &wanted.return_to, wanted.switch, asking)
        {
            return Ok(page);
        }
        let sign_in = SignIn::begin(
            wanted.return_to,
            wanted.then,
            &self.gateway.random,
            &self.gateway.clock,
        );
        let options = SignInOptions {
            prompt: wanted.switch.then_some(Prompt::SelectAccount),
            ..SignInOptions::default()
        };
        let address = self
            .gateway
            .relying_party
            .authorization_url(&sign_in.state, &sign_in.nonce, &sign_in.verifier, &options)
            .map_err(|_| Failure::ProviderUnavailable)?;
        let way = Content::Continue {
            provider: &address,
            return_to: &sign_in.return_to,
        };
        let mut answer = self.show(&way, asking);
        let cookies = self
            .gateway
            .sign_ins
            .remember(&sign_in, CookieJar::new(request.headers()));
        for cookie in cookies {
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
        info!(request = %facts.id, client.addr = %facts.client, "a sign-in begins");
        Ok(answer)
    }

    async fn callback(
        &self,
        request: &Request<Incoming>,
        asking: &Asking,
        facts: Facts,
    ) -> Result<Response<Body>, Failure> {
        let jar = CookieJar::new(request.headers());
        let callback = Callback::parse(request.uri().query().unwrap_or_default())
            .map_err(|error| self.sign_in_failed(error.as_str(), Told::Unknown, &error, facts))?;
        let state = callback.state().to_owned();
        let before = self.session(request.headers());
        let sign_in = match self.gateway.sign_ins.find(&state, jar) {
            Ok(sign_in) => sign_in,
            // The callback was loaded twice, or a second tab was slow: the person is in already.
            Err(_) if before.is_some() => {
                return redirect(StatusCode::SEE_OTHER, ReturnTo::default().as_str());
            }
            Err(error @ SignInError::Unknown) => {
                return Err(self.sign_in_failed("unknown_state", Told::Unknown, &error, facts));
            }
            Err(error @ SignInError::Expired) => {
                return Err(self.sign_in_failed("too_late", Told::Expired, &error, facts));
            }
        };
        let relying_party = std::sync::Arc::clone(&self.gateway.relying_party);
        let rules = self.rules();
        let (nonce, verifier) = (sign_in.nonce.clone(), sign_in.verifier.clone());
        let finishing = self.gateway.control.spawn(async move {
            relying_party
                .finish(&callback, &nonce, &verifier, &rules.policy)
                .await
        });
        let finished = finishing
            .await
            .map_err(|_| Failure::Internal("the sign-in was abandoned"))?;
        let signed_in = match finished {
            Ok(signed_in) => signed_in,
            Err(failure) => {
                let (code, told) = (failure.as_str(), told(failure.class()));
                let failed = self.sign_in_failed(code, told, &failure, facts);
                return self.give_up(failed, &sign_in, asking);
            }
        };
        let sessions = &self.gateway.sessions;
        let session = sessions.begin(
            signed_in.who,
            signed_in.provider_session,
            &self.gateway.random,
        );
        let sealed = sessions.seal(&session).map_err(|error| {
            self.sign_in_failed("session_too_large", Told::TooLarge, &error, facts)
        })?;
        // Somebody else was signed in here before: their sockets end with their session, and what
        // rooms let them in by is not for their successor.
        let mut cookies = Vec::new();
        if let Some(before) = before
            && before.identity().subject != session.identity().subject
        {
            self.end(&before);
            cookies = self.end_passes(jar);
        }
        audit::signed_in(&session, &facts);
        self.count_sign_in("ok");
        let (target, then) = (&sign_in.return_to, &sign_in.then);
        let mut answer = self.go_on(&session, target, then, asking, facts)?;
        give_cookies(&mut answer, cookies);
        let headers = answer.headers_mut();
        headers.append(header::SET_COOKIE, self.session_cookie(&sealed));
        headers.append(header::SET_COOKIE, SignInCookies::forget(&state));
        if let Some(hint) = self.hint_cookie(&signed_in.id_token) {
            headers.append(header::SET_COOKIE, hint);
        }
        Ok(answer)
    }

    fn logout(
        &self,
        request: &Request<Incoming>,
        asking: &Asking,
        facts: Facts,
    ) -> Result<Response<Body>, Failure> {
        // A picture on another site must not sign people out.
        let foreign = request
            .headers()
            .get("sec-fetch-site")
            .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
        if foreign {
            return Err(Failure::ForeignSender);
        }
        if let Some(session) = self.session(request.headers()) {
            audit::signed_out(&session, &facts);
            self.end(&session);
        }
        let passes = self.end_passes(CookieJar::new(request.headers()));
        let hint = CookieJar::new(request.headers())
            .value(HINT_COOKIE)
            .and_then(|sealed| self.gateway.hints.open(sealed))
            .and_then(|plain| String::from_utf8(plain.to_vec()).ok());
        let target = self
            .gateway
            .relying_party
            .end_session_url(hint.as_deref(), None);
        let framed = place_of(request.headers()) == Place::Frame;
        let mut answer = match &target {
            // The provider's page shows in no frame; Jitsi's page waits for a word.
            _ if framed => Ok(self.show(&Content::LogoutFrame, asking)),
            Some(url) => redirect(StatusCode::SEE_OTHER, url.as_str()),
            None => redirect(StatusCode::SEE_OTHER, "/_gateway/signed-out"),
        }?;
        let headers = answer.headers_mut();
        headers.append(header::SET_COOKIE, session::expire(SESSION_COOKIE));
        headers.append(header::SET_COOKIE, forget_hint());
        give_cookies(&mut answer, passes);
        Ok(answer)
    }

    fn end(&self, session: &Session) {
        let id = session.id().clone();
        self.gateway.revocations.revoke(Selector::Session(id));
    }

    /// Ends all passes of a browser; gives the headers that take them away.
    fn end_passes(&self, jar: CookieJar<'_>) -> Vec<HeaderValue> {
        let (passes, cookies) = self.gateway.passes.take_all(jar);
        for pass in &passes {
            self.end(pass);
        }
        cookies
    }

    /// The provider says that a session ended (OpenID Connect Back-Channel Logout 1.0 § 2.5).
    async fn backchannel_logout(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        let body = body::whole(request.into_body(), MAX_LOGOUT_BODY).await?;
        let mut tokens = url::form_urlencoded::parse(&body)
            .filter(|(name, _)| name == "logout_token")
            .map(|(_, value)| SecretString::from(value.into_owned()));
        let (Some(token), None) = (tokens.next(), tokens.next()) else {
            return Ok(logout_refused());
        };
        let relying_party = std::sync::Arc::clone(&self.gateway.relying_party);
        let checking = self
            .gateway
            .control
            .spawn(async move { relying_party.logout_token(token.expose_secret()).await });
        let checked = checking
            .await
            .map_err(|_| Failure::Internal("the logout was abandoned"))?;
        match checked {
            Ok(logout) => {
                let selector = match (logout.sid, logout.sub) {
                    (Some(sid), _) => Selector::ProviderSession(sid),
                    (None, Some(sub)) => Selector::ProviderSubject(sub),
                    (None, None) => return Ok(logout_refused()),
                };
                info!(target: "audit", event = "backchannel_logout", by = ?selector);
                self.gateway.revocations.revoke(selector);
                let mut answer = plain(StatusCode::OK, "text/plain", "");
                answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
                Ok(answer)
            }
            // The provider tries again later, if it is told that the fault is passing.
            Err(error) if error.is_passing() => {
                warn!(%error, "a back-channel logout cannot be checked now");
                Err(Failure::ProviderUnavailable)
            }
            Err(error) => {
                warn!(%error, reason = error.as_str(), "a back-channel logout was refused");
                Ok(logout_refused())
            }
        }
    }

    pub(super) fn show(&self, content: &Content<'_>, asking: &Asking) -> Response<Body> {
        let id = asking.id.to_string();
        self.gateway
            .pages
            .render(content, &asking.asked(&id))
            .into_response()
            .map(Body::from)
    }

    fn sign_in_failed(
        &self,
        code: &'static str,
        told: Told,
        error: &dyn std::fmt::Display,
        facts: Facts,
    ) -> Failure {
        self.count_sign_in(code);
        warn!(reason = code, %error, request = %facts.id, client.addr = %facts.client, "a sign-in failed");
        Failure::SignIn {
            code,
            told,
            return_to: ReturnTo::default(),
        }
    }

    fn count_sign_in(&self, outcome: &'static str) {
        self.gateway
            .control_metrics
            .sign_ins
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    /// Keeps the ID token for the provider's logout page, if a cookie can hold it.
    fn hint_cookie(&self, id_token: &SecretString) -> Option<HeaderValue> {
        let sealed = self.gateway.hints.seal(id_token.expose_secret().as_bytes());
        let lifetime = self.gateway.sessions.cookie_lifetime();
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

fn told(class: FailureClass) -> Told {
    match class {
        FailureClass::Cancelled => Told::Declined,
        FailureClass::TryAgain => Told::Expired,
        FailureClass::Unavailable | FailureClass::Provider => Told::Provider,
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

/// Prosody keeps keys as long as it is told (less a minute), and asks again for ids it does not
/// know; five minutes let a new key be known everywhere before it is used.
const KEYS_CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// Logout tokens are about a kilobyte.
const MAX_LOGOUT_BODY: usize = 32 * 1024;

/// More parameters than a login address has.
const MAX_PARAMETERS: usize = 20;
