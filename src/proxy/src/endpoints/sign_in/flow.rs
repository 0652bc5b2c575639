//! The authorization code flow: its state in cookies, and the relying parties' requests to their
//! providers on the control runtime.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use model::{
    clock::Clock,
    provider::ProviderId,
    random::Random,
    route::OWN_PREFIX,
    seal::Sealer,
    session::{
        self, HINT_COOKIE, RequestCookies, ReturnTo, Session, SignIn, SignInCookies, SignInError,
    },
};
use oidc::{
    AuthenticatedUser, AuthenticationError, AuthorizationOptions, Callback, LogoutRequest,
    LogoutTokenError, RelyingParties, RelyingParty,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;
use url::Url;

use super::{
    LoginError, logout_hint::LogoutHint, logout_tokens::AcceptedLogoutTokens, query::LoginQuery,
    redeemed_states::RedeemedStates,
};
use crate::{
    ReloadableState, RequestError, Worker, provider_sessions::ProviderSessions,
    request_context::ContextError,
};

/// Sign-ins and sign-outs at the providers.
pub(crate) struct SignInFlow {
    pub(crate) parties: RelyingParties,
    pub(crate) cookies: SignInCookies,
    /// Seals ID tokens, which are hints for the provider's logout page.
    pub(crate) hints: Sealer,
    /// The sign-ins whose code was redeemed.
    pub(crate) redeemed: RedeemedStates,
    /// The logout tokens that were accepted.
    pub(crate) logout_tokens: AcceptedLogoutTokens,
    /// The sessions at the provider that sessions here began from.
    pub(crate) provider_sessions: ProviderSessions,
    /// Where the providers are asked.
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
    /// The relying party of a provider's addresses; those of any other do not exist.
    pub(in crate::endpoints) fn party_at(
        &self,
        provider: Option<&ProviderId>,
    ) -> Result<&Arc<RelyingParty>, ContextError> {
        self.parties
            .of_scope(provider)
            .ok_or(ContextError::NotFound)
    }

    /// The id of a session's provider, if there are several.
    pub(in crate::endpoints) fn provider_of(&self, session: &Session) -> Option<&str> {
        let party = self
            .parties
            .of_scope(session.identity().provider.as_ref())?;
        party.provider_id()
    }

    /// The relying party of an issuer, compared byte by byte; a login at any other does not exist.
    pub(super) fn party_of_issuer(&self, issuer: &str) -> Result<&Arc<RelyingParty>, ContextError> {
        let party = self.parties.iter().find(|party| party.issuer() == issuer);
        party.ok_or(ContextError::NotFound)
    }

    /// Begins a sign-in at a provider.
    pub(super) async fn begin(
        &self,
        party: &Arc<RelyingParty>,
        wanted: LoginQuery,
        options: &AuthorizationOptions<'_>,
        asked: Option<String>,
        jar: RequestCookies<'_>,
    ) -> Result<Result<BegunSignIn, AuthenticationError>, RequestError> {
        let mut sign_in = SignIn::begin(wanted.return_to, wanted.then, &self.random, &self.clock);
        sign_in.asked = asked;
        sign_in.provider = party.scope().provider().cloned();
        sign_in.renews = wanted.renews;
        let address = party
            .authorization_url(&sign_in.state, &sign_in.nonce, &sign_in.verifier, options)
            .map_err(|_| LoginError::ProviderUnavailable)?;
        let pushed = if party.pushes_requests() {
            let party = Arc::clone(party);
            let pushing = self.runtime.spawn(async move { party.push(address).await });
            pushing
                .await
                .map_err(|_| RequestError::Internal("the sign-in was abandoned"))?
        } else {
            Ok(address)
        };
        Ok(pushed.map(|address| BegunSignIn {
            address,
            cookies: self.cookies.remember(&sign_in, jar),
            return_to: sign_in.return_to,
        }))
    }

    /// The sign-in that a callback belongs to.
    pub(super) fn find(&self, state: &str, jar: RequestCookies<'_>) -> Result<SignIn, SignInError> {
        self.cookies.find(state, jar)
    }

    /// The page that a sign-in leads to, also if it is complete or took too long.
    pub(super) fn page(&self, state: &str, jar: RequestCookies<'_>) -> Option<ReturnTo> {
        self.cookies.page(state, jar)
    }

    /// The cookie of a sign-in that is complete.
    pub(super) fn complete_cookie(&self, sign_in: &SignIn) -> HeaderValue {
        self.cookies.complete(sign_in)
    }

    /// Redeems the code of a callback at the provider that the browser was sent to, and at no other.
    pub(super) async fn finish(
        &self,
        party: &Arc<RelyingParty>,
        callback: Callback,
        sign_in: &SignIn,
        rules: Arc<ReloadableState>,
    ) -> Result<Result<AuthenticatedUser, AuthenticationError>, RequestError> {
        if sign_in.provider.as_ref() != party.scope().provider() {
            return Ok(Err(AuthenticationError::OtherProvider));
        }
        if !self.redeemed.redeem(&sign_in.state) {
            // As the provider would answer: it accepts a code once.
            return Ok(Err(AuthenticationError::CodeRefused));
        }
        let relying_party = Arc::clone(party);
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
        party: &RelyingParty,
        id_token: &SecretString,
        lifetime: Duration,
    ) -> Option<HeaderValue> {
        let hint = LogoutHint {
            provider: party.scope().provider().cloned(),
            id_token: id_token.expose_secret().to_owned().into(),
        };
        let sealed = self.hints.seal(hint.to_text().expose_secret().as_bytes());
        (sealed.len() <= session::MAX_COOKIE_BYTES)
            .then(|| session::set_below(HINT_COOKIE, &sealed, lifetime, OWN_PREFIX))
    }

    /// The ID token of the last sign-in, which is for its provider only.
    pub(super) fn hint(&self, jar: RequestCookies<'_>) -> Option<LogoutHint> {
        let plain = self.hints.open(jar.value(HINT_COOKIE)?)?;
        LogoutHint::parse(&plain)
    }

    /// Whether the browser has signed in, and not out since.
    pub(in crate::endpoints) fn has_hint(&self, jar: RequestCookies<'_>) -> bool {
        self.hint(jar).is_some()
    }

    /// The logout page of the provider that a session came from, if it has one. Without a session it
    /// is the provider of the hint, or the only one.
    pub(in crate::endpoints) fn end_session_url(
        &self,
        session: Option<&Session>,
        jar: RequestCookies<'_>,
    ) -> Option<Url> {
        let hint = self.hint(jar);
        let party = match (session, &hint) {
            (Some(session), _) => self.parties.of_scope(session.identity().provider.as_ref()),
            (None, Some(hint)) => self.parties.of_scope(hint.provider.as_ref()),
            (None, None) => self.parties.only(),
        }?;
        let id_token = hint.as_ref().and_then(|hint| hint.for_party(party));
        party.end_session_url(id_token, None)
    }

    /// Checks a logout token (OpenID Connect Back-Channel Logout 1.0 § 2.6).
    pub(in crate::endpoints) async fn validate_logout_token(
        &self,
        party: &Arc<RelyingParty>,
        token: SecretString,
    ) -> Result<Result<LogoutRequest, LogoutTokenError>, RequestError> {
        let relying_party = Arc::clone(party);
        let checking = self.runtime.spawn(async move {
            relying_party
                .validate_logout_token(token.expose_secret())
                .await
        });
        checking
            .await
            .map_err(|_| RequestError::Internal("the logout was abandoned"))
    }
}
