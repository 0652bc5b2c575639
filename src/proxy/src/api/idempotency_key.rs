//! The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header).

use http::{HeaderMap, HeaderValue};

use super::ApiError;

/// A key by which a client marks a repeated request: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

// === impl IdempotencyKey ===

impl IdempotencyKey {
    /// Takes the key from the headers of a request; more than one is an error.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Self::parse(value).map(Some).ok_or(ApiError::IdempotencyKey),
            (Some(_), Some(_)) => Err(ApiError::IdempotencyKey),
        }
    }

    /// The key as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let valid = (1..=MAX_KEY_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        valid.then(|| Self(text.to_owned()))
    }
}

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A UUID has 36.
const MAX_KEY_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn key(values: &[&'static str]) -> Result<Option<IdempotencyKey>, ApiError> {
        let name = HeaderName::from_static(IDEMPOTENCY_KEY);
        let headers: HeaderMap = values
            .iter()
            .map(|value| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        IdempotencyKey::from_headers(&headers)
    }

    #[test]
    fn the_key_is_optional() {
        assert_eq!(key(&[]), Ok(None));
        assert_eq!(key(&["a-1"]).unwrap().unwrap().as_str(), "a-1");
    }

    #[test]
    fn repeated_empty_and_invisible_keys_are_errors() {
        for values in [&["a", "a"][..], &[""], &["a b"]] {
            assert_eq!(key(values), Err(ApiError::IdempotencyKey), "{values:?}");
        }
    }
}
