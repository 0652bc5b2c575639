//! The authorization endpoint (OpenID Connect Core 1.0 § 3.1.2, RFC 7636, RFC 9207).

use std::collections::HashMap;

use http::{HeaderValue, StatusCode, header};
use model::session::RequestCookies;
use url::{Url, form_urlencoded};

use super::{
    DevClient, DevProviderState,
    grants::{Code, SsoSession},
    pages::{Notice, SignInPage, html},
};
use crate::http::{self as server, HttpResponse};

/// A valid authorization request.
struct AuthorizationRequest {
    client: DevClient,
    /// The redirect URI as registered.
    registered: String,
    redirect_uri: Url,
    state: Option<String>,
    nonce: Option<String>,
    challenge: String,
    scope: String,
    prompt: Option<String>,
    login_hint: Option<String>,
    acr_values: Option<String>,
    max_age: Option<u64>,
}

/// Why an authorization request is refused.
enum AuthorizationError {
    /// Client or redirect URI is invalid, so the browser is not redirected (RFC 6749 § 4.1.2.1).
    Page(&'static str),
    /// A redirect to the client with an error.
    Redirect(String),
}

/// The response to a valid request.
enum Step {
    Issue(SsoSession),
    ChooseAccount,
    Refuse(&'static str),
}

// === impl DevProviderState ===

impl DevProviderState {
    /// Responds with a code if there is a session, otherwise with the page to choose an account.
    pub(super) fn authorize(&self, raw: &str, cookies: RequestCookies<'_>) -> HttpResponse {
        let request = match self.read(raw) {
            Ok(request) => request,
            Err(error) => return refuse(error),
        };
        match self.step(&request, cookies) {
            Step::Issue(session) => self.issue(&request, session),
            Step::ChooseAccount => {
                let page = SignInPage {
                    style: ::pages::STYLE,
                    request: raw,
                    client: &request.client.id,
                    accounts: &self.all_accounts().clone(),
                };
                html(StatusCode::OK, &page)
            }
            Step::Refuse(error) => {
                let state = request.state.as_deref();
                let to = self.redirect_target(request.redirect_uri, state, ("error", error));
                refuse(AuthorizationError::Redirect(to))
            }
        }
    }

    /// Handles the form of that page. The form contains the authorization request, so the provider
    /// keeps no state between the two.
    pub(super) fn sign_in(&self, form: &str) -> HttpResponse {
        let form: HashMap<_, _> = form_urlencoded::parse(form.as_bytes()).collect();
        let field = |name: &str| form.get(name).map_or("", |value| value.as_ref());
        let request = match self.read(field("request")) {
            Ok(request) => request,
            Err(error) => return refuse(error),
        };
        match self.begin_session(field("account"), &request, None) {
            Some(session) => self.issue(&request, session),
            None => refuse(AuthorizationError::Page("there is no such account")),
        }
    }

    /// The provider's session of the browser.
    pub(super) fn sso_session(&self, cookies: RequestCookies<'_>) -> Option<SsoSession> {
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
                return Err(AuthorizationError::Page("duplicate parameter"));
            }
        }
        let page = AuthorizationError::Page;
        let mut take = |name: &str| parameters.remove(name).filter(|value| !value.is_empty());
        let client = take("client_id").and_then(|id| self.client(&id));
        let client = client.ok_or(page("unknown client"))?;
        let (registered, redirect_uri) = take("redirect_uri")
            .filter(|uri| client.redirect_uris.contains(uri))
            .and_then(|uri| Url::parse(&uri).ok().map(|parsed| (uri, parsed)))
            .ok_or(page("the redirect URI is not registered"))?;
        let state = take("state");
        let redirect = |error| {
            let to = redirect_uri.clone();
            AuthorizationError::Redirect(self.redirect_target(
                to,
                state.as_deref(),
                ("error", error),
            ))
        };
        if take("response_type").as_deref() != Some("code") {
            return Err(redirect("unsupported_response_type"));
        }
        let scope = take("scope").unwrap_or_default();
        if !scope.split(' ').any(|scope| scope == "openid") {
            return Err(redirect("invalid_scope"));
        }
        let by_hash = take("code_challenge_method").as_deref() == Some("S256");
        let challenge = take("code_challenge")
            .filter(|challenge| by_hash && challenge.len() == CHALLENGE_CHARS)
            .ok_or_else(|| redirect("invalid_request"))?;
        if ["request", "request_uri"]
            .iter()
            .any(|name| take(name).is_some())
        {
            return Err(redirect("request_not_supported"));
        }
        Ok(AuthorizationRequest {
            nonce: take("nonce"),
            prompt: take("prompt"),
            login_hint: take("login_hint"),
            acr_values: take("acr_values"),
            max_age: take("max_age").and_then(|seconds| seconds.parse().ok()),
            client,
            registered,
            redirect_uri,
            state,
            challenge,
            scope,
        })
    }

