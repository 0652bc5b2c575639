//! Refresh tokens (OpenID Connect Core 1.0 § 12): whether the provider still confirms a session,
//! and with which claims.

use model::{
    identity::VerifiedIdentity,
    jws::{ClaimsSet, text},
    policy::Policy,
};
use secrecy::SecretString;

use crate::{
    AuthenticationError, RelyingParty, id_token::ExpectedNonce, identification::SourceOutage,
};

/// What the provider gave at the sign-in, to be asked again.
#[derive(Clone, Copy, Debug)]
pub struct RefreshGrant<'g> {
    /// The refresh token. Many providers accept each one once.
    pub token: &'g SecretString,
    /// The `sub` of the sign-in, in the form of the [scope](RelyingParty::scope).
    pub subject: &'g str,
    /// The nonce of the sign-in.
    pub nonce: &'g str,
}

/// The provider still confirms the session.
#[derive(Debug)]
pub struct RefreshedUser {
    /// The identity by the claims of now; `None` if the provider sent no ID token. An error leaves
    /// only the identity open: the grant was accepted, and its successor must not get lost.
    pub identity: Result<Option<VerifiedIdentity>, AuthenticationError>,
    /// The next refresh token; `None` if the same stays valid.
    pub refresh_token: Option<SecretString>,
}

/// Why a session was not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The provider no longer confirms the session, which ends.
    #[error("the provider ended the session: {0}")]
    Ended(SessionEnd),
    /// The provider did not answer that question: no reason to end the session.
    #[error("the provider could not be asked")]
    Unanswered(#[source] AuthenticationError),
}

/// Why the provider no longer confirms a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionEnd {
    /// `invalid_grant`: the account is disabled, the session over, or the token was used twice.
    #[error("the refresh token is no longer accepted")]
    GrantRefused,
    /// The answer is about another person.
    #[error("the answer has another subject")]
    OtherSubject,
    /// The provider does not sign the person in without a page: the session there is over, or the account disabled.
    #[error("the person has to sign in again")]
    SignInRequired,
}

// === impl RelyingParty ===

impl RelyingParty {
    /// Redeems a refresh token.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the token may be redeemed already, and its successor is lost.
    pub async fn refresh(
        &self,
        grant: RefreshGrant<'_>,
        policy: &Policy,
    ) -> Result<RefreshedUser, RefreshError> {
        let provider = self
            .provider
            .current()
            .ok_or(RefreshError::Unanswered(AuthenticationError::NotReady))?;
        let fetcher = &self.provider.fetcher;
        let tokens = provider.flow.refresh(grant.token, fetcher).await;
        let tokens = tokens.map_err(|error| match error {
            AuthenticationError::CodeRefused => RefreshError::Ended(SessionEnd::GrantRefused),
            other => RefreshError::Unanswered(other),
        })?;
        let identity = match &tokens.id {
            None => Ok(None),
            Some(id_token) => {
                let nonce = ExpectedNonce::IfPresent(grant.nonce);
                let claims = self.verify_id_token(&provider, id_token, &tokens.access, nonce);
                match claims.await {
                    Ok(claims) if !self.is_subject(&claims, grant.subject) => {
                        return Err(RefreshError::Ended(SessionEnd::OtherSubject));
                    }
                    Ok(claims) => self
                        .identify(
                            &provider,
                            &claims,
                            &tokens.access,
                            SourceOutage::Refused,
                            policy,
                        )
                        .await
                        .map(Some),
                    Err(error) => Err(error),
                }
            }
        };
        Ok(RefreshedUser {
            identity,
            refresh_token: tokens.refresh,
        })
    }

    /// Whether claims are about the person with this subject.
    fn is_subject(&self, claims: &ClaimsSet, subject: &str) -> bool {
        let named = text(claims, "sub").and_then(|sub| self.scope().qualify(sub));
        named.as_deref() == Some(subject)
    }
}

// === impl SessionEnd ===

impl SessionEnd {
    /// Value for logs; stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GrantRefused => "grant_refused",
            Self::OtherSubject => "other_subject",
            Self::SignInRequired => "sign_in_required",
        }
    }
}
