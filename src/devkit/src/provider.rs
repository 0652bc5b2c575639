//! A stand-in for an OpenID provider, with fictional accounts and without passwords.
//!
//! It implements discovery, the authorization code flow with PKCE, a page to choose an account,
//! single sign-on, ID tokens signed with a key generated at start, userinfo, and RP-initiated
//! logout (OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0). All state is in memory
//! and bounded.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use model::{clock::Clock, random::Random, session::RequestCookies};
use secrecy::SecretString;
use serde_json::json;
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

use self::{grants::Grants, signing_key::SigningKey};
use super::{
    DevkitError,
    http::{self as server, HttpResponse},
};

mod account;
mod authorization;
mod grants;
mod logout;
mod pages;
mod pushed_requests;
mod signing_key;
mod token_endpoint;

pub use self::account::DevAccount;

/// A provider that is bound, but does not serve yet.
#[derive(Debug)]
pub struct DevProvider {
    listener: TcpListener,
    provider: Arc<DevProviderState>,
}

/// Clients and accounts of a provider.
#[derive(Clone, Debug, Default)]
pub struct DevProviderSettings {
    /// Registered clients; [`DevProviderState::register`] adds more.
    pub clients: Vec<DevClient>,
    /// The accounts, in the order of the sign-in page.
    pub accounts: Vec<DevAccount>,
    /// Whether sign-ins give refresh tokens; each is redeemed once.
    pub refresh_tokens: bool,
    /// Whether authorization requests can be pushed.
    pub pushed_requests: PushSupport,
}

/// Whether a provider takes pushed authorization requests (RFC 9126).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushSupport {
    /// It has no endpoint for them.
    #[default]
    None,
    /// It takes them.
    Offered,
    /// It takes no others.
    Required,
}

/// A client registration (OpenID Connect Core 1.0 § 3.1.2.1).
#[derive(Clone, Debug)]
pub struct DevClient {
    /// The `client_id`.
    pub id: String,
    /// The `client_secret`; `None` for a public client.
    pub secret: Option<SecretString>,
    /// Allowed redirect URIs, compared as strings.
    pub redirect_uris: Vec<String>,
    /// Allowed redirect URIs after logout, compared as strings.
    pub post_logout_redirect_uris: Vec<String>,
}

/// The state of a provider, shared by its connections and by tests.
#[derive(Debug)]
pub struct DevProviderState {
    issuer: String,
    authorities: [String; 2],
    accounts: Mutex<Vec<DevAccount>>,
    refresh_tokens: bool,
    pushed_requests: PushSupport,
    /// Whether ID tokens name no session.
    without_sid: AtomicBool,
    /// The authentication context classes beside the plain one.
    classes: Mutex<Vec<String>>,
    /// Whether the token endpoint is down.
    overloaded: AtomicBool,
    /// Whether the responses of the token endpoint are lost.
    loses_tokens: AtomicBool,
    /// How long each response takes.
    latency: Mutex<Duration>,
    clients: Mutex<Vec<DevClient>>,
    grants: Mutex<Grants>,
    key: SigningKey,
    clock: Clock,
    random: Random,
}

// === impl DevProvider ===

impl DevProvider {
    /// Listens on a loopback address; port 0 picks a free one.
    pub async fn bind(
        address: SocketAddr,
        settings: DevProviderSettings,
        clock: Clock,
        random: Random,
    ) -> Result<Self, DevkitError> {
        let (listener, local) = server::listen(address).await?;
        let provider = DevProviderState {
            issuer: format!("http://{local}"),
            authorities: [local.to_string(), format!("localhost:{}", local.port())],
            accounts: Mutex::new(settings.accounts),
            refresh_tokens: settings.refresh_tokens,
            pushed_requests: settings.pushed_requests,
            without_sid: AtomicBool::new(false),
            classes: Mutex::default(),
            overloaded: AtomicBool::new(false),
            loses_tokens: AtomicBool::new(false),
            latency: Mutex::default(),
            clients: Mutex::new(settings.clients),
            grants: Mutex::default(),
            key: SigningKey::generate(&random)?,
            clock,
            random,
        };
        Ok(Self {
            listener,
            provider: Arc::new(provider),
        })
    }

