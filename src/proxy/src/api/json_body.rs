//! JSON bodies of requests.

use http::{HeaderMap, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::{Path, Segment};

use super::ApiError;

/// Whether `Content-Type` is `application/json`, with any parameters.
pub fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    media_type.is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"))
}

/// Deserializes a body; the error names the first invalid field.
pub fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = json_pointer(error.path());
        let inner = error.into_inner();
        // A body can be JSON although the parser expected other JSON.
        if inner.is_data() || serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            field_error(pointer, &inner)
        } else {
            ApiError::Syntax(inner.to_string())
        }
    })?;
    json.end()
        .map_err(|error| ApiError::Syntax(error.to_string()))?;
    Ok(value)
}

/// The error at a field. A field that is missing is the one that the pointer names.
fn field_error(pointer: String, error: &serde_json::Error) -> ApiError {
    let detail = error.to_string();
    // The pointer is more useful than serde_json's line and column.
    let detail = detail
        .rsplit_once(" at line ")
        .map_or(&*detail, |(message, _)| message);
    let missing = detail
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'));
    match missing {
        Some(field) => ApiError::Invalid {
            pointer: format!("{pointer}/{field}").into(),
            detail: "missing".into(),
        },
        None => ApiError::Invalid {
            pointer: pointer.into(),
            detail: detail.to_owned().into(),
        },
    }
}

/// Writes a path as a JSON Pointer (RFC 6901 § 3).
fn json_pointer(path: &Path) -> String {
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape(key)),
            Segment::Enum { variant } => format!("/{}", escape(variant)),
            Segment::Unknown => String::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::MeetingRequest;

    #[test]
    fn a_syntax_error_is_not_a_field_error() {
        for text in ["", "{", "nul", "{\"owner\": }"] {
            let error = parse_body::<MeetingRequest>(text.as_bytes()).unwrap_err();
            assert!(matches!(error, ApiError::Syntax(_)), "{text}: {error:?}");
        }
        let error = parse_body::<Value>(b"{}x").unwrap_err();
        assert!(matches!(error, ApiError::Syntax(_)), "{error:?}");
    }

    #[test]
    fn a_duplicate_field_is_an_error() {
        let body = br#"{"owner":{"email":"a@b.c"},"slug":"x","slug":"y"}"#;
        let error = parse_body::<MeetingRequest>(body).unwrap_err();
        assert_eq!(error.to_string(), "duplicate field `slug`");
    }

    #[test]
    fn the_error_points_at_the_field() {
        let body = json!({"owner": {"email": 1}}).to_string();
        let error = parse_body::<MeetingRequest>(body.as_bytes()).unwrap_err();
        match error {
            ApiError::Invalid { pointer, .. } => assert_eq!(pointer, "/owner/email"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_owner_is_named_in_one_way() {
        for (owner, pointer, detail) in [
            (
                json!({"email": "a@example.org", "subject": "1"}),
                "/owner",
                "write one of email and subject",
            ),
            (json!({}), "/owner", "write one of email and subject"),
            (
                json!(null),
                "/owner",
                "invalid type: null, expected an owner",
            ),
        ] {
            let body = json!({ "owner": owner }).to_string();
            match parse_body::<MeetingRequest>(body.as_bytes()).unwrap_err() {
                ApiError::Invalid {
                    pointer: at,
                    detail: said,
                } => {
                    assert_eq!((&*at, &*said), (pointer, detail), "{owner}");
                }
                other => panic!("{owner}: {other:?}"),
            }
        }
        match parse_body::<MeetingRequest>(b"{}").unwrap_err() {
            ApiError::Invalid { pointer, detail } => {
                assert_eq!((&*pointer, &*detail), ("/owner", "missing"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_media_type_may_have_parameters() {
        let declared = |value: &'static str| {
            is_json(&HeaderMap::from_iter([(
                header::CONTENT_TYPE,
                HeaderValue::from_static(value),
            )]))
        };
        assert!(declared("application/json"));
        assert!(declared("Application/JSON; charset=utf-8"));
        assert!(!declared("application/json-patch+json"));
        assert!(!declared("text/plain"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
