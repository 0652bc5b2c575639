//! The sign-in of one user, from the authorization request to the verified identity.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use model::{
    authentication_context::AuthenticationContext,
    clock::{Clock, Timestamp},
    identity::VerifiedIdentity,
    jws::{ClaimsSet, Jws, text},
    policy::Policy,
    provider::{MAX_ISSUED_ID_BYTES, SubjectScope},
    random::Random,
};
use observe::metrics::ProviderMetrics;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    AuthenticationError, AuthorizationOptions, Callback, ListedProvider, OidcSettings,
    OidcSetupError, ProviderStatus,
    authentication_context::authentication_context,
    callback::CallbackOutcome,
    claims_validation::ClaimsValidation,
    group_lookup::GroupResolver,
    id_token::{self, ExpectedNonce},
    identification::SourceOutage,
    logout_token::ReplayCache,
    provider_cache::{ProviderCache, ProviderSnapshot, TokenSource},
};

/// Signs users in at one provider. Shared by all workers.
pub struct RelyingParty {
    pub(crate) settings: Arc<OidcSettings>,
    pub(crate) algorithms: Vec<Algorithm>,
    clock: Clock,
    pub(crate) provider: Arc<ProviderCache>,
    pub(crate) replay_cache: ReplayCache,
    pub(crate) directory: Option<GroupResolver>,
    /// The claims of conditions that were reported as unusable: each is named once, however many people
    /// sign in without it.
    pub(crate) reported_claims: Mutex<HashSet<String>>,
}

/// Result of a successful sign-in.
#[derive(Debug)]
pub struct AuthenticatedUser {
    /// The identity that the provider asserts.
    pub identity: VerifiedIdentity,
    /// How and when the person authenticated, by the ID token.
    pub authentication: AuthenticationContext,
    /// `sid`: the provider's session, which back-channel logout may name, in the form of the
    /// [scope](RelyingParty::scope).
    pub provider_session: Option<String>,
    /// The ID token in compact form, as `id_token_hint` of a later logout request.
    pub id_token: SecretString,
    /// Redeemed later to ask the provider whether the session still stands. Many providers give none
    /// without a further scope.
    pub refresh_token: Option<SecretString>,
}

/// No discovery has succeeded since startup, so the authorization endpoint is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider has not been reached yet")]
pub struct ProviderUnavailable;

// === impl RelyingParty ===

impl RelyingParty {
    /// Creates a relying party without provider metadata; [`run`](Self::run) fetches it. Reads the
    /// system's certificate authorities, but opens no connection.
    pub fn new(
        settings: OidcSettings,
        clock: Clock,
        random: Random,
    ) -> Result<Self, OidcSetupError> {
        Self::with_metrics(settings, ProviderMetrics::default(), clock, random)
    }

    /// Creates a relying party that counts in `metrics`.
    pub(crate) fn with_metrics(
        settings: OidcSettings,
        metrics: ProviderMetrics,
        clock: Clock,
        random: Random,
    ) -> Result<Self, OidcSetupError> {
        let settings = Arc::new(settings);
        Ok(Self {
            algorithms: parse_algorithms(&settings.algorithms)?,
            provider: Arc::new(ProviderCache::new(
                Arc::clone(&settings),
                metrics,
                clock.clone(),
                random,
            )?),
            directory: settings
                .group_lookup
                .clone()
                .map(|lookup| GroupResolver::new(lookup, settings.timeout, clock.clone())),
            settings,
            clock,
            replay_cache: ReplayCache::default(),
            reported_claims: Mutex::default(),
        })
    }