    /// The issuer, exactly as in tokens.
    pub fn issuer(&self) -> &str {
        &self.provider.issuer
    }

    /// The state, to change while the provider runs.
    pub fn provider(&self) -> Arc<DevProviderState> {
        Arc::clone(&self.provider)
    }

    /// Serves until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let provider = self.provider;
        server::serve(self.listener, stop, move |request| {
            let provider = Arc::clone(&provider);
            async move { provider.handle(request).await }
        })
        .await;
    }
}

// === impl DevProviderState ===

impl DevProviderState {
    /// Adds a client, or replaces the one with the same id.
    pub fn register(&self, client: DevClient) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|other| other.id != client.id);
        clients.push(client);
    }

    /// Adds an account, or replaces the one with the same id.
    pub fn set_account(&self, account: DevAccount) {
        self.remove_account(&account.id);
        self.all_accounts().push(account);
    }

    /// Removes an account, whose refresh tokens are no longer accepted.
    pub fn remove_account(&self, id: &str) {
        self.all_accounts().retain(|account| account.id != id);
    }

    /// Leaves the claim `sid` out of ID tokens from now on.
    pub fn omit_sid(&self) {
        self.without_sid.store(true, Ordering::Relaxed);
    }

    /// The `sid` of each session of an account.
    pub fn session_ids(&self, account: &str) -> Vec<String> {
        let grants = self.grants();
        let sessions = grants.sessions.values();
        let own = sessions.filter(|session| session.account == account);
        own.map(|session| session.sid.clone()).collect()
    }

    /// Sets the authentication context classes that the provider gives to who asks for them.
    pub fn set_classes(&self, classes: &[&str]) {
        *self.classes() = classes.iter().map(|&class| class.to_owned()).collect();
    }

    /// Makes the token endpoint answer 503, or work again.
    pub fn set_overloaded(&self, overloaded: bool) {
        self.overloaded.store(overloaded, Ordering::Relaxed);
    }

    /// Makes the token endpoint redeem codes and tokens and answer 504, as nginx does as a reverse proxy when the
    /// provider's response times out (`ngx_http_upstream_next` in `src/http/ngx_http_upstream.c` of nginx 1.22).
    pub fn set_loses_tokens(&self, loses_tokens: bool) {
        self.loses_tokens.store(loses_tokens, Ordering::Relaxed);
    }

    /// Sets how long each response takes, beside the time to compute it.
    pub fn set_latency(&self, latency: Duration) {
        *self.latency() = latency;
    }

    /// Issues a logout token (OpenID Connect Back-Channel Logout 1.0 § 2.4) for the caller to send
    /// to the client.
    pub fn logout_token(
        &self,
        client_id: &str,
        subject: Option<&str>,
        sid: Option<&str>,
    ) -> String {
        let now = self.clock.now().as_unix();
        let mut claims = json!({
            "iss": self.issuer, "aud": client_id, "iat": now, "exp": now + LOGOUT_TOKEN_SECONDS,
            "jti": self.random.text::<16>(),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        for (name, value) in [("sub", subject), ("sid", sid)] {
            if let (Some(value), Some(claims)) = (value, claims.as_object_mut()) {
                claims.insert(name.to_owned(), value.into());
            }
        }
        self.key.sign("logout+jwt", &claims)
    }

    async fn handle(&self, request: Request<Incoming>) -> HttpResponse {
        if !self.has_own_authority(&request) {
            return server::text(StatusCode::MISDIRECTED_REQUEST, "not the provider's host");
        }
        let latency = *self.latency();
        if !latency.is_zero() {
            sleep(latency).await;
        }
        let (head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let posted = head.method == Method::POST;
        let form = if posted {
            match server::read(body, MAX_FORM_BYTES).await {
                Some(body) => String::from_utf8_lossy(&body).into_owned(),
                None => {
                    return server::text(StatusCode::PAYLOAD_TOO_LARGE, "the form is too large");
                }
            }
        } else {
            String::new()
        };
        if !posted && head.method != Method::GET {
            return server::text(StatusCode::METHOD_NOT_ALLOWED, "GET and POST only");
        }
        let parameters = if posted { &form } else { &query };
        let cookies = RequestCookies::new(&head.headers);
        match head.uri.path() {
            "/.well-known/openid-configuration" => self.discovery(),
            "/jwks" => server::response(StatusCode::OK, JSON, self.key.jwks().to_owned()),
            "/authorize" => match self.pushed(parameters) {
                Ok(parameters) => self.authorize(&parameters, cookies),
                Err(reason) => server::text(StatusCode::BAD_REQUEST, reason),
            },
            "/sign-in" if posted && !is_cross_site(&head) => self.sign_in(&form),
            "/token" | "/par" if self.overloaded.load(Ordering::Relaxed) => {
                server::text(StatusCode::SERVICE_UNAVAILABLE, "overloaded")
            }
            "/par" if posted && self.pushed_requests != PushSupport::None => {
                self.push(&head.headers, &form)
            }
            "/token" if posted => {
                let answer = self.exchange(&head.headers, &form);
                if self.loses_tokens.load(Ordering::Relaxed) {
                    return server::text(StatusCode::GATEWAY_TIMEOUT, "the response timed out");
                }
                answer
            }
            "/userinfo" => self.userinfo(&head.headers),
            "/logout" => self.log_out(parameters, cookies, posted && !is_cross_site(&head)),
            _ => server::text(StatusCode::NOT_FOUND, "nothing here"),
        }
    }

    /// Refuses other host names, which guards against DNS rebinding.
    fn has_own_authority(&self, request: &Request<Incoming>) -> bool {
        let host = request.headers().get(header::HOST);
        host.and_then(|host| host.to_str().ok())
            .is_some_and(|host| self.authorities.iter().any(|authority| authority == host))
    }

    fn discovery(&self) -> HttpResponse {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let mut document = json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "jwks_uri": at("/jwks"),
            "end_session_endpoint": at("/logout"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "profile", "email"],
            "acr_values_supported": *self.classes(),
            "claims_supported": ["sub", "sid", "acr", "amr", "auth_time", "name", "email", "email_verified", "groups"],
            "prompt_values_supported": ["none", "login", "select_account"],
            "authorization_response_iss_parameter_supported": true,
        });
        if self.pushed_requests != PushSupport::None
            && let Some(members) = document.as_object_mut()
        {
            let is_required = self.pushed_requests == PushSupport::Required;
            members.extend([
                (
                    "pushed_authorization_request_endpoint".to_owned(),
                    at("/par").into(),
                ),
                (
                    "require_pushed_authorization_requests".to_owned(),
                    is_required.into(),
                ),
            ]);
        }
        server::response(StatusCode::OK, JSON, document.to_string())
    }

    fn client(&self, id: &str) -> Option<DevClient> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.iter().find(|client| client.id == id).cloned()
    }

    fn account(&self, id: &str) -> Option<DevAccount> {
        let accounts = self.all_accounts();
        accounts.iter().find(|account| account.id == id).cloned()
    }

    fn all_accounts(&self) -> MutexGuard<'_, Vec<DevAccount>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn classes(&self) -> MutexGuard<'_, Vec<String>> {
        self.classes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn latency(&self) -> MutexGuard<'_, Duration> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `Sec-Fetch-Site` names another site as the sender of a form.
fn is_cross_site(head: &http::request::Parts) -> bool {
    let site = head.headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

const JSON: &str = "application/json";

/// The sign-in form contains the authorization request of some hundred bytes.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// The recommended limit (OpenID Connect Back-Channel Logout 1.0 § 2.4).
const LOGOUT_TOKEN_SECONDS: u64 = 120;

#[cfg(test)]
mod tests;
