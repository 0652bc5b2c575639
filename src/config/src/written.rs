//! What a configuration was made of, to tell whether it changed, and what of it.

use std::{collections::BTreeMap, fmt, fs};

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::Value;

/// A digest of each section as it was written, the files included that it names. It is compared and
/// never shown: a short secret could be guessed from it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Written(BTreeMap<String, Vec<u8>>);

// === impl Written ===

impl Written {
    /// Of the root table, variables of the environment laid over it.
    pub(super) fn of(root: &Value) -> Self {
        let digest = |(section, value): (&String, &Value)| {
            let mut context = Context::new(&SHA256);
            take_in(&mut context, section, value);
            (section.clone(), context.finish().as_ref().to_vec())
        };
        Self(root.as_object().into_iter().flatten().map(digest).collect())
    }

    /// The sections that are not the same in another.
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

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Every text with its length before it, so that no two values look the same.
fn take_in(context: &mut Context, key: &str, value: &Value) {
    let mut put = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    put(key.as_bytes());
    match value {
        Value::Object(entries) => {
            put(b"{");
            for (key, value) in entries {
                take_in(context, key, value);
            }
        }
        Value::Array(entries) => {
            put(b"[");
            for value in entries {
                take_in(context, key, value);
            }
        }
        Value::String(text) => {
            put(text.as_bytes());
            if (key == "file" || key.ends_with("_file")) && !WRITTEN_BY_US.contains(&key) {
                // A file that cannot be read is somebody else's to complain of.
                put(&fs::read(text).unwrap_or_default());
            }
        }
        other => put(other.to_string().as_bytes()),
    }
}

/// Keys of files that the gateway writes. What is in them is no configuration, changes all the time,
/// and may be more than fits into memory.
const WRITTEN_BY_US: &[&str] = &["audit_file"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_named_and_what_files_hold_counts() {
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
        let first = Written::of(&root("jitsi"));
        assert_eq!(first, Written::of(&root("jitsi")));
        let other = Written::of(&root("meet"));
        assert_eq!(first.differences(&other), ["token"]);
        fs::write(&secret, "two").unwrap();
        assert_eq!(first.differences(&Written::of(&root("jitsi"))), ["token"]);
        let less = Written::of(&json!({ "room": [{ "match": "*" }] }));
        assert_eq!(first.differences(&less), ["public_url", "token"]);
        assert_eq!(format!("{less:?}"), r#"{"room"}"#);
    }

    #[test]
    fn what_the_gateway_writes_itself_is_no_change() {
        let files = tempfile::tempdir().unwrap();
        let audit = files.path().join("audit.log");
        let of = |path: &std::path::Path| Written::of(&json!({ "log": { "audit_file": path } }));
        let before = of(&audit);
        fs::write(&audit, "{\"event\":\"admitted\"}").unwrap();
        assert_eq!(before, of(&audit));
        let elsewhere = of(&files.path().join("other.log"));
        assert_eq!(before.differences(&elsewhere), ["log"]);
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let of = |value: Value| Written::of(&json!({ "x": value }));
        assert_ne!(of(json!(["ab", "c"])), of(json!(["a", "bc"])));
        assert_ne!(of(json!({ "a": "b" })), of(json!(["a", "b"])));
        assert_ne!(of(json!("1")), of(json!({})));
    }
}
