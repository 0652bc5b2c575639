//! What a request to the API asks for, by method and path; and how its body is read.

use http::{HeaderMap, HeaderValue, Method, header};
use serde::de::DeserializeOwned;

use super::ApiError;
use model::room::RoomKey;
use observe::metrics::ApiOperation;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `POST meetings`.
    CreateMeeting,
    /// `POST links`.
    CreateLink,
    /// `DELETE links/{id}`.
    RevokeLink(String),
    /// `GET rooms/{room}`, `GET rooms/{tenant}/{room}`.
    Room(RoomKey),
    /// `GET openapi.json`.
    Document,
}

/// A name that the client gives to a request, so that it can send it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

// === impl Call ===

impl Call {
    /// Reads method and path; the path is the part below `api/v1/`, still percent-encoded.
    pub fn of(method: &Method, path: &str) -> Result<Self, ApiError> {
        let segments: Vec<&str> = path.split('/').collect();
        let (allow, call) = match *segments.as_slice() {
            ["meetings"] => ("POST", Ok(Self::CreateMeeting)),
            ["links"] => ("POST", Ok(Self::CreateLink)),
            ["links", id] if !id.is_empty() => ("DELETE", Ok(Self::RevokeLink(id.to_owned()))),
            ["rooms", room] if !room.is_empty() => (READING, Self::of_room(None, room)),
            ["rooms", tenant, room] if !room.is_empty() => {
                (READING, Self::of_room(Some(tenant), room))
            }
            ["openapi.json"] => (READING, Ok(Self::Document)),
            _ => return Err(ApiError::NotFound),
        };
        if allow.split(", ").any(|allowed| method == allowed) {
            call
        } else {
            Err(ApiError::Method { allow })
        }
    }

    /// The label of metrics and the audit line.
    pub const fn operation(&self) -> ApiOperation {
        match self {
            Self::CreateMeeting => ApiOperation::CreateMeeting,
            Self::CreateLink => ApiOperation::CreateLink,
            Self::RevokeLink(_) => ApiOperation::RevokeLink,
            Self::Room(_) => ApiOperation::Room,
            Self::Document => ApiOperation::Document,
        }
    }

    fn of_room(tenant: Option<&str>, room: &str) -> Result<Self, ApiError> {
        Ok(Self::Room(RoomKey::from_page(tenant, room)?.key))
    }
}

// === impl IdempotencyKey ===

impl IdempotencyKey {
    /// The key of a request, if it has one.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let (value, None) = (values.next(), values.next()) else {
            return Err(ApiError::IdempotencyKey);
        };
        let usable = |value: &HeaderValue| {
            let text = value.to_str().ok()?;
            let fits = (1..=MAX_KEY_BYTES).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic());
            fits.then(|| Self(text.to_owned()))
        };
        value
            .map(|value| usable(value).ok_or(ApiError::IdempotencyKey))
            .transpose()
    }

    /// Its text: anything visible.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the body is declared as JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Reads a body; what is wrong with it is said of the first field where something is.
pub fn read_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        if inner.is_data() {
            // The place within the text says less than the path.
            let detail = inner.to_string();
            let detail = detail
                .rsplit_once(" at line ")
                .map_or(&*detail, |(said, _)| said);
            ApiError::Invalid {
                pointer: pointer.into(),
                detail: detail.to_owned().into(),
            }
        } else {
            ApiError::Syntax(inner.to_string())
        }
    })?;
    json.end()
        .map_err(|error| ApiError::Syntax(error.to_string()))?;
    Ok(value)
}

/// A path as JSON Pointer (RFC 6901 § 3).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escaped(key)),
            Segment::Enum { variant } => format!("/{}", escaped(variant)),
            Segment::Unknown => String::new(),
        })
        .collect()
}

const READING: &str = "GET, HEAD";

/// draft-ietf-httpapi-idempotency-key-header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A UUID has 36.
const MAX_KEY_BYTES: usize = 255;
