//! Names of shards.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The name of a shard in the configuration, in `X-Jitsi-Shard`, in logs and metrics.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ShardName(Arc<str>);

/// The text is not a shard's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shard's name is 1 to 64 letters, digits, dashes and underscores")]
pub struct ShardNameError;

// === impl ShardName ===

impl ShardName {
    /// Parses a name.
    ///
    /// # Errors
    ///
    /// [`ShardNameError`], for example for a dot, which separates the parts of BOSH session ids.
    pub fn parse(text: &str) -> Result<Self, ShardNameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(ShardNameError)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ShardName> for String {
    fn from(name: ShardName) -> Self {
        name.as_str().to_owned()
    }
}

impl TryFrom<String> for ShardName {
    type Error = ShardNameError;

    fn try_from(text: String) -> Result<Self, ShardNameError> {
        Self::parse(&text)
    }
}

impl fmt::Display for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardName({self})")
    }
}

/// Longer than any name of region, zone and number.
const MAX_NAME_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_headers_ids_and_metrics() {
        for good in ["s1", "eu-central_1-A"] {
            assert_eq!(ShardName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a.b", "a b", "a/b", "\u{e9}", "a\r\nb", &"x".repeat(65)] {
            assert!(ShardName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
