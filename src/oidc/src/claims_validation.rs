//! Checks of `iss`, `aud`, `azp`, `exp`, `nbf` and `iat` (RFC 7519 § 4.1), shared by ID tokens and
//! logout tokens.

use std::time::Duration;

use model::{
    clock::Timestamp,
    jws::{ClaimsSet, TokenError, text, time},
};
use serde_json::Value;

/// The expected values of a token's registered claims.
#[derive(Clone, Copy)]
pub(crate) struct ClaimsValidation<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    /// Audiences beside the client that need no `azp`.
    pub(crate) other_audiences: &'a [String],
    pub(crate) now: Timestamp,
    /// Tolerated clock difference.
    pub(crate) leeway: Duration,
}

// === impl ClaimsValidation ===

impl ClaimsValidation<'_> {
    /// `iss` equals the configured issuer.
    pub(crate) fn check_issuer(&self, claims: &ClaimsSet) -> Result<(), TokenError> {
        let same = text(claims, "iss") == Some(self.issuer);
        same.then_some(()).ok_or(TokenError::Issuer)
    }

    /// `aud` contains the client id. Additional audiences require `azp` unless the configuration
    /// lists them, and `azp`, if present, must equal the client id (OpenID Connect Core 1.0
    /// § 3.1.3.7, 3. to 5.).
    pub(crate) fn check_audience(&self, claims: &ClaimsSet) -> Result<(), TokenError> {
        let has_others = match claims.get("aud") {
            Some(Value::String(one)) if one == self.client_id => false,
            Some(Value::Array(several)) => {
                let is_client = |audience: &Value| audience.as_str() == Some(self.client_id);
                if !several.iter().any(is_client) {
                    return Err(TokenError::Audience);
                }
                let is_listed = |audience: &Value| {
                    audience.as_str().is_some_and(|audience| {
                        self.other_audiences.iter().any(|listed| listed == audience)
                    })
                };
                !several
                    .iter()
                    .all(|audience| is_client(audience) || is_listed(audience))
            }
            _ => return Err(TokenError::Audience),
        };
        match claims.get("azp") {
            Some(party) if party.as_str() == Some(self.client_id) => Ok(()),
            None if !has_others => Ok(()),
            _ => Err(TokenError::AuthorizedParty),
        }
    }

    /// `exp` is in the future, and `nbf`, if present, is not.
    pub(crate) fn check_lifetime(&self, claims: &ClaimsSet) -> Result<(), TokenError> {
        let expires = time(claims, "exp").ok_or(TokenError::NoExpiry)?;
        if expires.after(self.leeway) <= self.now {
            return Err(TokenError::Expired);
        }
        match claims.get("nbf").map(|_| time(claims, "nbf")) {
            None => Ok(()),
            Some(Some(begins)) if begins <= self.now.after(self.leeway) => Ok(()),
            Some(_) => Err(TokenError::NotYetValid),
        }
    }

    /// Returns `iat`, which must not be in the future.
    pub(crate) fn check_issue_time(&self, claims: &ClaimsSet) -> Result<Timestamp, TokenError> {
        let issued = time(claims, "iat").ok_or(TokenError::NoIssueTime)?;
        if issued > self.now.after(self.leeway) {
            return Err(TokenError::IssuedInFuture);
        }
        Ok(issued)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const VALIDATION: ClaimsValidation<'_> = ClaimsValidation {
        issuer: "https://sso.example.org",
        client_id: "jitsi",
        other_audiences: &[],
        now: Timestamp::from_unix(1000),
        leeway: Duration::from_mins(1),
    };

    fn claims(value: Value) -> ClaimsSet {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn issuer_is_compared_byte_by_byte() {
        assert_eq!(
            VALIDATION.check_issuer(&claims(json!({"iss": VALIDATION.issuer}))),
            Ok(())
        );
        for iss in [
            json!("https://sso.example.org/"),
            json!("https://SSO.example.org"),
            json!(["https://sso.example.org"]),
            json!(null),
        ] {
            let result = VALIDATION.check_issuer(&claims(json!({"iss": iss})));
            assert_eq!(result, Err(TokenError::Issuer));
        }
    }

    #[test]
    fn additional_audiences_require_the_authorized_party() {
        let cases = [
            (json!({"aud": "jitsi"}), Ok(())),
            (json!({"aud": ["jitsi"]}), Ok(())),
            (json!({"aud": "jitsi", "azp": "jitsi"}), Ok(())),
            (json!({"aud": ["jitsi", "account"], "azp": "jitsi"}), Ok(())),
            (
                json!({"aud": ["jitsi", "account"]}),
                Err(TokenError::AuthorizedParty),
            ),
            (
                json!({"aud": "jitsi", "azp": "account"}),
                Err(TokenError::AuthorizedParty),
            ),
            (
                json!({"aud": "jitsi", "azp": null}),
                Err(TokenError::AuthorizedParty),
            ),
            (json!({}), Err(TokenError::Audience)),
            (json!({"aud": "jitsi2"}), Err(TokenError::Audience)),
            (json!({"aud": []}), Err(TokenError::Audience)),
            (
                json!({"aud": ["account"], "azp": "jitsi"}),
                Err(TokenError::Audience),
            ),
            (json!({"aud": {"jitsi": 1}}), Err(TokenError::Audience)),
        ];
        for (given, expected) in cases {
            assert_eq!(
                VALIDATION.check_audience(&claims(given.clone())),
                expected,
                "{given}"
            );
        }
    }

    #[test]
    fn a_listed_audience_needs_no_authorized_party() {
        let listed = ["https://api.example.org".to_owned()];
        let validation = ClaimsValidation {
            other_audiences: &listed,
            ..VALIDATION
        };
        let api = "https://api.example.org";
        for (given, expected) in [
            (json!({"aud": ["jitsi", api]}), Ok(())),
            (json!({"aud": ["jitsi", api], "azp": "jitsi"}), Ok(())),
            (
                json!({"aud": ["jitsi", api, "other"]}),
                Err(TokenError::AuthorizedParty),
            ),
            (
                json!({"aud": ["jitsi", api], "azp": "other"}),
                Err(TokenError::AuthorizedParty),
            ),
            (json!({"aud": [api]}), Err(TokenError::Audience)),
            (json!({"aud": api}), Err(TokenError::Audience)),
        ] {
            let result = validation.check_audience(&claims(given.clone()));
            assert_eq!(result, expected, "{given}");
        }
    }

    #[test]
    fn times_are_checked_with_leeway_and_must_be_numbers() {
        let cases = [
            (json!({"exp": 1001}), Ok(())),
            (json!({"exp": 941}), Ok(())),
            (json!({"exp": 941.5}), Ok(())),
            (json!({"exp": 1e300}), Ok(())),
            (json!({"exp": 940}), Err(TokenError::Expired)),
            (json!({"exp": -5}), Err(TokenError::NoExpiry)),
            (json!({"exp": "2000"}), Err(TokenError::NoExpiry)),
            (json!({"exp": null}), Err(TokenError::NoExpiry)),
            (json!({"exp": [2000]}), Err(TokenError::NoExpiry)),
            (json!({}), Err(TokenError::NoExpiry)),
            (json!({"exp": 2000, "nbf": 1060}), Ok(())),
            (
                json!({"exp": 2000, "nbf": 1061}),
                Err(TokenError::NotYetValid),
            ),
            (
                json!({"exp": 2000, "nbf": "x"}),
                Err(TokenError::NotYetValid),
            ),
        ];
        for (given, expected) in cases {
            let result = VALIDATION.check_lifetime(&claims(given.clone()));
            assert_eq!(result, expected, "{given}");
        }
        let issued = |iat: Value| VALIDATION.check_issue_time(&claims(json!({ "iat": iat })));
        assert_eq!(issued(json!(1060)), Ok(Timestamp::from_unix(1060)));
        assert_eq!(issued(json!(1061)), Err(TokenError::IssuedInFuture));
        assert_eq!(issued(json!("5")), Err(TokenError::NoIssueTime));
    }
}
