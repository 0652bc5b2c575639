//! A development OpenID provider: the real protocol, invented people, no passwords.
//!
//! It has discovery, the authorization code flow with PKCE, a page to choose a person on, its own
//! single sign-on session, ID tokens signed with a key made at start, userinfo, and logout started
//! by the client. Everything is in memory and bounded.

mod account;
mod authorization;
mod grants;
mod logout;
mod pages;
mod signing_key;
mod token_endpoint;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use secrecy::SecretString;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::account::DevAccount;
use self::{grants::Grants, signing_key::SigningKey};
use super::{
    DevkitError,
    http::{self as server, Answer},
};
use model::{clock::Clock, random::Random, session::CookieJar};

/// A provider that listens, but does not answer yet.
#[derive(Debug)]
pub struct DevProvider {
    listener: TcpListener,
    provider: Arc<DevProviderState>,
}

/// Who may use a provider, and who can sign in.
#[derive(Clone, Debug, Default)]
pub struct DevProviderSettings {
    /// Known clients; more can be added by [`DevProviderState::register`].
    pub clients: Vec<DevClient>,
    /// The people.
    pub accounts: Vec<DevAccount>,
}

/// A client, in OpenID Connect's sense.
#[derive(Clone, Debug)]
pub struct DevClient {
    /// The client's id.
    pub id: String,
    /// The client's secret; a public client has none.
    pub secret: Option<SecretString>,
    /// Where codes may be sent, compared letter by letter.
    pub redirect_uris: Vec<String>,
    /// Where browsers may be sent after signing out, compared letter by letter.
    pub post_logout_redirect_uris: Vec<String>,
}

/// What the provider knows; shared by its connections and whoever controls it.
#[derive(Debug)]
pub struct DevProviderState {
    issuer: String,
    authorities: [String; 2],
    accounts: Vec<DevAccount>,
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
            accounts: settings.accounts,
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

    /// The issuer, exactly as it stands in tokens.
    pub fn issuer(&self) -> &str {
        &self.provider.issuer
    }

    /// What the provider knows, to look at and change while it runs.
    pub fn provider(&self) -> Arc<DevProviderState> {
        Arc::clone(&self.provider)
    }

    /// Answers requests until `stop`.
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
    /// Adds a client, or replaces the one of the same id.
    pub fn register(&self, client: DevClient) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|other| other.id != client.id);
        clients.push(client);
    }

    /// A logout token for a back-channel logout (OpenID Connect Back-Channel Logout 1.0 § 2.4), to
    /// be sent to the client by whoever asked for it.
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

    async fn handle(&self, request: Request<Incoming>) -> Answer {
        if !self.is_for_us(&request) {
            return server::text(
                StatusCode::MISDIRECTED_REQUEST,
                "not the provider's address",
            );
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
        let own = CookieJar::new(&head.headers);
        match head.uri.path() {
            "/.well-known/openid-configuration" => self.discovery(),
            "/jwks" => server::answer(StatusCode::OK, JSON, self.key.jwks().to_owned()),
            "/authorize" => self.authorize(parameters, own),
            "/sign-in" if posted && !is_cross_site(&head) => self.sign_in(&form),
            "/token" if posted => self.exchange(&head.headers, &form),
            "/userinfo" => self.userinfo(&head.headers),
            "/logout" => self.log_out(parameters, own, posted && !is_cross_site(&head)),
            _ => server::text(StatusCode::NOT_FOUND, "nothing here"),
        }
    }

    /// Keeps other names for this address away, and with them pages from elsewhere that had their
    /// own name resolve to this machine.
    fn is_for_us(&self, request: &Request<Incoming>) -> bool {
        let host = request.headers().get(header::HOST);
        host.and_then(|host| host.to_str().ok())
            .is_some_and(|host| self.authorities.iter().any(|own| own == host))
    }

    fn discovery(&self) -> Answer {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let document = json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "jwks_uri": at("/jwks"),
            "end_session_endpoint": at("/logout"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "profile", "email"],
            "claims_supported": ["sub", "sid", "name", "email", "email_verified", "groups"],
            "prompt_values_supported": ["none", "login", "select_account"],
            "authorization_response_iss_parameter_supported": true,
        });
        server::answer(StatusCode::OK, JSON, document.to_string())
    }

    fn client(&self, id: &str) -> Option<DevClient> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.iter().find(|client| client.id == id).cloned()
    }

    fn account(&self, id: &str) -> Option<&DevAccount> {
        self.accounts.iter().find(|account| account.id == id)
    }

    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a browser says that another site sent the form.
fn is_cross_site(head: &http::request::Parts) -> bool {
    let site = head.headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

const JSON: &str = "application/json";

/// Forms here are some hundred bytes; an authorization request travels in one.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// As the specification advises, so that a token cannot be kept for later.
const LOGOUT_TOKEN_SECONDS: u64 = 120;

#[cfg(test)]
mod tests;
