//! Fields with a grammar of their own.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::ApiError;
use model::{
    clock::Timestamp,
    identity::{is_email, is_plain},
    time_format,
};

/// A point in time, written as RFC 3339 has it; answers are in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Timestamp);

// === impl Time ===

impl Time {
    fn parse(text: &str) -> Option<Self> {
        let seconds = time_format::parse_rfc3339(text)?;
        Some(Self(Timestamp::from_unix(seconds)))
    }

    /// As RFC 3339 has it; years have four digits there.
    pub fn text(self) -> String {
        time_format::format_rfc3339(self.0.as_unix())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a time as 2027-01-11T09:30:00Z"))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "examples": ["2027-01-11T09:30:00Z"],
        })
    }
}

/// A text that people read: not empty, not too long, nothing in it that deceives.
pub(super) fn words(
    text: Option<String>,
    at: &'static str,
    at_most: usize,
) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if !is_plain(&text, at_most) || text.trim().is_empty() => Err(
            ApiError::invalid(at, "empty, too long, or with characters that are not shown"),
        ),
        text => Ok(text),
    }
}

/// An e-mail address.
pub(super) fn email(text: &str, at: &'static str) -> Result<(), ApiError> {
    if is_email(text) && text.matches('@').count() == 1 {
        Ok(())
    } else {
        Err(ApiError::invalid(at, "not an e-mail address"))
    }
}

/// The end of a link, which lies ahead and not too far.
pub(super) fn end(time: Timestamp, at: &'static str, now: Timestamp) -> Result<(), ApiError> {
    if time <= now {
        Err(ApiError::invalid(at, "lies in the past"))
    } else if time.since(now) > super::link::LONGEST {
        Err(ApiError::invalid(at, "lies more than a year ahead"))
    } else {
        Ok(())
    }
}
