//! The JSON schema of the file: for editors, for the reference, and for `schema_check`.

use schemars::{Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde_json::Value;

use super::sections::RawConfig;

/// The JSON schema (draft 2020-12) of the configuration file, without references.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(adapt_to_toml);
    settings
        .into_generator()
        .into_root_schema_for::<RawConfig>()
        .into()
}

/// Removes `null`, which TOML does not have: optional keys are those that are not required.
fn adapt_to_toml(schema: &mut Schema) {
    let is_null = |value: &Value| value == "null";
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| !is_null(kind));
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            schema.insert("type".to_owned(), kind);
        }
    }
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.retain(|word| !word.is_null());
    }
    if let Some(choices) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.retain(|choice| !choice.get("type").is_some_and(is_null));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            for (key, value) in only {
                // The doc comment of the key takes precedence over that of its type.
                if schema.get(&key).is_none() {
                    schema.insert(key, value);
                }
            }
        }
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        // Unwraps the lines of a paragraph; editors wrap by themselves.
        *text = text
            .replace("\n\n", "\0")
            .replace('\n', " ")
            .replace('\0', "\n\n");
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    transform_subschemas(&mut adapt_to_toml, schema);
}
