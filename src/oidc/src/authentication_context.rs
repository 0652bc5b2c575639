//! `acr`, `amr` and `auth_time` of an ID token (OpenID Connect Core 1.0 § 2, and § 3.1.3.7, 12. and 13.).

use std::time::Duration;

use model::{
    authentication_context::AuthenticationContext,
    clock::Timestamp,
    jws::{ClaimsSet, text, time},
};
use serde_json::Value;

/// Reads what the token says about the authentication. A claim of another form counts as missing, so that
/// it fulfils no requirement and breaks no sign-in without one; so does an `auth_time` in the future.
pub fn authentication_context(
    claims: &ClaimsSet,
    now: Timestamp,
    leeway: Duration,
) -> AuthenticationContext {
    let amr: Vec<&str> = match claims.get("amr") {
        Some(Value::Array(methods)) => methods.iter().filter_map(Value::as_str).collect(),
        // Some providers write a single method as a text.
        Some(Value::String(method)) => vec![method],
        _ => Vec::new(),
    };
    let auth_time = time(claims, "auth_time").filter(|at| *at <= now.after(leeway));
    AuthenticationContext::new(text(claims, "acr"), amr, auth_time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_of_another_form_count_as_missing() {
        let now = Timestamp::from_unix(1_000);
        let read = |claims: Value| {
            let claims = serde_json::from_value(claims).unwrap();
            let context = authentication_context(&claims, now, Duration::from_mins(1));
            let amr = context.amr().join(" ");
            let at = context.auth_time().map(Timestamp::as_unix);
            (context.acr().map(ToOwned::to_owned), amr, at)
        };
        let none = || (None, String::new(), None);
        for (claims, expected) in [
            (json!({}), none()),
            (
                json!({"acr": "2", "amr": ["pwd", "otp"], "auth_time": 940}),
                (Some("2".to_owned()), "pwd otp".to_owned(), Some(940)),
            ),
            (
                json!({"auth_time": 1_060}),
                (None, String::new(), Some(1_060)),
            ),
            (json!({"auth_time": 1_061}), none()),
            (json!({"auth_time": "940"}), none()),
            (json!({"auth_time": -1}), none()),
            (json!({"acr": 2, "amr": {"pwd": true}}), none()),
            (json!({"acr": "", "amr": [1, ["x"], ""]}), none()),
            (
                json!({"acr": "x".repeat(201), "amr": ["x".repeat(33)]}),
                none(),
            ),
            (json!({"amr": "mfa"}), (None, "mfa".to_owned(), None)),
            (
                json!({"amr": vec!["a"; 20]}),
                (None, ["a"; 8].join(" "), None),
            ),
        ] {
            assert_eq!(read(claims.clone()), expected, "{claims}");
        }
    }
}
