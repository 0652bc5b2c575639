//! What the API says when it does not do what it was asked for (RFC 9457).

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use model::room::RoomError;
use observe::metrics::ApiOutcome;

/// Why a request to the API is not answered as meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Nothing is at this path, or nobody has a key to the API.
    #[error("nothing is at this address")]
    NotFound,
    /// Not a method of this path.
    #[error("this method is not for this address")]
    Method {
        /// What may be used.
        allow: &'static str,
    },
    /// No `Authorization`, or several, or none with a key.
    #[error("the request shows no key")]
    NoKey,
    /// The key is nobody's.
    #[error("the key is not known")]
    UnknownKey,
    /// More requests than the key may make.
    #[error("the key made too many requests")]
    TooMany {
        /// Until the next.
        wait: Duration,
    },
    /// The body is not declared as JSON.
    #[error("the body has to be application/json")]
    MediaType,
    /// The body is too large.
    #[error("the body is too large")]
    TooLarge,
    /// The body did not come, or broke off.
    #[error("the body did not arrive")]
    BodyLost,
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    Syntax(String),
    /// A field is missing, unknown, or has a value that it cannot have.
    #[error("{detail}")]
    Invalid {
        /// Which, as a JSON Pointer (RFC 6901).
        pointer: Cow<'static, str>,
        /// What is wrong with it.
        detail: Cow<'static, str>,
    },
    /// The path names no room.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The room is not one of the integration's.
    #[error("the room is not one of this integration's")]
    ForeignRoom,
    /// The link is not one of the integration's. The answer is that of `NotFound`, so that it does
    /// not tell which links exist.
    #[error("nothing is at this address")]
    ForeignLink,
    /// No visible ASCII characters, or too many.
    #[error("the Idempotency-Key is not usable")]
    IdempotencyKey,
    /// The key came with another request before.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// Nobody can tell whether the key was used before.
    #[error("what was answered before cannot be looked up now")]
    StoreAway,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `about:blank`: `status` and `code` say it all.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The status in words.
    pub title: Cow<'static, str>,
    /// The status of the answer.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// A word for programs.
    pub code: Cow<'static, str>,
    /// A sentence for people.
    pub detail: String,
    /// The field it is about, as a JSON Pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub pointer: Option<Cow<'static, str>>,
    /// The request's name in the gateway's logs.
    pub request: String,
}

// === impl ApiError ===

impl ApiError {
    /// Something is wrong with the field.
    pub(super) fn invalid(pointer: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }

    /// The status of the answer.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::ForeignLink => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoKey | Self::UnknownKey => StatusCode::UNAUTHORIZED,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyLost => StatusCode::REQUEST_TIMEOUT,
            Self::Syntax(_) | Self::IdempotencyKey => StatusCode::BAD_REQUEST,
            Self::Invalid { .. } | Self::Room(_) | Self::KeyReused => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::ForeignRoom => StatusCode::FORBIDDEN,
            Self::StoreAway => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The word for programs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotFound | Self::ForeignLink => "not_found",
            Self::Method { .. } => "method_not_allowed",
            Self::NoKey => "key_missing",
            Self::UnknownKey => "key_unknown",
            Self::TooMany { .. } => "too_many_requests",
            Self::MediaType => "not_json_type",
            Self::TooLarge => "body_too_large",
            Self::BodyLost => "body_lost",
            Self::Syntax(_) => "not_json",
            Self::Invalid { .. } => "field_invalid",
            Self::Room(_) => "room_invalid",
            Self::ForeignRoom => "room_foreign",
            Self::IdempotencyKey => "idempotency_key_invalid",
            Self::KeyReused => "idempotency_key_reused",
            Self::StoreAway => "store_unavailable",
        }
    }

    /// The label of metrics and the audit line.
    pub const fn outcome(&self) -> ApiOutcome {
        match self {
            Self::NoKey => ApiOutcome::KeyMissing,
            Self::UnknownKey => ApiOutcome::KeyUnknown,
            Self::ForeignRoom | Self::ForeignLink => ApiOutcome::Foreign,
            Self::TooMany { .. } => ApiOutcome::TooMany,
            Self::StoreAway => ApiOutcome::Unavailable,
            _ => ApiOutcome::Invalid,
        }
    }

    /// What to say of it.
    pub fn problem(&self, request: String) -> Problem {
        let pointer = match self {
            Self::Invalid { pointer, .. } => Some(pointer.clone()),
            _ => None,
        };
        Problem {
            pointer,
            ..Problem::new(self.status(), self.as_str(), self.to_string(), request)
        }
    }
}

// === impl Problem ===

impl Problem {
    /// What to say of a request that ended with this status.
    pub fn new(status: StatusCode, code: &'static str, detail: String, request: String) -> Self {
        Self {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            code: code.into(),
            detail,
            pointer: None,
            request,
        }
    }

    /// The body of the answer.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers always serialize")
    }
}

/// The media type of problems.
pub const PROBLEM_JSON: &str = "application/problem+json";
