//! The relying party: signing people in by OpenID Connect.
//!
//! [`RelyingParty`] sends a browser to the provider, takes the provider's answer, and is the only
//! maker of a [`Verified`] identity. Discovery and keys are looked after by [`RelyingParty::run`];
//! the provider may be down when the gateway starts, and at any time later.
//!
//! The way of a sign-in: `callback` (what the browser brought) → `client` (the code redeemed at
//! the token endpoint) → [`jws`](model::jws) (the ID token's signature) → `registered` and `id_token`
//! (its claims) → `userinfo` (what it left open) → `claims` (the person).

mod callback;
mod claims;
mod client;
mod discovery;
mod failure;
mod http;
mod id_token;
mod logout;
mod probe;
mod provider;
mod registered;
mod root_store;
mod userinfo;

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use url::Url;

use self::{
    callback::Outcome,
    claims::Described,
    logout::SeenTokens,
    provider::{Provider, Watch},
    registered::Expected,
};
pub use self::{
    callback::{Callback, CallbackError},
    failure::{FailureClass, SignInFailure},
    http::FetchError,
    logout::{LogoutError, LogoutRequest},
    probe::{Description, DescriptionError, Probe},
    provider::Status,
    root_store::system_roots,
};
pub use model::jws::TokenError;
use model::{
    clock::Clock,
    identity::{Identity, Verified},
    jws::{Claims, Jws, text},
    policy::Policy,
    random::Random,
};
use observe::metrics::ProviderMetrics;

/// The provider and what to ask of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The issuer, exactly as the provider writes it.
    pub issuer: String,
    /// Where the provider is reached from here, if not at the issuer's own address.
    pub internal_url: Option<Url>,
    /// Our id at the provider.
    pub client_id: String,
    /// Our secret; a public client has none.
    pub client_secret: Option<SecretString>,
    /// How the secret is sent to the token endpoint.
    pub client_auth: ClientAuth,
    /// Scopes to ask for, `openid` among them.
    pub scopes: Vec<String>,
    /// Where in the claims things are.
    pub claims: ClaimPaths,
    /// Signature algorithms that an ID token may have (JOSE names, as `RS256`); never `none` or HS*.
    pub algorithms: Vec<String>,
    /// PEM of certificate authorities to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// An HTTP proxy to reach the provider through.
    pub http_proxy: Option<Url>,
    /// How long one request to the provider may take.
    pub timeout: Duration,
    /// How far the provider's clock may be off.
    pub leeway: Duration,
    /// Where the provider sends people back to: `<public_url>/_gateway/callback`.
    pub redirect_uri: Url,
    /// Where the provider sends people after signing out.
    pub signed_out_uri: Url,
    /// Treat addresses as verified although the provider does not say so. Weakens e-mail rules.
    pub insecure_trust_unverified_email: bool,
}

/// How the client secret is sent (OpenID Connect Core § 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
}

/// Dotted paths of claims, as `realm_access.roles`; a key with dots in it (as a namespaced
/// `https://example.org/groups`) is tried whole first.
#[derive(Clone, Debug)]
pub struct ClaimPaths {
    /// The person's stable id.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// Whether the address is verified.
    pub email_verified: String,
    /// The address of a picture.
    pub avatar: String,
    /// Groups: an array of texts, or one text with spaces or commas.
    pub groups: String,
}

/// Signs people in at one provider; shared by all who need it.
pub struct RelyingParty {
    settings: Arc<Settings>,
    algorithms: Vec<Algorithm>,
    clock: Clock,
    provider: Arc<Watch>,
    seen: SeenTokens,
}

/// What one sign-in asks of the provider beyond the usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignInOptions {
    /// What the provider should show.
    pub prompt: Option<Prompt>,
    /// Whom the provider should expect, as an address or account name.
    pub login_hint: Option<String>,
}

/// What the provider should show (OpenID Connect Core § 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Nothing: a silent sign-in or none.
    None,
    /// The password again.
    Login,
    /// A choice of accounts.
    SelectAccount,
}

/// Somebody who just signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// The person.
    pub who: Verified,
    /// The provider's id of its own session (`sid`), for back-channel logout.
    pub provider_session: Option<String>,
    /// The ID token as it came, for signing out at the provider later.
    pub id_token: SecretString,
}

/// The provider has not been reached since the process began, so there is nowhere to send anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider has not been reached yet")]
pub struct Unavailable;

/// Why no relying party can be made of the settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The issuer is no http or https URL, or has a query.
    #[error("the issuer is not an http or https URL without a query")]
    Issuer,
    /// The same for the internal address.
    #[error("the internal URL is not an http or https URL without a query")]
    InternalUrl,
    /// An algorithm that is unknown, symmetric or `none`.
    #[error("{0:?} is not an algorithm that an id token may be signed with")]
    Algorithm(String),
    /// No algorithm at all.
    #[error("no algorithm is allowed for id tokens")]
    NoAlgorithm,
    /// The file of certificate authorities is not PEM.
    #[error("the certificate authorities are not valid PEM")]
    AuthorityPem(#[source] rustls::pki_types::pem::Error),
    /// The file of certificate authorities has no certificate in it.
    #[error("the file of certificate authorities has no certificate")]
    NoAuthority,
    /// TLS does not take the settings.
    #[error("tls cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The proxy is no http URL.
    #[error("the proxy is not an http URL")]
    Proxy,
}

// === impl RelyingParty ===

