//! Durations as `90s`, `12h` or `1m 30s`.

use std::{borrow::Cow, ops::RangeInclusive, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{diagnostics::Section, problem::Fault};
use model::time_format;

/// An unparsed duration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct DurationText(String);

// === impl DurationText ===

impl DurationText {
    /// Parses the value of `key`, which has to be within the bounds.
    pub(crate) fn within(
        &self,
        bounds: RangeInclusive<Duration>,
        section: &mut Section<'_>,
        key: &str,
    ) -> Option<Duration> {
        section.keep(key, self.parse(&bounds))
    }

    fn parse(&self, bounds: &RangeInclusive<Duration>) -> Result<Duration, Fault> {
        let (shortest, longest) = (*bounds.start(), *bounds.end());
        let fault = |what: String| {
            let remedy = format!(
                "write a duration from {} to {}",
                time_format::format_duration(shortest),
                time_format::format_duration(longest)
            );
            Fault::new(what, remedy)
        };
        let duration = time_format::parse_duration(self.0.trim())
            .ok_or_else(|| fault(format!("{:?} is not a duration", self.0)))?;
        if duration < shortest {
            Err(fault(format!("{} is too short", self.0)))
        } else if duration > longest {
            Err(fault(format!("{} is too long", self.0)))
        } else {
            Ok(duration)
        }
    }
}

impl From<&str> for DurationText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*([0-9]+\s*[a-zA-Z]+\s*)+$",
            "examples": ["90s"],
        })
    }
}

/// A bound in seconds.
pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) const MINUTE: Duration = seconds(60);
pub(crate) const HOUR: Duration = seconds(3600);
pub(crate) const DAY: Duration = seconds(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_outside_of_its_bounds_is_rejected() {
        let parse = |text: &str| DurationText::from(text).parse(&(seconds(10)..=HOUR));
        assert_eq!(parse("2m").unwrap(), seconds(120));
        assert_eq!(parse("1m 30s").unwrap(), seconds(90));
        for text in ["", "60", "9s", "61m", "-5m", "soon"] {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.remedy, "write a duration from 10s to 1h", "{text}");
        }
    }
}
