//! The authorization endpoint (OpenID Connect Core 1.0 § 3.1.2, RFC 7636, RFC 9207).

use std::collections::HashMap;

use http::{HeaderValue, StatusCode, header};
use url::{Url, form_urlencoded};

use super::{
    DevClient, DevProviderState,
    grants::{Code, SsoSession},
    pages::{Notice, SignInPage, html},
};
use crate::http::{self as server, Answer};
use model::session::CookieJar;

/// An authorization request that may be answered.
struct AuthorizationRequest {
    client: DevClient,
    /// As the client registered it, letter by letter.
    registered: String,
    redirect_uri: Url,
    state: Option<String>,
    nonce: Option<String>,
    challenge: String,
    scope: String,
    prompt: Option<String>,
    login_hint: Option<String>,
}

/// Why an authorization request is refused.
enum AuthorizationError {
    /// Nobody knows where to send the browser: the person is told.
    Told(&'static str),
    /// The client is told, by sending the browser there (RFC 6749 § 4.1.2.1).
    Sent(String),
}

/// What is done with an acceptable request.
enum Step {
    Issue(SsoSession),
    Ask,
    Refuse(&'static str),
}

// === impl DevProviderState ===

impl DevProviderState {
    /// Answers with a code if the person is known already, else with the page to choose on.
    pub(super) fn authorize(&self, raw: &str, cookies: CookieJar<'_>) -> Answer {
        let request = match self.read(raw) {
            Ok(request) => request,
            Err(error) => return refuse(error),
        };
        match self.step(&request, cookies) {
            Step::Issue(session) => self.issue(&request, session),
            Step::Ask => {
                let page = SignInPage {
                    request: raw,
                    client: &request.client.id,
                    accounts: &self.accounts,
                };
                html(StatusCode::OK, &page)
            }
            Step::Refuse(error) => {
                let state = request.state.as_deref();
                let to = self.address(request.redirect_uri, state, ("error", error));
                refuse(AuthorizationError::Sent(to))
            }
        }
    }

    /// Takes the choice made on the page. The request it belongs to came along and is read anew, so
    /// that nothing has to be remembered in between.
    pub(super) fn sign_in(&self, form: &str) -> Answer {
        let form: HashMap<_, _> = form_urlencoded::parse(form.as_bytes()).collect();
        let field = |name: &str| form.get(name).map_or("", |value| value.as_ref());
        let request = match self.read(field("request")) {
            Ok(request) => request,
            Err(error) => return refuse(error),
        };
        match self.begin_session(field("account")) {
            Some(session) => self.issue(&request, session),
            None => refuse(AuthorizationError::Told("there is no such person")),
        }
    }

    /// The id of the provider's own session that the browser brings.
    pub(super) fn sso_session(&self, cookies: CookieJar<'_>) -> Option<SsoSession> {
        let sid = cookies.value(SESSION_COOKIE)?;
        let grants = self.grants();
        grants.sessions.find(sid, self.clock.now()).cloned()
    }

    fn read(&self, raw: &str) -> Result<AuthorizationRequest, AuthorizationError> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            if parameters
                .insert(name.into_owned(), value.into_owned())
                .is_some()
            {
                return Err(AuthorizationError::Told("a parameter comes twice"));
            }
        }
        let told = AuthorizationError::Told;
        let mut take = |name: &str| parameters.remove(name).filter(|value| !value.is_empty());
        let client = take("client_id").and_then(|id| self.client(&id));
        let client = client.ok_or(told("the client is not known"))?;
        let (registered, redirect_uri) = take("redirect_uri")
            .filter(|uri| client.redirect_uris.contains(uri))
            .and_then(|uri| Url::parse(&uri).ok().map(|parsed| (uri, parsed)))
            .ok_or(told("the redirect address is not the client's"))?;
        let state = take("state");
        let sent = |error| {
            let to = redirect_uri.clone();
            AuthorizationError::Sent(self.address(to, state.as_deref(), ("error", error)))
        };
        if take("response_type").as_deref() != Some("code") {
            return Err(sent("unsupported_response_type"));
        }
        let scope = take("scope").unwrap_or_default();
        if !scope.split(' ').any(|scope| scope == "openid") {
            return Err(sent("invalid_scope"));
        }
        let by_hash = take("code_challenge_method").as_deref() == Some("S256");
        let challenge = take("code_challenge")
            .filter(|challenge| by_hash && challenge.len() == CHALLENGE_CHARS)
            .ok_or_else(|| sent("invalid_request"))?;
        if ["request", "request_uri"]
            .iter()
            .any(|name| take(name).is_some())
        {
            return Err(sent("request_not_supported"));
        }
        Ok(AuthorizationRequest {
            nonce: take("nonce"),
            prompt: take("prompt"),
            login_hint: take("login_hint"),
            client,
            registered,
            redirect_uri,
            state,
            challenge,
            scope,
        })
    }

