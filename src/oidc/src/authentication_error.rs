//! The ways in which a sign-in can fail.

use http::StatusCode;
use model::jws::TokenError;
use observe::metrics::SignInReason;

use crate::{FetchError, GroupLookupError};

/// Why a sign-in failed. No variant carries a code, a token or a response body.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// No discovery has succeeded since startup.
    #[error("the provider has not been reached yet")]
    NotReady,
    /// `iss` of the authorization response is another issuer (RFC 9207): a mix-up attack.
    #[error("the authorization response is of another issuer")]
    ResponseIssuer,
    /// `iss` is missing, although the provider announces it in every response (RFC 9207 § 2.4).
    #[error("the authorization response does not name its issuer")]
    ResponseWithoutIssuer,
    /// The response came to the address of another provider than the one that was asked: a mix-up
    /// attack (RFC 9700 § 4.4).
    #[error("the authorization response came to the address of another provider")]
    OtherProvider,
    /// The user or the provider declined.
    #[error("the user declined")]
    Cancelled,
    /// The provider needs to show a page, but `prompt=none` was requested.
    #[error("the provider needs the user's interaction")]
    InteractionNeeded,
    /// `server_error` or `temporarily_unavailable`.
    #[error("the provider reported a temporary error")]
    ProviderTrouble,
    /// Another `error` of the authorization endpoint, such as `invalid_request`.
    #[error("the provider refused the authorization request")]
    RequestRefused,
    /// The authorization request could not be pushed to the provider (RFC 9126).
    #[error("the authorization request could not be pushed")]
    PushEndpoint(#[source] FetchError),
    /// The request to the token endpoint failed.
    #[error("the request to the token endpoint failed")]
    TokenEndpoint(#[source] FetchError),
    /// `invalid_grant`: the code was used before, has expired, or belongs to another sign-in.
    #[error("the code is no longer valid")]
    CodeRefused,
    /// `invalid_client` or `unauthorized_client`: wrong client id or secret.
    #[error("the provider refused the authentication of the client")]
    ClientRefused,
    /// Another `error` of the token endpoint.
    #[error("the token endpoint refused the request")]
    TokenRefused,
    /// The token response does not follow RFC 6749 § 5.
    #[error("the token response is malformed")]
    TokenUnreadable,
    /// An access token without an ID token: OAuth without OpenID Connect, or `openid` was not
    /// granted.
    #[error("the token response has no id token")]
    NoIdToken,
    /// The ID token failed a check.
    #[error("the id token is refused")]
    IdToken(#[from] TokenError),
    /// `nonce` is missing or of another sign-in.
    #[error("the id token belongs to another sign-in")]
    Nonce,
    /// `at_hash` does not match the access token.
    #[error("the id token belongs to another access token")]
    AccessTokenHash,
    /// `sub` is missing.
    #[error("the id token has no subject")]
    NoSubject,
    /// `sub` is a number or of another kind (OpenID Connect Core 1.0 § 2 demands a text).
    #[error("the id token's sub is not a text: the provider has to send it as a JSON string")]
    SubjectNotText,
    /// `sub` exceeds 255 characters.
    #[error("the id token's subject is too long")]
    SubjectTooLong,
    /// The request to the userinfo endpoint failed.
    #[error("the request to the userinfo endpoint failed")]
    UserinfoEndpoint(#[source] FetchError),
    /// Another status than 200.
    #[error("the userinfo endpoint answered {0}")]
    UserinfoStatus(StatusCode),
    /// Not a JSON object.
    #[error("the userinfo is not a JSON object")]
    UserinfoUnreadable,
    /// A signed response failed a check.
    #[error(
        "the signed userinfo is refused; signing and encryption of the userinfo can be turned off \
         for this client at the provider"
    )]
    UserinfoToken(#[source] TokenError),
    /// The groups of a known person could not be looked up again.
    #[error("the groups could not be looked up")]
    GroupLookup(#[source] GroupLookupError),
    /// `sub` is missing or differs from the ID token's.
    #[error("the userinfo has another subject than the id token")]
    UserinfoSubject,
    /// The claim configured as user id is missing, empty, too long or reserved.
    #[error("the claim of the user id is missing or invalid")]
    NoId,
    /// The user id has the form of another provider's.
    #[error("the user id begins like those of another provider of the configuration")]
    ForeignSubject,
}

/// What a user can do about a failed sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthenticationErrorClass {
    /// Nothing: the user declined.
    Cancelled,
    /// Start another sign-in.
    TryAgain,
    /// Wait: the provider is temporarily unavailable.
    Unavailable,
    /// Ask the operator: the provider or its configuration is wrong.
    Provider,
}

// === impl AuthenticationError ===

impl AuthenticationError {
    /// Whether the provider may have redeemed the code or the refresh token although the gateway received no response.
    /// A provider that rotates refresh tokens refuses such a token later although the session is valid.
    pub fn leaves_outcome_open(&self) -> bool {
        match self {
            Self::TokenEndpoint(error) => error.leaves_outcome_open(),
            Self::TokenUnreadable => true,
            _ => false,
        }
    }

    /// Value for logs and metrics; one of a fixed set, and stable.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotReady => "provider_not_ready",
            Self::ResponseIssuer => "answer_issuer_wrong",
            Self::ResponseWithoutIssuer => "answer_issuer_missing",
            Self::OtherProvider => "answer_at_other_provider",
            Self::Cancelled => "cancelled",
            Self::InteractionNeeded => "interaction_needed",
            Self::ProviderTrouble => "provider_trouble",
            Self::RequestRefused => "request_refused",
            Self::PushEndpoint(_) => "push_endpoint_failed",
            Self::TokenEndpoint(FetchError::Unreachable(_) | FetchError::Certificate(_)) => {
                "token_endpoint_unreachable"
            }
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
            Self::SubjectNotText => "subject_not_text",
            Self::SubjectTooLong => "subject_too_long",
            Self::UserinfoEndpoint(FetchError::Unreachable(_) | FetchError::Certificate(_)) => {
                "userinfo_unreachable"
            }
            Self::UserinfoEndpoint(FetchError::Broken(_)) => "userinfo_broken_off",
            Self::UserinfoEndpoint(FetchError::Timeout) => "userinfo_timeout",
            Self::UserinfoEndpoint(FetchError::TooLarge) => "userinfo_too_large",
            Self::UserinfoEndpoint(FetchError::Redirected(_)) => "userinfo_redirected",
            Self::UserinfoEndpoint(FetchError::Overloaded(_)) => "userinfo_overloaded",
            Self::UserinfoStatus(_) => "userinfo_refused",
            Self::UserinfoUnreadable => "userinfo_unreadable",
            Self::UserinfoToken(_) => "userinfo_token_refused",
            Self::UserinfoSubject => "userinfo_subject_wrong",
            Self::GroupLookup(_) => "group_lookup_failed",
            Self::NoId => "id_claim_missing",
            Self::ForeignSubject => "subject_of_other_provider",
        }
    }

    /// The label of metrics, coarser than [`Self::as_str`].
    pub const fn reason(&self) -> SignInReason {
        match self {
            Self::NotReady => SignInReason::ProviderNotReady,
            Self::ResponseIssuer | Self::ResponseWithoutIssuer | Self::OtherProvider => {
                SignInReason::WrongIssuer
            }
            Self::Cancelled => SignInReason::Cancelled,
            Self::InteractionNeeded => SignInReason::InteractionNeeded,
            Self::ProviderTrouble | Self::PushEndpoint(_) | Self::GroupLookup(_) => {
                SignInReason::ProviderTrouble
            }
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
            | Self::SubjectNotText
            | Self::SubjectTooLong => SignInReason::IdToken,
            Self::UserinfoEndpoint(_)
            | Self::UserinfoStatus(_)
            | Self::UserinfoUnreadable
            | Self::UserinfoToken(_)
            | Self::UserinfoSubject => SignInReason::Userinfo,
            Self::NoId | Self::ForeignSubject => SignInReason::IdClaim,
        }
    }

    /// The action that the user can take.
    pub const fn class(&self) -> AuthenticationErrorClass {
        match self {
            Self::Cancelled => AuthenticationErrorClass::Cancelled,
            Self::InteractionNeeded
            | Self::CodeRefused
            | Self::Nonce
            | Self::IdToken(TokenError::Expired) => AuthenticationErrorClass::TryAgain,
            Self::NotReady | Self::ProviderTrouble | Self::GroupLookup(_) => {
                AuthenticationErrorClass::Unavailable
            }
            Self::PushEndpoint(error)
            | Self::TokenEndpoint(error)
            | Self::UserinfoEndpoint(error)
                if error.is_transient() =>
            {
                AuthenticationErrorClass::Unavailable
            }
            _ => AuthenticationErrorClass::Provider,
        }
    }

    /// Whether the userinfo endpoint is not reached or overloaded: a fault that has no relation to the person.
    pub(crate) const fn is_userinfo_outage(&self) -> bool {
        matches!(self, Self::UserinfoEndpoint(error) if error.is_transient())
    }

    /// Classifies `error` of the authorization response (RFC 6749 § 4.1.2.1, OpenID Connect Core
    /// 1.0 § 3.1.2.6).
    pub(crate) fn from_authorization_error(error: &str) -> Self {
        match error {
            "access_denied" | "consent_required" => Self::Cancelled,
            "login_required" | "interaction_required" | "account_selection_required" => {
                Self::InteractionNeeded
            }
            "server_error" | "temporarily_unavailable" => Self::ProviderTrouble,
            _ => Self::RequestRefused,
        }
    }

    /// Classifies `error` of the response to a pushed request (RFC 9126 § 2.3).
    pub(crate) fn from_push_error(error: &str) -> Self {
        match error {
            "invalid_client" | "unauthorized_client" => Self::ClientRefused,
            _ => Self::RequestRefused,
        }
    }

    /// Classifies `error` of the token response (RFC 6749 § 5.2).
    pub(crate) fn from_token_error(error: &str) -> Self {
        match error {
            "invalid_grant" => Self::CodeRefused,
            "invalid_client" | "unauthorized_client" => Self::ClientRefused,
            _ => Self::TokenRefused,
        }
    }
}
