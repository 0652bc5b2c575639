//! Source text of the script for Jitsi's page and of the statements for `config.js`.

use std::fmt::{self, Write};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::PageIdentity;
use crate::csp::csp_hash;

/// The script element of one response.
///
/// ASCII only, so that it is the same text in any encoding of the page.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct InjectedScript(Bytes);

/// The script of one deployment, without what depends on the person.
#[derive(Clone)]
pub(super) struct ScriptTemplate {
    /// The tag, and the text up to the arguments.
    before: String,
    /// The text after them, and the end tag.
    after: String,
}

/// Statements that set options of Jitsi's global `config`.
///
/// Without functions and browser objects: mobile apps evaluate `config.js` outside a page and pass
/// the result through JSON.
#[derive(Clone)]
pub(super) struct Overrides(String);

// === impl InjectedScript ===

impl InjectedScript {
    /// The script with its tags.
    pub(super) fn element(&self) -> &Bytes {
        &self.0
    }

    /// Source expression that allows exactly this script (CSP Level 3 § 2.3.1).
    pub(super) fn csp_source(&self) -> String {
        csp_hash(self.text())
    }

    fn text(&self) -> &[u8] {
        self.0
            .get(OPEN.len()..self.0.len() - CLOSE.len())
            // Infallible: the template adds both tags.
            .expect("the element has both tags")
    }
}

/// Without the display token, which contains the user's name.
impl fmt::Debug for InjectedScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InjectedScript({} bytes)", self.0.len())
    }
}

// === impl ScriptTemplate ===

impl ScriptTemplate {
    pub(super) fn new(overrides: &Overrides) -> Self {
        Self {
            before: format!("{OPEN}if(({})(", compact(FUNCTION)),
            after: format!(")){{{}}}{CLOSE}", overrides.0),
        }
    }

    /// The script for a person.
    pub(super) fn render(&self, identity: PageIdentity<'_>) -> InjectedScript {
        let (token, name) = match identity {
            PageIdentity::Token(token) => (Some(token), None),
            PageIdentity::Name(name) => (None, name),
        };
        let Self { before, after } = self;
        let room = before.len() + after.len() + token.or(name).map_or(0, str::len) + 16;
        let mut script = String::with_capacity(room);
        script.push_str(before);
        push_embedded(&mut script, &token.map_or(Value::Null, Value::from));
        script.push(',');
        push_embedded(&mut script, &name.map_or(Value::Null, Value::from));
        script.push_str(after);
        InjectedScript(Bytes::from(script))
    }
}

// === impl Overrides ===

impl Overrides {
    /// From a JSON merge patch (RFC 7396) of `config`.
    pub(super) fn new(patch: &Map<String, Value>) -> Self {
        let statements = patch_object("config", patch);
        Self(format!(
            "if(typeof config===\"object\"&&config){{{statements}}}"
        ))
    }

    /// The statements as a text that can follow the end of `config.js`, which may be a comment or
    /// lack a semicolon.
    pub(super) fn appendix(&self) -> Bytes {
        Bytes::from(format!("\n;{}\n", self.0))
    }
}

/// Statements that apply the members of `patch` to the object `target`.
fn patch_object(target: &str, patch: &Map<String, Value>) -> String {
    patch
        .iter()
        .map(|(key, value)| {
            let member = format!("{target}[{}]", embed(&Value::from(key.as_str())));
            match value {
                Value::Null => format!("delete {member};"),
                Value::Object(inner) => format!(
                    "if(typeof {member}!==\"object\"||!{member}){member}={{}};{}",
                    patch_object(&member, inner)
                ),
                plain => format!("{member}={};", embed(plain)),
            }
        })
        .collect()
}

/// The value as JSON that is also ECMAScript, in ASCII, and without characters that could end the
/// script element or start an HTML comment in it.
fn embed(value: &Value) -> String {
    let mut text = String::new();
    push_embedded(&mut text, value);
    text
}

/// Appends what [`embed`] returns.
fn push_embedded(text: &mut String, value: &Value) {
    // Infallible: the keys of a `Value` are strings. Its `Display` costs twice as much.
    let json = serde_json::to_string(value).expect("a Value is JSON");
    // The characters to escape occur in JSON within strings only.
    let mut rest = json.as_str();
    // The first byte that is not embeddable begins a character.
    while let Some(at) = rest.bytes().position(|byte| !is_embeddable(byte)) {
        let (plain, tail) = rest.split_at(at);
        text.push_str(plain);
        let mut tail = tail.chars();
        let escaped = tail.next().unwrap_or_default();
        for unit in escaped.encode_utf16(&mut [0; 2]) {
            // Infallible: writing to a `String`.
            write!(text, "\\u{unit:04x}").expect("a String accepts any text");
        }
        rest = tail.as_str();
    }
    text.push_str(rest);
}

const fn is_embeddable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'<' | b'>' | b'&')
}

/// The source without indentation and comment lines. It has no string literal over several lines.
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
        let identity = token.map_or(PageIdentity::Name(None), PageIdentity::Token);
        let script = ScriptTemplate::new(&overrides(&json!({"a": 1}))).render(identity);
        String::from_utf8(script.element().to_vec()).unwrap()
    }

    #[test]
    fn overrides_become_statements_of_a_merge_patch() {
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
    fn script_has_no_comments_and_no_indentation() {
        let script = script(None);
        assert!(!script.contains("//") && !script.contains("\n "));
        assert!(script.ends_with(
            r#")(null,null)){if(typeof config==="object"&&config){config["a"]=1;}}</script>"#
        ));
    }

    #[test]
    fn hash_covers_the_text_between_the_tags() {
        let script = ScriptTemplate::new(&overrides(&json!({}))).render(PageIdentity::Token("a"));
        assert!(script.text().starts_with(b"if((") && script.text().ends_with(b"}"));
        assert_eq!(script.csp_source(), csp_hash(script.text()));
    }

    #[test]
    fn debug_output_hides_the_token() {
        let script =
            ScriptTemplate::new(&overrides(&json!({}))).render(PageIdentity::Token("secret"));
        assert!(!format!("{script:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn embedded_text_cannot_end_the_script(text in ".*|.*</script>.*|.*<!--<script>.*|[\u{2028}\u{2029}\"\\\\<>&']*") {
            let plain = script(Some(""));
            let hostile = script(Some(&text));
            prop_assert!(hostile.is_ascii());
            prop_assert_eq!(hostile.matches('<').count(), plain.matches('<').count());
            let patch = overrides(&json!({(text.clone()): text.clone(), "o": {"k": [text.clone()]}})).0;
            prop_assert!(patch.is_ascii() && !patch.contains('<') && !patch.contains("-->"));
            let embedded = embed(&Value::from(text.as_str()));
            prop_assert_eq!(serde_json::from_str::<String>(&embedded).unwrap(), text);
        }
    }
}
