//! Lists of a discovery document that `doctor` compares with the configuration. The gateway itself does not depend on
//! them: they are optional, and may be incomplete (OpenID Connect Discovery 1.0 § 3).

use serde_json::{Map, Value};

/// What a provider claims to support; `None` for a list that is absent or malformed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SupportedValues {
    /// `acr_values_supported`.
    pub acr_values: Option<Vec<String>>,
    /// `claims_supported`.
    pub claims: Option<Vec<String>>,
    /// `scopes_supported`.
    pub scopes: Option<Vec<String>>,
}

// === impl SupportedValues ===

impl SupportedValues {
    pub(crate) fn of(metadata: &Map<String, Value>) -> Self {
        let list = |name: &str| {
            let values = metadata.get(name)?.as_array()?.iter();
            values
                .map(|value| Some(value.as_str()?.to_owned()))
                .collect()
        };
        Self {
            acr_values: list("acr_values_supported"),
            claims: list("claims_supported"),
            scopes: list("scopes_supported"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_that_is_absent_or_malformed_says_nothing() {
        let of = |value: Value| {
            let document = json!({ "acr_values_supported": value, "scopes_supported": ["openid"] });
            let supported = SupportedValues::of(document.as_object().unwrap());
            assert_eq!(supported.scopes, Some(vec!["openid".to_owned()]));
            assert_eq!(supported.claims, None);
            supported.acr_values
        };
        assert_eq!(of(json!(["gold", "1"])).unwrap(), ["gold", "1"]);
        assert_eq!(of(json!([])), Some(Vec::new()));
        for malformed in [json!(null), json!("gold"), json!(["gold", 1]), json!({})] {
            assert_eq!(of(malformed), None);
        }
    }
}
