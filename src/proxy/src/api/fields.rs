//! Types and checks of fields that several bodies share.

use std::borrow::Cow;

use cookie::time::{OffsetDateTime, format_description::well_known::Rfc3339};
use model::{
    clock::Timestamp,
    identity::{is_email, is_plain},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{ApiError, link::MAX_LIFETIME};

/// A point in time as RFC 3339 text; answers are in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiTime(pub Timestamp);

// === impl ApiTime ===

impl ApiTime {
    fn parse(text: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        // A time before 1970 is in the past anyway.
        let seconds = u64::try_from(time.unix_timestamp()).unwrap_or_default();
        Some(Self(Timestamp::from_unix(seconds)))
    }

    /// Formats the time in UTC.
    pub fn to_rfc3339(self) -> String {
        let seconds = self.0.as_unix().min(LAST_SECOND);
        i64::try_from(seconds)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|time| time.format(&Rfc3339).ok())
            // Infallible: years up to 9999 have a form.
            .expect("years of four digits have a form")
    }
}

impl<'de> Deserialize<'de> for ApiTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom("not an RFC 3339 time such as 2027-01-11T09:30:00Z"))
    }
}

impl Serialize for ApiTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

impl JsonSchema for ApiTime {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ApiTime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "examples": ["2027-01-11T09:30:00Z"],
        })
    }
}

/// Checks an optional text that users read: not blank, of limited length, without control and
/// bidirectional characters, which could disguise it.
pub(super) fn check_text(
    text: Option<String>,
    pointer: &'static str,
    max_chars: usize,
) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if !is_plain(&text, max_chars) || text.trim().is_empty() => Err(
            ApiError::invalid(pointer, "empty, too long, or contains invisible characters"),
        ),
        text => Ok(text),
    }
}

/// Checks an e-mail address.
pub(super) fn check_email(text: &str, pointer: &'static str) -> Result<(), ApiError> {
    if is_email(text) && text.matches('@').count() == 1 {
        Ok(())
    } else {
        Err(ApiError::invalid(pointer, "not an e-mail address"))
    }
}

/// Checks the expiry of a link: in the future, within [`MAX_LIFETIME`].
pub(super) fn check_expiry(
    time: Timestamp,
    pointer: &'static str,
    now: Timestamp,
) -> Result<(), ApiError> {
    if time <= now {
        Err(ApiError::invalid(pointer, "in the past"))
    } else if time.since(now) > MAX_LIFETIME {
        Err(ApiError::invalid(pointer, "more than a year ahead"))
    } else {
        Ok(())
    }
}

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;
