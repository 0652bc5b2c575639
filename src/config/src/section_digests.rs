//! Digests of the sections of a configuration, to detect which of them have changed.

use std::{collections::BTreeMap, fmt, fs};

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::Value;

/// A SHA-256 digest of each section, including the files that it names.
///
/// It is compared and never shown: a short secret could be guessed from it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SectionDigests(BTreeMap<String, Vec<u8>>);

// === impl SectionDigests ===

impl SectionDigests {
    /// Digests the root table, after the environment has been applied.
    pub(super) fn compute(root: &Value) -> Self {
        let digest = |(section, value): (&String, &Value)| {
            let mut context = Context::new(&SHA256);
            update(&mut context, section, value);
            (section.clone(), context.finish().as_ref().to_vec())
        };
        Self(root.as_object().into_iter().flatten().map(digest).collect())
    }

    /// The names of the sections that differ, sorted.
    pub fn differences<'f>(&'f self, other: &'f Self) -> Vec<&'f str> {
        let mut names: Vec<_> = self.0.keys().chain(other.0.keys()).collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .filter(|name| self.0.get(*name) != other.0.get(*name))
            .map(String::as_str)
            .collect()
    }
}

/// Prints the names of the sections.
impl fmt::Debug for SectionDigests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Adds a value. Length prefixes keep different values from having the same encoding.
fn update(context: &mut Context, key: &str, value: &Value) {
    let mut put = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    put(key.as_bytes());
    match value {
        Value::Object(entries) => {
            put(b"{");
            for (key, value) in entries {
                update(context, key, value);
            }
        }
        Value::Array(entries) => {
            put(b"[");
            for value in entries {
                update(context, key, value);
            }
        }
        Value::String(text) => {
            put(text.as_bytes());
            if (key == "file" || key.ends_with("_file")) && !OUTPUT_FILES.contains(&key) {
                // The section's own check reports a file that cannot be read.
                put(&fs::read(text).unwrap_or_default());
            }
        }
        other => put(other.to_string().as_bytes()),
    }
}

/// Keys of files that the gateway writes: their content is not configuration, changes with each
/// request, and may exceed the memory.
const OUTPUT_FILES: &[&str] = &["audit_file"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_sections_whose_keys_or_files_changed() {
        let files = tempfile::tempdir().unwrap();
        let secret = files.path().join("secret");
        fs::write(&secret, "one").unwrap();
        let root = |audience: &str| {
            json!({
                "public_url": "https://meet.example.org",
                "token": { "audience": audience, "key": [{ "kid": "a", "file": secret }] },
                "room": [{ "match": "*" }],
            })
        };
        let first = SectionDigests::compute(&root("jitsi"));
        assert_eq!(first, SectionDigests::compute(&root("jitsi")));
        let other = SectionDigests::compute(&root("meet"));
        assert_eq!(first.differences(&other), ["token"]);
        fs::write(&secret, "two").unwrap();
        let changed_file = SectionDigests::compute(&root("jitsi"));
        assert_eq!(first.differences(&changed_file), ["token"]);
        let less = SectionDigests::compute(&json!({ "room": [{ "match": "*" }] }));
        assert_eq!(first.differences(&less), ["public_url", "token"]);
        assert_eq!(format!("{less:?}"), r#"{"room"}"#);
    }

    #[test]
    fn the_content_of_the_audit_file_is_ignored() {
        let files = tempfile::tempdir().unwrap();
        let audit = files.path().join("audit.log");
        let digests = |path: &std::path::Path| {
            SectionDigests::compute(&json!({ "log": { "audit_file": path } }))
        };
        let before = digests(&audit);
        fs::write(&audit, "{\"event\":\"admitted\"}").unwrap();
        assert_eq!(before, digests(&audit));
        let elsewhere = digests(&files.path().join("other.log"));
        assert_eq!(before.differences(&elsewhere), ["log"]);
    }

    #[test]
    fn different_values_have_different_encodings() {
        let digests = |value: Value| SectionDigests::compute(&json!({ "x": value }));
        assert_ne!(digests(json!(["ab", "c"])), digests(json!(["a", "bc"])));
        assert_ne!(digests(json!({ "a": "b" })), digests(json!(["a", "b"])));
        assert_ne!(digests(json!("1")), digests(json!({})));
    }
}