    /// A valid `login_hint` replaces the page, so that tests need no form.
    fn step(&self, request: &AuthorizationRequest, cookies: RequestCookies<'_>) -> Step {
        let prompts = |prompt: &str| {
            let asked = request.prompt.as_deref().unwrap_or_default();
            asked.split(' ').any(|one| one == prompt)
        };
        let fresh = prompts("login") || prompts("select_account");
        if fresh && prompts("none") {
            return Step::Refuse("invalid_request");
        }
        let known = self.sso_session(cookies);
        let hinted = || {
            let account = request.login_hint.as_deref()?;
            self.begin_session(account, request, known.as_ref())
        };
        let usable = || {
            let session = known.clone().filter(|_| !fresh)?;
            self.account(&session.account)?;
            self.is_sufficient(&session, request).then_some(session)
        };
        match usable().or_else(hinted) {
            Some(session) => Step::Issue(session),
            None if prompts("none") => Step::Refuse("login_required"),
            None => Step::ChooseAccount,
        }
    }

    /// Whether a session needs no new authentication: it is recent enough, and has a wanted class, if
    /// the provider has any of those (OpenID Connect Core 1.0 § 3.1.2.1: `acr_values` is voluntary).
    fn is_sufficient(&self, session: &SsoSession, request: &AuthorizationRequest) -> bool {
        let age = self.clock.now().since(session.began).as_secs();
        let is_recent = request.max_age.is_none_or(|most| age <= most);
        let wanted = request.acr_values.as_deref().unwrap_or_default();
        let has_class = session
            .acr
            .as_deref()
            .is_some_and(|acr| wanted.split(' ').any(|class| class == acr));
        is_recent && (has_class || self.class_of(request).is_none())
    }

    /// The first of the wanted classes that the provider has.
    fn class_of(&self, request: &AuthorizationRequest) -> Option<String> {
        let classes = self.classes();
        let wanted = request.acr_values.as_deref().unwrap_or_default();
        let known = wanted
            .split(' ')
            .find(|wanted| classes.iter().any(|class| class == wanted));
        known.map(ToOwned::to_owned)
    }

    /// Authenticates a person. The session of the browser goes on, if it is theirs.
    fn begin_session(
        &self,
        account: &str,
        request: &AuthorizationRequest,
        earlier: Option<&SsoSession>,
    ) -> Option<SsoSession> {
        let account = self.account(account)?.id;
        let same = earlier.filter(|earlier| earlier.account == account);
        let session = SsoSession {
            sid: same.map_or_else(|| self.random.text::<16>(), |same| same.sid.clone()),
            account,
            began: self.clock.now(),
            acr: self.class_of(request),
        };
        let mut grants = self.grants();
        let sid = session.sid.clone();
        grants.sessions.put(sid, session.clone(), session.began);
        Some(session)
    }

    fn issue(&self, request: &AuthorizationRequest, session: SsoSession) -> HttpResponse {
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
        let to = self.redirect_target(request.redirect_uri.clone(), state, ("code", &code));
        let mut answer = server::redirect(&to);
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            answer.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        answer
    }

    /// The client's redirect URI with a response parameter.
    fn redirect_target(
        &self,
        mut to: Url,
        state: Option<&str>,
        (name, value): (&str, &str),
    ) -> String {
        to.query_pairs_mut()
            .append_pair(name, value)
            .extend_pairs(state.map(|state| ("state", state)))
            .append_pair("iss", &self.issuer);
        to.into()
    }
}

fn refuse(error: AuthorizationError) -> HttpResponse {
    match error {
        AuthorizationError::Page(text) => {
            let page = Notice {
                style: ::pages::STYLE,
                title: "Cannot sign in",
                text,
                logout: None,
            };
            html(StatusCode::BAD_REQUEST, &page)
        }
        AuthorizationError::Redirect(to) => server::redirect(&to),
    }
}

/// Not `Secure`: the provider serves plain HTTP on loopback.
pub(super) const SESSION_COOKIE: &str = "dev-provider-session";

/// A SHA-256 hash in base64url (RFC 7636 § 4.2).
const CHALLENGE_CHARS: usize = 43;
