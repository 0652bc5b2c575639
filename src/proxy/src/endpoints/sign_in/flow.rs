//! The authorization code flow: its state in cookies, and the relying party's requests to the provider
//! on the control runtime.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use model::{
    clock::Clock,
    random::Random,
    route::OWN_PREFIX,
    seal::Sealer,
    session::{self, HINT_COOKIE, RequestCookies, ReturnTo, SignIn, SignInCookies, SignInError},
};
use oidc::{
    AuthenticatedUser, AuthenticationError, AuthorizationOptions, Callback, LogoutRequest,
    LogoutTokenError, RelyingParty,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;
use url::Url;

use super::{LoginError, query::LoginQuery, redeemed_states::RedeemedStates};
use crate::{
    ReloadableState, RequestError, Worker, provider_sessions::ProviderSessions,
    request_context::ContextError,
};

/// Sign-ins and sign-outs at the provider.
pub(crate) struct SignInFlow {
    pub(crate) relying_party: Arc<RelyingParty>,
    pub(crate) cookies: SignInCookies,
    /// Seals ID tokens, which are hints for the provider's logout page.
    pub(crate) hints: Sealer,
    /// The sign-ins whose code was redeemed.
    pub(crate) redeemed: RedeemedStates,
    /// The sessions at the provider that sessions here began from.
    pub(crate) provider_sessions: ProviderSessions,
    /// Where the provider is asked.
    pub(crate) runtime: Handle,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

/// A sign-in on its way to the provider.
pub(super) struct BegunSignIn {
    /// The address of the provider.
    pub(super) address: Url,
    pub(super) return_to: ReturnTo,
    /// `Set-Cookie` headers that remember the sign-in.
    pub(super) cookies: Vec<HeaderValue>,
}

/// The sign-in flow; without a provider its endpoints do not exist.
pub(crate) fn sign_in_flow(worker: &Worker) -> Result<&SignInFlow, ContextError> {
    worker.state.sign_ins.as_ref().ok_or(ContextError::NotFound)
}

// === impl SignInFlow ===

impl SignInFlow {
    /// Begins a sign-in.
    pub(super) fn begin(
        &self,
        wanted: LoginQuery,
        options: &AuthorizationOptions<'_>,
        asked: Option<String>,
        jar: RequestCookies<'_>,
    ) -> Result<BegunSignIn, LoginError> {
        let mut sign_in = SignIn::begin(wanted.return_to, wanted.then, &self.random, &self.clock);
        sign_in.asked = asked;
        let address = self
            .relying_party
            .authorization_url(&sign_in.state, &sign_in.nonce, &sign_in.verifier, options)
            .map_err(|_| LoginError::ProviderUnavailable)?;
        Ok(BegunSignIn {
            address,
            cookies: self.cookies.remember(&sign_in, jar),
            return_to: sign_in.return_to,
        })
    }

    /// The sign-in that a callback belongs to.
    pub(super) fn find(&self, state: &str, jar: RequestCookies<'_>) -> Result<SignIn, SignInError> {
        self.cookies.find(state, jar)
    }

    /// The page that a complete sign-in led to.
    pub(super) fn page_of_complete(
        &self,
        state: &str,
        jar: RequestCookies<'_>,
    ) -> Option<ReturnTo> {
        self.cookies.page_of_complete(state, jar)
    }

    /// The cookie of a sign-in that is complete.
    pub(super) fn complete_cookie(&self, sign_in: &SignIn) -> HeaderValue {
        self.cookies.complete(sign_in)
    }

    /// Redeems the code of a callback.
    pub(super) async fn finish(
        &self,
        callback: Callback,
        sign_in: &SignIn,
        rules: Arc<ReloadableState>,
    ) -> Result<Result<AuthenticatedUser, AuthenticationError>, RequestError> {
        let relying_party = Arc::clone(&self.relying_party);
        let (nonce, verifier) = (sign_in.nonce.clone(), sign_in.verifier.clone());
        let finishing = self.runtime.spawn(async move {
            relying_party
                .finish(&callback, &nonce, &verifier, &rules.policy)
                .await
        });
        finishing
            .await
            .map_err(|_| RequestError::Internal("the sign-in was abandoned"))
    }

    /// Keeps the ID token for the provider's logout page, if a cookie can hold it.
    pub(super) fn hint_cookie(
        &self,
        id_token: &SecretString,
        lifetime: Duration,
    ) -> Option<HeaderValue> {
        let sealed = self.hints.seal(id_token.expose_secret().as_bytes());
        (sealed.len() <= session::MAX_COOKIE_BYTES)
            .then(|| session::set_below(HINT_COOKIE, &sealed, lifetime, OWN_PREFIX))
    }

    /// The provider's logout page, if it has one.
    pub(in crate::endpoints) fn end_session_url(&self, jar: RequestCookies<'_>) -> Option<Url> {
        let hint = jar
            .value(HINT_COOKIE)
            .and_then(|sealed| self.hints.open(sealed))
            .and_then(|plain| String::from_utf8(plain.to_vec()).ok());
        self.relying_party.end_session_url(hint.as_deref(), None)
    }

    /// Checks a logout token (OpenID Connect Back-Channel Logout 1.0 § 2.6).
    pub(in crate::endpoints) async fn validate_logout_token(
        &self,
        token: SecretString,
    ) -> Result<Result<LogoutRequest, LogoutTokenError>, RequestError> {
        let relying_party = Arc::clone(&self.relying_party);
        let checking = self.runtime.spawn(async move {
            relying_party
                .validate_logout_token(token.expose_secret())
                .await
        });
        checking
            .await
            .map_err(|_| RequestError::Internal("the logout was abandoned"))
    }

    /// Accepts a logout token again whose logout is not kept.
    pub(in crate::endpoints) fn permit_logout_again(&self, request: &LogoutRequest) {
        self.relying_party.permit_logout_again(request);
    }
}
