//! The text of what is put into Jitsi's page and its `config.js`.

use std::fmt::Write;

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::Person;

/// The one script that completes one answer.
///
/// ASCII only, so that it reads the same in whatever encoding the page has.
#[derive(Clone, PartialEq, Eq)]
pub struct Script(Bytes);

/// Statements that set options of Jitsi's global `config`.
///
/// Pure ECMAScript without functions or browser objects: Jitsi evaluates `config.js` in a worker
/// and passes the outcome through JSON.
#[derive(Clone)]
pub(super) struct Overrides(String);

// === impl Script ===

impl Script {
    pub(super) fn new(overrides: &Overrides, person: Person<'_>) -> Self {
        let (token, name) = match person {
            Person::Token(token) => (Some(token), None),
            Person::Name(name) => (None, name),
        };
        let [token, name] = [token, name].map(|text| embed(&text.map_or(Value::Null, Value::from)));
        Self(Bytes::from(format!(
            "{OPEN}if(({})({token},{name})){{{}}}{CLOSE}",
            compact(FUNCTION),
            overrides.0
        )))
    }

    /// The whole element.
    pub fn element(&self) -> &Bytes {
        &self.0
    }

    /// The source expression that allows exactly this script (CSP Level 3 § 2.3.1).
    pub fn csp_source(&self) -> String {
        csp_hash(self.text())
    }

    fn text(&self) -> &[u8] {
        self.0
            .get(OPEN.len()..self.0.len() - CLOSE.len())
            .expect("the element is built with both tags")
    }
}

/// A display token has somebody's name in it, which does not belong into logs.
impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Script({} bytes)", self.0.len())
    }
}

// === impl Overrides ===

impl Overrides {
    /// Statements that apply a JSON merge patch (RFC 7396) to `config`.
    pub(super) fn new(patch: &Map<String, Value>) -> Self {
        let mut statements = String::from("if(typeof config===\"object\"&&config){");
        patch_object(&mut statements, "config", patch);
        statements.push('}');
        Self(statements)
    }

    /// What to put behind the end of `config.js`.
    pub(super) fn appendix(&self) -> Bytes {
        // The file may end in a comment or without a semicolon.
        Bytes::from(format!("\n;{}\n", self.0))
    }
}

/// The source expression for an inline script or style with this content.
pub(crate) fn csp_hash(content: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, content);
    format!("'sha256-{}'", BASE64_STANDARD.encode(hash))
}

fn patch_object(statements: &mut String, target: &str, patch: &Map<String, Value>) {
    for (key, value) in patch {
        let member = format!("{target}[{}]", embed(&Value::from(key.as_str())));
        match value {
            Value::Null => write!(statements, "delete {member};"),
            Value::Object(inner) => {
                write!(
                    statements,
                    "if(typeof {member}!==\"object\"||!{member}){member}={{}};"
                )
                .expect("writing to a String does not fail");
                patch_object(statements, &member, inner);
                Ok(())
            }
            plain => write!(statements, "{member}={};", embed(plain)),
        }
        .expect("writing to a String does not fail");
    }
}

/// JSON that is the same value as ECMAScript and cannot end a script element or begin a comment in
/// one, in ASCII.
fn embed(value: &Value) -> String {
    let json = value.to_string();
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // Outside strings JSON has none of these.
        if c.is_ascii_graphic() && !matches!(c, '<' | '>' | '&') || c == ' ' {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}").expect("writing to a String does not fail");
            }
        }
    }
    text
}

/// The source without indentation and comments; it has no text that spans lines.
fn compact(source: &str) -> String {
    source
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

const FUNCTION: &str = include_str!("script.js");
const OPEN: &str = "<script>";
const CLOSE: &str = "</script>";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn overrides(patch: &Value) -> Overrides {
        Overrides::new(patch.as_object().unwrap())
    }

    fn script(token: Option<&str>) -> String {
        let person = token.map_or(Person::Name(None), Person::Token);
        let script = Script::new(&overrides(&json!({"a": 1})), person);
        String::from_utf8(script.element().to_vec()).unwrap()
    }

    #[test]
    fn overrides_are_a_merge_patch() {
        let patch = json!({"gone": null, "list": [1, "x"], "deep": {"a": false, "b": {"c": "d"}}});
        assert_eq!(
            overrides(&patch).0,
            concat!(
                r#"if(typeof config==="object"&&config){"#,
                r#"if(typeof config["deep"]!=="object"||!config["deep"])config["deep"]={};"#,
                r#"config["deep"]["a"]=false;"#,
                r#"if(typeof config["deep"]["b"]!=="object"||!config["deep"]["b"])"#,
                r#"config["deep"]["b"]={};config["deep"]["b"]["c"]="d";"#,
                r#"delete config["gone"];config["list"]=[1,"x"];}"#,
            )
        );
    }

    #[test]
    fn comments_and_indentation_stay_behind() {
        let script = script(None);
        assert!(!script.contains("//") && !script.contains("\n "));
        assert!(script.ends_with(
            r#")(null,null)){if(typeof config==="object"&&config){config["a"]=1;}}</script>"#
        ));
    }

    #[test]
    fn the_hash_is_of_the_text_between_the_tags() {
        // Computed with `printf 'alert(1)' | openssl dgst -sha256 -binary | base64`.
        assert_eq!(
            csp_hash(b"alert(1)"),
            "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
        );
        let script = Script::new(&overrides(&json!({})), Person::Token("a"));
        assert!(script.text().starts_with(b"if((") && script.text().ends_with(b"}"));
        assert_eq!(script.csp_source(), csp_hash(script.text()));
    }

    #[test]
    fn the_script_is_not_shown_in_logs() {
        let script = Script::new(&overrides(&json!({})), Person::Token("secret"));
        assert!(!format!("{script:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_out(text in ".*|.*</script>.*|.*<!--<script>.*|[\u{2028}\u{2029}\"\\\\<>&']*") {
            let plain = script(Some(""));
            let hostile = script(Some(&text));
            prop_assert!(hostile.is_ascii());
            prop_assert_eq!(hostile.matches('<').count(), plain.matches('<').count());
            let patch = overrides(&json!({(text.clone()): text.clone(), "o": {"k": [text.clone()]}})).0;
            prop_assert!(patch.is_ascii() && !patch.contains('<') && !patch.contains("-->"));
            // The same value comes out again.
            let embedded = embed(&Value::from(text.as_str()));
            prop_assert_eq!(serde_json::from_str::<String>(&embedded).unwrap(), text);
        }
    }
}
