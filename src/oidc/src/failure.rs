//! Every way in which signing in can end without an identity.

use http::StatusCode;

use super::http::FetchError;
use model::jws::TokenError;
use observe::metrics::SignInReason;

/// Why nobody was signed in. No variant carries a code, a token or an answer's body.
#[derive(Debug, thiserror::Error)]
pub enum SignInFailure {
    /// The provider has not been reached since this process began.
    #[error("the provider has not been reached yet")]
    NotReady,
    /// The answer names another issuer (RFC 9207): an attempt to mix providers up.
    #[error("the answer is of another issuer")]
    AnswerIssuer,
    /// The provider names itself in every answer, but not in this one (RFC 9207 § 2.4).
    #[error("the answer does not name its issuer")]
    AnswerWithoutIssuer,
    /// The person, or the provider on asking them, said no.
    #[error("the person did not agree")]
    Cancelled,
    /// A silent sign-in was asked for, and the provider would have to show a page.
    #[error("the provider has to ask the person")]
    InteractionNeeded,
    /// The provider calls its own trouble passing.
    #[error("the provider is in trouble")]
    ProviderTrouble,
    /// The provider refused our request as such.
    #[error("the provider refused the request")]
    RequestRefused,
    /// The token endpoint did not answer.
    #[error("the token endpoint failed")]
    TokenEndpoint(#[source] FetchError),
    /// The code was used before, is too old, or belongs to another sign-in.
    #[error("the code is no longer good")]
    CodeRefused,
    /// The provider does not take our id and secret.
    #[error("the provider does not take the client's id and secret")]
    ClientRefused,
    /// The token endpoint refused for another reason.
    #[error("the token endpoint refused")]
    TokenRefused,
    /// The token endpoint's answer is not what RFC 6749 § 5 says.
    #[error("the token endpoint's answer cannot be read")]
    TokenUnreadable,
    /// An access token, but no ID token: not an OpenID provider, or `openid` was not granted.
    #[error("the provider gave no id token")]
    NoIdToken,
    /// The ID token is not believed.
    #[error("the id token is refused")]
    IdToken(#[from] TokenError),
    /// `nonce` is missing or that of another sign-in.
    #[error("the id token belongs to another sign-in")]
    Nonce,
    /// `at_hash` is not that of the access token.
    #[error("the id token belongs to another access token")]
    AccessTokenHash,
    /// `sub` is missing.
    #[error("the id token names nobody")]
    NoSubject,
    /// `sub` is longer than OpenID Connect allows.
    #[error("the id token's subject is too long")]
    SubjectTooLong,
    /// The userinfo endpoint did not answer.
    #[error("the userinfo endpoint failed")]
    UserinfoEndpoint(#[source] FetchError),
    /// The userinfo endpoint refused.
    #[error("the userinfo endpoint answered {0}")]
    UserinfoStatus(StatusCode),
    /// The userinfo is no JSON object.
    #[error("the userinfo is not a JSON object")]
    UserinfoUnreadable,
    /// The userinfo is about somebody else, or does not say about whom.
    #[error("the userinfo is about somebody else")]
    UserinfoSubject,
    /// The claim that the configuration takes the id from is missing, or not fit to be one.
    #[error("the claim for the person's id is missing or unfit")]
    NoId,
}

/// What to tell the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// They called it off.
    Cancelled,
    /// Beginning anew may help.
    TryAgain,
    /// The provider is not there right now.
    Unavailable,
    /// The provider, or how it was set up, is at fault; only an operator can help.
    Provider,
}

// === impl SignInFailure ===

impl SignInFailure {
    /// The word for logs and metrics; of a fixed set, and stable.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotReady => "provider_not_ready",
            Self::AnswerIssuer => "answer_issuer_wrong",
            Self::AnswerWithoutIssuer => "answer_issuer_missing",
            Self::Cancelled => "cancelled",
            Self::InteractionNeeded => "interaction_needed",
            Self::ProviderTrouble => "provider_trouble",
            Self::RequestRefused => "request_refused",
            Self::TokenEndpoint(FetchError::Unreachable(_)) => "token_endpoint_unreachable",
            Self::TokenEndpoint(FetchError::Broken(_)) => "token_endpoint_broken_off",
            Self::TokenEndpoint(FetchError::Timeout) => "token_endpoint_timeout",
            Self::TokenEndpoint(FetchError::TooLarge) => "token_endpoint_too_large",
            Self::TokenEndpoint(FetchError::Redirected(_)) => "token_endpoint_redirected",
            Self::TokenEndpoint(FetchError::Overloaded(_)) => "token_endpoint_overloaded",
            Self::CodeRefused => "code_refused",
            Self::ClientRefused => "client_refused",
            Self::TokenRefused => "token_refused",
            Self::TokenUnreadable => "token_unreadable",
            Self::NoIdToken => "id_token_missing",
            Self::IdToken(error) => error.as_str(),
            Self::Nonce => "nonce_wrong",
            Self::AccessTokenHash => "access_token_hash_wrong",
            Self::NoSubject => "subject_missing",
            Self::SubjectTooLong => "subject_too_long",
            Self::UserinfoEndpoint(FetchError::Unreachable(_)) => "userinfo_unreachable",
            Self::UserinfoEndpoint(FetchError::Broken(_)) => "userinfo_broken_off",
            Self::UserinfoEndpoint(FetchError::Timeout) => "userinfo_timeout",
            Self::UserinfoEndpoint(FetchError::TooLarge) => "userinfo_too_large",
            Self::UserinfoEndpoint(FetchError::Redirected(_)) => "userinfo_redirected",
            Self::UserinfoEndpoint(FetchError::Overloaded(_)) => "userinfo_overloaded",
            Self::UserinfoStatus(_) => "userinfo_refused",
            Self::UserinfoUnreadable => "userinfo_unreadable",
            Self::UserinfoSubject => "userinfo_subject_wrong",
            Self::NoId => "id_claim_missing",
        }
    }