    /// A `login_hint` that names somebody signs them in without the page: there is no password to
    /// ask for, and tests need no form.
    fn step(&self, request: &AuthorizationRequest, cookies: CookieJar<'_>) -> Step {
        let prompts = |prompt: &str| {
            let asked = request.prompt.as_deref().unwrap_or_default();
            asked.split(' ').any(|one| one == prompt)
        };
        let fresh = prompts("login") || prompts("select_account");
        if fresh && prompts("none") {
            return Step::Refuse("invalid_request");
        }
        let known = || self.sso_session(cookies).filter(|_| !fresh);
        let hinted = || self.begin_session(request.login_hint.as_deref()?);
        match known().or_else(hinted) {
            Some(session) => Step::Issue(session),
            None if prompts("none") => Step::Refuse("login_required"),
            None => Step::Ask,
        }
    }

    fn begin_session(&self, account: &str) -> Option<SsoSession> {
        let session = SsoSession {
            sid: self.random.text::<16>(),
            account: self.account(account)?.id.clone(),
            began: self.clock.now(),
        };
        let mut grants = self.grants();
        let sid = session.sid.clone();
        grants.sessions.put(sid, session.clone(), session.began);
        Some(session)
    }

    fn issue(&self, request: &AuthorizationRequest, session: SsoSession) -> Answer {
        let code = self.random.text::<32>();
        let cookie = format!(
            "{SESSION_COOKIE}={}; Path=/; HttpOnly; SameSite=Lax",
            session.sid
        );
        let grant = Code {
            client_id: request.client.id.clone(),
            redirect_uri: request.registered.clone(),
            challenge: request.challenge.clone(),
            nonce: request.nonce.clone(),
            scope: request.scope.clone(),
            session,
        };
        let now = self.clock.now();
        self.grants().codes.put(code.clone(), grant, now);
        let state = request.state.as_deref();
        let to = self.address(request.redirect_uri.clone(), state, ("code", &code));
        let mut answer = server::redirect(&to);
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            answer.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        answer
    }

    /// The client's address with an answer in its query.
    fn address(&self, mut to: Url, state: Option<&str>, (name, value): (&str, &str)) -> String {
        to.query_pairs_mut()
            .append_pair(name, value)
            .extend_pairs(state.map(|state| ("state", state)))
            .append_pair("iss", &self.issuer);
        to.into()
    }
}

fn refuse(error: AuthorizationError) -> Answer {
    match error {
        AuthorizationError::Told(words) => {
            let page = Notice {
                title: "Cannot sign in",
                words,
                logout: None,
            };
            html(StatusCode::BAD_REQUEST, &page)
        }
        AuthorizationError::Sent(to) => server::redirect(&to),
    }
}

/// Not `Secure`, since the provider speaks plain HTTP on loopback.
pub(super) const SESSION_COOKIE: &str = "dev-provider-session";

/// A SHA-256 hash in base64url (RFC 7636 § 4.2).
const CHALLENGE_CHARS: usize = 43;
