//! Errors of the API, and the problem details in which clients get them (RFC 9457).

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use model::{integration::Integration, room::RoomError};
use observe::metrics::ApiOutcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A request to the API failed; the message is for the developer of the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Unknown path or link, or the configuration has no API keys.
    #[error("nothing is at this path")]
    NotFound,
    /// The path exists for other methods.
    #[error("the method is not allowed for this path")]
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: &'static str,
    },
    /// No `Authorization: Bearer`, or more than one.
    #[error("the request has no key")]
    KeyMissing,
    /// The key is not that of any integration.
    #[error("the key is not known")]
    KeyUnknown,
    /// The rate limit of the key is reached.
    #[error("the key made too many requests")]
    TooManyRequests {
        /// Time until the next request is allowed.
        wait: Duration,
    },
    /// `Content-Type` is not JSON.
    #[error("the body has to be application/json")]
    UnsupportedMediaType,
    /// The body exceeds [`MAX_BODY_BYTES`](super::MAX_BODY_BYTES).
    #[error("the body is too large")]
    BodyTooLarge,
    /// The body did not arrive in time, or the client closed the connection.
    #[error("the body did not arrive")]
    BodyIncomplete,
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    Syntax(String),
    /// A field is missing, unknown, or has an invalid value.
    #[error("{detail}")]
    Invalid {
        /// The field, as a JSON Pointer (RFC 6901).
        pointer: Cow<'static, str>,
        /// The fault of its value.
        detail: Cow<'static, str>,
    },
    /// The path names no room.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The integration has no rule for the room.
    #[error("the room is not one of this integration, which has {rooms}")]
    RoomNotOwned {
        /// Its rooms in words.
        rooms: String,
    },
    /// The link is not one of the integration's. The answer is that of `NotFound`, so that it does
    /// not disclose which links exist.
    #[error("nothing is at this address")]
    LinkNotOwned,
    /// The key has other characters than visible ASCII, or is too long.
    #[error("the Idempotency-Key is not valid")]
    IdempotencyKey,
    /// An earlier request with the key had another body.
    #[error("the Idempotency-Key was used for another request")]
    IdempotencyKeyReused,
    /// Earlier answers are unknown, because the store is unreachable.
    #[error("the answers to earlier requests are not available now")]
    StoreUnavailable,
    /// A link is revoked, and neither the disk nor the store has it.
    #[error("the link is revoked now, but a restart may undo it; send the request again")]
    RevocationNotKept,
}

/// What went wrong (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemDetails {
    /// Always `about:blank`: `status` and `code` identify the problem.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The reason phrase of the status.
    pub title: Cow<'static, str>,
    /// The status of the response.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// A stable identifier for programs: `not_found`, `method_not_allowed`, `key_missing`,
    /// `key_unknown`, `too_many_requests`, `not_json_type`, `body_too_large`, `body_lost`, `not_json`,
    /// `field_invalid`, `room_invalid`, `room_foreign`, `idempotency_key_invalid`,
    /// `idempotency_key_reused`, `store_unavailable` or `refused`.
    pub code: Cow<'static, str>,
    /// A description for developers.
    pub detail: String,
    /// The invalid field, as a JSON Pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub pointer: Option<Cow<'static, str>>,
    /// The request id in the logs of the gateway.
    pub request: String,
}

// === impl ApiError ===

impl ApiError {
    pub(crate) fn invalid(pointer: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }

    pub(crate) fn room_not_owned(integration: &Integration) -> Self {
        Self::RoomNotOwned {
            rooms: integration.describe_rooms(),
        }
    }

    /// The status of the response.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::LinkNotOwned => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::KeyMissing | Self::KeyUnknown => StatusCode::UNAUTHORIZED,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyIncomplete => StatusCode::REQUEST_TIMEOUT,
            Self::Syntax(_) | Self::IdempotencyKey => StatusCode::BAD_REQUEST,
            Self::Invalid { .. } | Self::Room(_) | Self::IdempotencyKeyReused => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::RoomNotOwned { .. } => StatusCode::FORBIDDEN,
            Self::StoreUnavailable | Self::RevocationNotKept => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The `code` of the problem details.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotFound | Self::LinkNotOwned => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::KeyMissing => "key_missing",
            Self::KeyUnknown => "key_unknown",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::UnsupportedMediaType => "not_json_type",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyIncomplete => "body_lost",
            Self::Syntax(_) => "not_json",
            Self::Invalid { .. } => "field_invalid",
            Self::Room(_) => "room_invalid",
            Self::RoomNotOwned { .. } => "room_foreign",
            Self::IdempotencyKey => "idempotency_key_invalid",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::StoreUnavailable | Self::RevocationNotKept => "store_unavailable",
        }
    }

    /// The label of metrics and the audit line.
    pub const fn outcome(&self) -> ApiOutcome {
        match self {
            Self::KeyMissing => ApiOutcome::KeyMissing,
            Self::KeyUnknown => ApiOutcome::KeyUnknown,
            Self::RoomNotOwned { .. } | Self::LinkNotOwned => ApiOutcome::Foreign,
            Self::TooManyRequests { .. } => ApiOutcome::TooMany,
            Self::StoreUnavailable | Self::RevocationNotKept => ApiOutcome::Unavailable,
            _ => ApiOutcome::Invalid,
        }
    }

    /// Describes the error; `request` is the request id.
    pub fn problem(&self, request: String) -> ProblemDetails {
        let pointer = match self {
            Self::Invalid { pointer, .. } => Some(pointer.clone()),
            _ => None,
        };
        ProblemDetails {
            pointer,
            ..ProblemDetails::new(self.status(), self.as_str(), self.to_string(), request)
        }
    }
}

// === impl ProblemDetails ===

impl ProblemDetails {
    /// Describes an error that concerns no field; `request` is the request id.
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

    /// Serializes the body of the response.
    pub fn to_json(&self) -> String {
        // Infallible: a struct of strings and numbers always serializes.
        serde_json::to_string(self).expect("strings and numbers serialize")
    }
}

/// The media type of problem details.
pub const PROBLEM_JSON: &str = "application/problem+json";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The source is the list: each arm of `as_str` has its code in quotes.
    #[test]
    fn every_code_is_documented() {
        let source = include_str!("problem.rs");
        let (_, codes) = source.split_once("pub const fn as_str").unwrap();
        let (codes, _) = codes.split_once("/// The label").unwrap();
        let schema = serde_json::to_value(schemars::schema_for!(ProblemDetails)).unwrap();
        let documented = schema["properties"]["code"]["description"]
            .as_str()
            .unwrap();
        let codes: Vec<_> = codes.split('"').skip(1).step_by(2).collect();
        assert!(codes.len() > 10, "{codes:?}");
        for code in codes {
            assert!(documented.contains(&format!("`{code}`")), "{code}");
        }
    }

    #[test]
    fn problem_details_have_the_members_of_the_rfc() {
        let error = ApiError::invalid("/slug", "too long");
        let body: Value = serde_json::from_str(&error.problem("7-1".to_owned()).to_json()).unwrap();
        let expected = json!({
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": 422,
            "code": "field_invalid",
            "detail": "too long",
            "pointer": "/slug",
            "request": "7-1",
        });
        assert_eq!(body, expected);
    }
}