    /// The label of metrics, coarser than `as_str`.
    pub const fn reason(&self) -> SignInReason {
        match self {
            Self::NotReady => SignInReason::ProviderNotReady,
            Self::AnswerIssuer | Self::AnswerWithoutIssuer => SignInReason::WrongIssuer,
            Self::Cancelled => SignInReason::Cancelled,
            Self::InteractionNeeded => SignInReason::InteractionNeeded,
            Self::ProviderTrouble => SignInReason::ProviderTrouble,
            Self::RequestRefused => SignInReason::RequestRefused,
            Self::TokenEndpoint(_) => SignInReason::TokenEndpoint,
            Self::CodeRefused => SignInReason::CodeRefused,
            Self::ClientRefused => SignInReason::ClientRefused,
            Self::TokenRefused | Self::TokenUnreadable | Self::NoIdToken => {
                SignInReason::TokenRefused
            }
            Self::IdToken(_)
            | Self::Nonce
            | Self::AccessTokenHash
            | Self::NoSubject
            | Self::SubjectTooLong => SignInReason::IdToken,
            Self::UserinfoEndpoint(_)
            | Self::UserinfoStatus(_)
            | Self::UserinfoUnreadable
            | Self::UserinfoSubject => SignInReason::Userinfo,
            Self::NoId => SignInReason::IdClaim,
        }
    }

    /// Whose turn it is.
    pub const fn class(&self) -> FailureClass {
        match self {
            Self::Cancelled => FailureClass::Cancelled,
            Self::InteractionNeeded
            | Self::CodeRefused
            | Self::Nonce
            | Self::IdToken(TokenError::Expired) => FailureClass::TryAgain,
            Self::NotReady | Self::ProviderTrouble => FailureClass::Unavailable,
            Self::TokenEndpoint(error) | Self::UserinfoEndpoint(error) if error.is_passing() => {
                FailureClass::Unavailable
            }
            _ => FailureClass::Provider,
        }
    }

    /// By the `error` of the provider's answer (RFC 6749 § 4.1.2.1, OpenID Connect Core § 3.1.2.6).
    pub(super) fn of_answer(error: &str) -> Self {
        match error {
            "access_denied" | "consent_required" => Self::Cancelled,
            "login_required" | "interaction_required" | "account_selection_required" => {
                Self::InteractionNeeded
            }
            "server_error" | "temporarily_unavailable" => Self::ProviderTrouble,
            _ => Self::RequestRefused,
        }
    }

    /// By the `error` of the token endpoint's answer (RFC 6749 § 5.2).
    pub(super) fn of_token_error(error: &str) -> Self {
        match error {
            "invalid_grant" => Self::CodeRefused,
            "invalid_client" | "unauthorized_client" => Self::ClientRefused,
            _ => Self::TokenRefused,
        }
    }
}

// === impl FailureClass ===

impl FailureClass {
    /// The word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::TryAgain => "try_again",
            Self::Unavailable => "unavailable",
            Self::Provider => "provider",
        }
    }
}