impl RelyingParty {
    /// A relying party that knows nothing of its provider yet; see [`run`](Self::run). Reads the
    /// system's certificate authorities, but connects to nothing.
    pub fn new(settings: Settings, clock: Clock, random: Random) -> Result<Self, SetupError> {
        let algorithms = settings.algorithms.iter().map(|name| {
            let algorithm = name.parse::<Algorithm>().ok();
            algorithm
                .filter(|algorithm| algorithm.family() != AlgorithmFamily::Hmac)
                .ok_or_else(|| SetupError::Algorithm(name.clone()))
        });
        let algorithms = algorithms.collect::<Result<Vec<_>, _>>()?;
        if algorithms.is_empty() {
            return Err(SetupError::NoAlgorithm);
        }
        let settings = Arc::new(settings);
        Ok(Self {
            algorithms,
            provider: Arc::new(Watch::new(Arc::clone(&settings), clock.clone(), random)?),
            settings,
            clock,
            seen: SeenTokens::default(),
        })
    }

    /// Learns about the provider, trying until it is reached, and keeps that knowledge fresh until
    /// `stop`. What was known is kept when the provider fails later.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.provider.run(stop).await;
    }

    /// How well the provider is known.
    pub fn status(&self) -> Status {
        self.provider.status().borrow().clone()
    }

    /// What is counted of the provider.
    pub fn metrics(&self) -> &ProviderMetrics {
        &self.provider.fetcher.metrics
    }

    /// Tells when the status changes.
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.provider.status()
    }

    /// Where to send the browser: the code flow with PKCE (RFC 7636, S256). The three secrets are
    /// those that the sign-in under way remembers.
    ///
    /// # Panics
    ///
    /// If the verifier has not 43 to 128 characters (RFC 7636 § 4.1); those of a
    /// [`SignIn`](model::session::SignIn) have 43.
    pub fn authorization_url(
        &self,
        state: &str,
        nonce: &str,
        verifier: &str,
        options: &SignInOptions,
    ) -> Result<Url, Unavailable> {
        let provider = self.provider.known().ok_or(Unavailable)?;
        let flow = &provider.flow;
        Ok(flow.authorization_url(state, nonce, verifier, options))
    }

    /// Finishes a sign-in with the provider's answer. `nonce` and `verifier` are those of the
    /// sign-in that the answer's state belongs to, which the caller has found in this browser.
    ///
    /// # Cancel safety
    ///
    /// Dropping it may leave the code spent, so that the person has to begin anew.
    pub async fn finish(
        &self,
        answer: &Callback,
        nonce: &str,
        verifier: &str,
        policy: &Policy,
    ) -> Result<SignedIn, SignInFailure> {
        let provider = self.provider.known().ok_or(SignInFailure::NotReady)?;
        let code = self.code(answer, &provider)?;
        let fetcher = &self.provider.fetcher;
        let tokens = provider.flow.redeem(code, verifier, fetcher).await?;

        let jws = Jws::parse(tokens.id.expose_secret(), &self.algorithms)?;
        let claims = self.provider.open(&provider, &jws).await?;
        let access_token = tokens.access.expose_secret();
        let expected = self.expected();
        let subject = id_token::check(&claims, jws.algorithm(), expected, nonce, access_token)?;

        let open = claims::leaves_open(&claims, &self.settings.claims, policy);
        let userinfo = match provider.endpoints.userinfo.as_ref().filter(|_| open) {
            Some(url) => Some(userinfo::ask(fetcher, url, &tokens.access, subject).await?),
            None => None,
        };
        let described = Described {
            id_token: &claims,
            userinfo: userinfo.as_ref(),
        };
        for claim in claims::elsewhere(described, &self.settings.claims, policy) {
            warn!(
                claim,
                "the provider keeps a claim elsewhere, so rules see nothing of it"
            );
        }
        let identity = claims::identity(described, &self.settings, policy)?;
        Ok(SignedIn {
            who: Verified::by_provider(identity),
            provider_session: session_id(&claims),
            id_token: tokens.id,
        })
    }

    /// Where to send the browser to sign out at the provider, too; `None` if the provider is not
    /// known or has no such place. `state` comes back to the configured address.
    pub fn end_session_url(&self, id_token_hint: Option<&str>, state: Option<&str>) -> Option<Url> {
        let provider = self.provider.known()?;
        provider.flow.end_session_url(id_token_hint, state)
    }

    /// The code, if the answer has one and comes from where it should (RFC 9207 § 2.4).
    fn code<'a>(
        &self,
        answer: &'a Callback,
        provider: &Provider,
    ) -> Result<&'a SecretString, SignInFailure> {
        match &answer.issuer {
            Some(issuer) if *issuer != self.settings.issuer => {
                return Err(SignInFailure::AnswerIssuer);
            }
            None if provider.endpoints.issuer_in_answers => {
                return Err(SignInFailure::AnswerWithoutIssuer);
            }
            _ => {}
        }
        match &answer.outcome {
            Outcome::Code(code) => Ok(code),
            Outcome::Error(error) => Err(SignInFailure::of_answer(error)),
        }
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            now: self.clock.now(),
            leeway: self.settings.leeway,
        }
    }
}

/// The person whom claims describe: as if the provider had said all this in the ID token. For
/// whoever wants to see what rules make of it; nothing is verified, so nobody is signed in.
pub fn described(
    claims: &Claims,
    settings: &Settings,
    policy: &Policy,
) -> Result<Identity, SignInFailure> {
    let described = Described {
        id_token: claims,
        userinfo: None,
    };
    claims::identity(described, settings, policy)
}

/// The provider's session, if it has a name that a session of ours can remember.
fn session_id(claims: &Claims) -> Option<String> {
    text(claims, "sid")
        .filter(|sid| sid.len() <= id_token::MAX_SUBJECT_BYTES)
        .map(str::to_owned)
}
