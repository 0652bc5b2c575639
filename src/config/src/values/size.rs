//! Sizes as `64MiB`, `512KiB` or `0`.

use std::{borrow::Cow, ops::RangeInclusive};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{diagnostics::Section, problem::Fault};

/// An unparsed size; a number is one in bytes.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct SizeText(String);

/// What the file has: a text, or a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(u64),
}

// === impl SizeText ===

impl SizeText {
    /// Parses the value of `key`, in bytes, which has to be within the bounds.
    pub(crate) fn within(
        &self,
        bounds: RangeInclusive<usize>,
        section: &mut Section<'_>,
        key: &str,
    ) -> Option<usize> {
        section.keep(key, self.parse(&bounds))
    }

    fn parse(&self, bounds: &RangeInclusive<usize>) -> Result<usize, Fault> {
        let fault = |what: String| {
            let (least, most) = (written(*bounds.start()), written(*bounds.end()));
            Fault::new(what, format!("write a size from {least} to {most}"))
        };
        let bytes = parse(&self.0).ok_or_else(|| fault(format!("{:?} is not a size", self.0)))?;
        if bytes < *bounds.start() {
            Err(fault(format!("{} is too small", self.0)))
        } else if bytes > *bounds.end() {
            Err(fault(format!("{} is too large", self.0)))
        } else {
            Ok(bytes)
        }
    }
}

impl From<&str> for SizeText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for SizeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Bytes(bytes) => bytes.to_string(),
        }))
    }
}

impl JsonSchema for SizeText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "integer" }],
            "format": "size",
            "examples": ["64MiB"],
        })
    }
}

fn parse(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: usize = digits.trim_end().parse().ok()?;
    let unit = match text.get(digits.len()..)? {
        "" | "B" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        "GiB" => KIB * MIB,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn written(bytes: usize) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(KIB * MIB) => format!("{}GiB", bytes / (KIB * MIB)),
        _ if bytes.is_multiple_of(MIB) => format!("{}MiB", bytes / MIB),
        _ => format!("{}KiB", bytes / KIB),
    }
}

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("100", Some(100)),
            ("64MiB", Some(64 * MIB)),
            (" 64 MiB ", Some(64 * MIB)),
            ("512KiB", Some(512 * KIB)),
            ("1GiB", Some(1024 * MIB)),
            ("64MB", None),
            ("64mib", None),
            ("MiB", None),
            ("-1", None),
            ("1.5MiB", None),
            ("99999999999GiB", None),
            ("", None),
        ] {
            assert_eq!(parse(text), bytes, "{text}");
        }
        let fault = SizeText::from("1KiB").parse(&(MIB..=1024 * MIB));
        assert_eq!(fault.unwrap_err().remedy, "write a size from 1MiB to 1GiB");
    }
}