    /// Fetches the provider's metadata and keys and keeps them fresh, until `stop`. The last good
    /// ones stay in use while the provider fails.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.provider.run(stop).await;
    }

    /// Completes when the first discovery has ended, whatever it found.
    pub async fn first_discovery(&self) {
        self.provider.first_discovery().await;
    }

    /// The issuer identifier, as the configuration has it.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// When the certificate ends by which the provider knows the client; `None` without one.
    pub fn client_certificate_end(&self) -> Option<Timestamp> {
        self.settings.client_auth.certificate_end()
    }

    /// How people choose the provider, if there are several.
    pub fn listed(&self) -> Option<&ListedProvider> {
        self.settings.listed.as_ref()
    }

    /// The provider's id in metrics, logs and audit lines, if there are several.
    pub fn provider_id(&self) -> Option<&str> {
        self.settings.provider_id()
    }

    /// How the ids that the provider issues are written in this deployment.
    pub fn scope(&self) -> &SubjectScope {
        &self.settings.scope
    }

    /// How often a session in use is revalidated; `None` for never.
    pub fn revalidate(&self) -> Option<Duration> {
        self.settings.revalidate
    }

    /// The age at which a session without a refresh token is renewed by the browser; `None` for never.
    pub fn silent_renewal(&self) -> Option<Duration> {
        self.settings
            .revalidate
            .filter(|_| self.settings.silent_renewal)
    }

    /// State of the provider's metadata.
    pub fn status(&self) -> ProviderStatus {
        self.provider.status()
    }

    /// Metrics of the requests to the provider.
    pub fn metrics(&self) -> &ProviderMetrics {
        &self.provider.fetcher.metrics
    }

    /// URL of an authorization request for the code flow with PKCE (RFC 7636, S256). `state`,
    /// `nonce` and `verifier` are the secrets of the pending sign-in.
    ///
    /// # Panics
    ///
    /// If `verifier` has not 43 to 128 characters (RFC 7636 § 4.1); that of a
    /// [`SignIn`](model::session::SignIn) has 43.
    pub fn authorization_url(
        &self,
        state: &str,
        nonce: &str,
        verifier: &str,
        options: &AuthorizationOptions<'_>,
    ) -> Result<Url, ProviderUnavailable> {
        let provider = self.provider.current().ok_or(ProviderUnavailable)?;
        let flow = &provider.flow;
        Ok(flow.authorization_url(state, nonce, verifier, options))
    }

    /// Whether the address of an authorization request has to be [pushed](Self::push).
    pub fn pushes_requests(&self) -> bool {
        let provider = self.provider.current();
        provider.is_some_and(|provider| provider.flow.pushes_requests())
    }

    /// Pushes an authorization request to the provider (RFC 9126), and gives the address with the reference to it; the
    /// same address, if the provider takes it, too, when it cannot be pushed.
    pub async fn push(&self, request: Url) -> Result<Url, AuthenticationError> {
        let provider = self
            .provider
            .current()
            .ok_or(AuthenticationError::NotReady)?;
        provider.flow.push(request, &self.provider.fetcher).await
    }

    /// Completes a sign-in. `nonce` and `verifier` are the secrets of the pending sign-in that the
    /// caller found in this browser's cookies by [`Callback::state`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the code may be redeemed already, and the user has to sign in again.
    pub async fn finish(
        &self,
        callback: &Callback,
        nonce: &str,
        verifier: &str,
        policy: &Policy,
    ) -> Result<AuthenticatedUser, AuthenticationError> {
        let provider = self
            .provider
            .current()
            .ok_or(AuthenticationError::NotReady)?;
        let code = self.code(callback, &provider)?;
        let fetcher = &self.provider.fetcher;
        let tokens = provider.flow.redeem(code, verifier, fetcher).await?;

        let id_token = tokens.id.ok_or(AuthenticationError::NoIdToken)?;
        let nonce = ExpectedNonce::Required(nonce);
        let claims = self
            .verify_id_token(&provider, &id_token, &tokens.access, nonce)
            .await?;
        Ok(AuthenticatedUser {
            identity: self
                .identify(
                    &provider,
                    &claims,
                    &tokens.access,
                    SourceOutage::Tolerated,
                    policy,
                )
                .await?,
            authentication: authentication_context(&claims, self.clock.now(), self.settings.leeway),
            provider_session: session_id(&claims).and_then(|sid| self.scope().qualify(&sid)),
            id_token,
            refresh_token: tokens.refresh,
        })
    }

    /// The claims of an ID token of a token response, verified.
    pub(crate) async fn verify_id_token(
        &self,
        provider: &Arc<ProviderSnapshot>,
        id_token: &SecretString,
        access_token: &SecretString,
        nonce: ExpectedNonce<'_>,
    ) -> Result<ClaimsSet, AuthenticationError> {
        let jws = Jws::parse(id_token.expose_secret(), &self.algorithms)?;
        let claims = self
            .provider
            .verify(provider, &jws, TokenSource::TokenEndpoint)
            .await?;
        id_token::validate(
            &claims,
            jws.algorithm(),
            self.claims_validation(),
            nonce,
            access_token.expose_secret(),
        )?;
        Ok(claims)
    }

    /// URL of a logout request at the provider, which redirects the browser back with `state`.
    /// `None` if the provider is unknown or has no `end_session_endpoint`.
    pub fn end_session_url(&self, id_token_hint: Option<&str>, state: Option<&str>) -> Option<Url> {
        let provider = self.provider.current()?;
        provider.flow.end_session_url(id_token_hint, state)
    }

    pub(crate) fn claims_validation(&self) -> ClaimsValidation<'_> {
        ClaimsValidation {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            other_audiences: &self.settings.other_audiences,
            now: self.clock.now(),
            leeway: self.settings.leeway,
        }
    }

    /// The code of the callback, after the check of `iss` (RFC 9207 § 2.4).
    fn code<'a>(
        &self,
        callback: &'a Callback,
        provider: &ProviderSnapshot,
    ) -> Result<&'a SecretString, AuthenticationError> {
        match &callback.issuer {
            Some(issuer) if *issuer != self.settings.issuer => {
                return Err(AuthenticationError::ResponseIssuer);
            }
            None if provider.metadata.issuer_in_responses => {
                return Err(AuthenticationError::ResponseWithoutIssuer);
            }
            _ => {}
        }
        match &callback.outcome {
            CallbackOutcome::Code(code) => Ok(code),
            CallbackOutcome::Error(error) => {
                Err(AuthenticationError::from_authorization_error(error))
            }
        }
    }
}

fn parse_algorithms(names: &[String]) -> Result<Vec<Algorithm>, OidcSetupError> {
    if names.is_empty() {
        return Err(OidcSetupError::NoAlgorithm);
    }
    names
        .iter()
        .map(|name| {
            name.parse()
                .ok()
                .filter(|algorithm: &Algorithm| algorithm.family() != AlgorithmFamily::Hmac)
                .ok_or_else(|| OidcSetupError::Algorithm(name.clone()))
        })
        .collect()
}

/// `sid`, unless it is too long for a session cookie.
fn session_id(claims: &ClaimsSet) -> Option<String> {
    text(claims, "sid")
        .filter(|sid| sid.len() <= MAX_ISSUED_ID_BYTES)
        .map(str::to_owned)
}
