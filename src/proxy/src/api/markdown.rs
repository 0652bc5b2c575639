//! `docs/api.md`: the OpenAPI document as a Markdown page.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::openapi;

/// Generates the page.
pub fn markdown() -> String {
    let document = openapi();
    let mut page = MarkdownPage {
        text: PREAMBLE.to_owned(),
        document: &document,
    };
    page.line("\n## Requests");
    for (path, operations) in members(at(&document, "paths")) {
        for (method, operation) in members(operations) {
            page.operation(&method.to_uppercase(), path, operation);
        }
    }
    page.line("\n## Bodies");
    for (name, schema) in members(at(at(&document, "components"), "schemas")) {
        page.schema(name, schema);
    }
    page.text
}

struct MarkdownPage<'d> {
    text: String,
    document: &'d Value,
}

// === impl MarkdownPage ===

impl MarkdownPage<'_> {
    fn operation(&mut self, method: &str, path: &str, operation: &Value) {
        let summary = text(operation, "summary");
        self.line(&format!("\n### `{method} {path}`\n\n{summary}."));
        if let Some(description) = at(operation, "description").as_str() {
            self.line(&format!("\n{description}"));
        }
        let document = self.document;
        let parameters: Vec<&Value> = list(at(operation, "parameters"))
            .iter()
            .map(|parameter| resolve(document, parameter))
            .collect();
        if !parameters.is_empty() {
            self.line("\n| Parameter | In | Meaning |\n|---|---|---|");
        }
        for parameter in parameters {
            let (name, place) = (text(parameter, "name"), text(parameter, "in"));
            let meaning = text(parameter, "description");
            let stop = if meaning.ends_with('.') { "" } else { "." };
            self.line(&format!("| `{name}` | {place} | {meaning}{stop} |"));
        }
        if let Some(body) = body_of(at(operation, "requestBody")) {
            self.line(&format!("\nThe body is a {}.", link(body)));
        }
        self.responses(operation);
    }

    /// Writes the table of responses; problems share a row, as they have the same body.
    fn responses(&mut self, operation: &Value) {
        self.line("\n| Status | Answer |\n|---|---|");
        let mut problems = Vec::new();
        let mut notes = String::new();
        for (status, answer) in members(at(operation, "responses")) {
            let answer = resolve(self.document, answer);
            let body = body_of(answer);
            let is_problem = body == Some("Problem");
            for (name, header) in members(at(answer, "headers")) {
                let of = if is_problem {
                    format!(" of {status}")
                } else {
                    String::new()
                };
                let header = text(header, "description");
                write!(notes, " `{name}`{of}: {header}.").expect(NO_FAILURE);
            }
            if is_problem {
                problems.push(status.as_str());
                continue;
            }
            let body = body.map_or_else(String::new, |name| format!(": {}", link(name)));
            let meaning = text(answer, "description");
            self.line(&format!("| {status} | {meaning}{body}.{notes} |"));
            notes.clear();
        }
        if !problems.is_empty() {
            let statuses = problems.join(", ");
            self.line(&format!("| {statuses} | {}.{notes} |", link("Problem")));
        }
    }

    fn schema(&mut self, name: &str, schema: &Value) {
        self.line(&format!("\n### {name}\n\n{}", text(schema, "description")));
        self.line("\n| Field | Type | | Meaning |\n|---|---|---|---|");
        self.fields(schema, "required");
        // Variants of an enum, each with its own fields.
        for form in list(at(schema, "oneOf")) {
            self.fields(form, "one of these");
        }
    }

    /// Writes the rows of the fields; `presence` is that of those without which the schema does not match.
    fn fields(&mut self, schema: &Value, presence: &str) {
        let fallback = text(schema, "description");
        let required = list(at(schema, "required"));
        for (name, field) in members(at(schema, "properties")) {
            let presence = if required.iter().any(|known| known == name) {
                presence
            } else {
                ""
            };
            let meaning = at(field, "description").as_str().unwrap_or(fallback);
            let kind = kind(field);
            let mut row = format!("| `{name}` | {kind} | {presence} | {meaning}");
            if let Some(example) = list(at(field, "examples")).first() {
                write!(row, " For example `{example}`.").expect(NO_FAILURE);
            }
            self.line(&format!("{row} |"));
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// Follows a `$ref` of the document; any other value resolves to itself.
fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let target = at(value, "$ref")
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'));
    target
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(value)
}

/// Returns the schema name of the body of a request or response.
fn body_of(carrier: &Value) -> Option<&str> {
    let (_, content) = members(at(carrier, "content")).next()?;
    schema_name(at(content, "schema"))
}

fn schema_name(schema: &Value) -> Option<&str> {
    at(schema, "$ref").as_str()?.rsplit('/').next()
}

fn link(name: &str) -> String {
    format!("[{name}](#{})", name.to_lowercase())
}

fn kind(field: &Value) -> String {
    if let Some(name) = schema_name(field) {
        return link(name);
    }
    let variants: Vec<String> = list(at(field, "oneOf"))
        .iter()
        .filter_map(|variant| at(variant, "const").as_str())
        .map(|value| format!("`\"{value}\"`"))
        .collect();
    if !variants.is_empty() {
        return variants.join(" or ");
    }
    let kind = match at(field, "type") {
        Value::Array(kinds) => kinds.iter().find_map(Value::as_str).unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    };
    let bound = |key: &str| at(field, key).as_u64();
    match (kind, at(field, "format").as_str()) {
        ("string", Some("date-time")) => "time".to_owned(),
        ("string", Some("uri")) => "URL".to_owned(),
        ("string", Some("email")) => "e-mail address".to_owned(),
        ("string", _) => bound("maxLength").map_or_else(
            || "text".to_owned(),
            |max| format!("text, at most {max} characters"),
        ),
        ("integer", _) => match (bound("minimum"), bound("maximum")) {
            (Some(min), Some(max)) => format!("number, {min} to {max}"),
            _ => "number".to_owned(),
        },
        (other, _) => other.to_owned(),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Returns a member of an object, or null.
fn at<'v>(value: &'v Value, key: &str) -> &'v Value {
    value.get(key).unwrap_or(&Value::Null)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    at(value, key).as_str().unwrap_or_default()
}

/// The message of an infallible `expect`.
const NO_FAILURE: &str = "writing to a string does not fail";

const PREAMBLE: &str = "\
<!-- Generated: `cargo run -- config openapi --markdown > docs/api.md`; do not edit. -->

# The API

Other systems create meetings and links with it. Its base is `<public_url>/_gateway/api/v1`; requests
and answers are JSON. `config/openapi.json` is the OpenAPI 3.1 document, which the gateway serves at
`/_gateway/api/v1/openapi.json`.

* **Keys.** Each request has the header `Authorization: Bearer KEY`, with a key of an
  [`[[integration.api_key]]`](configuration.md#integrationapi_key). A key is valid for the rooms of its
  integration, with a rate limit of `api_requests_per_minute`.
* **Problems** are `application/problem+json` (RFC 9457): [Problem](#problem). `code` is stable,
  `detail` is not; `pointer` names the field.
* **Nothing is stored.** A meeting is its room's name and its links: to move or rename one, create another and revoke
  the links of the first.
* **Retries.** A request with an `Idempotency-Key` can be repeated without further effect.

<!-- run: gateway -->
```console
$ curl --silent --show-error --fail-with-body https://meet.example.org/_gateway/api/v1/meetings \\
      -H \"Authorization: Bearer $(cat config/odoo.api-key)\" -H 'Content-Type: application/json' \\
      -d '{\"owner\":{\"email\":\"ann@example.org\"},\"slug\":\"odoo-4711\",\"minutes\":30}'
{\"room\":\"odoo-4711-...\",\"url\":\"https://meet.example.org/odoo-4711-...\",...}
```
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_claims_of_an_owner_one_is_to_be_written() {
        let page = markdown();
        for field in [
            "| `email` | e-mail address |",
            "| `subject` | text, at most 276 characters |",
        ] {
            let rows: Vec<_> = page
                .lines()
                .filter(|line| line.starts_with(field))
                .collect();
            let is_choice = |row: &&&str| row.contains("| one of these |");
            assert_eq!(rows.iter().filter(is_choice).count(), 1, "{rows:?}");
        }
    }

    #[test]
    fn the_page_names_the_way_to_move_and_to_cancel_a_meeting() {
        let page = markdown();
        let (_, creation) = page.split_once("### `POST /meetings`").unwrap();
        let (creation, _) = creation.split_once("###").unwrap();
        assert!(
            creation.contains("To move or rename a meeting"),
            "{creation}"
        );
        assert!(creation.contains("to cancel it"), "{creation}");
    }
}
