//! The claims that say whose a token is, for whom, and when (RFC 7519 § 4.1): the same questions
//! for ID tokens and logout tokens.

use std::time::Duration;

use serde_json::Value;

use model::{
    clock::Timestamp,
    jws::{ClaimsSet, TokenError, text, time},
};

/// What the registered claims of a token have to be.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) now: Timestamp,
    /// How far the provider's clock may be off.
    pub(super) leeway: Duration,
}

// === impl Expected ===

impl Expected<'_> {
    /// `iss` is exactly our provider.
    pub(super) fn issuer(&self, claims: &ClaimsSet) -> Result<(), TokenError> {
        let same = text(claims, "iss") == Some(self.issuer);
        same.then_some(()).ok_or(TokenError::Issuer)
    }

    /// `aud` names us. Other audiences beside us are taken only if `azp` says that the token was
    /// issued to us, and an `azp` must never name anybody else.
    pub(super) fn audience(&self, claims: &ClaimsSet) -> Result<(), TokenError> {
        let others = match claims.get("aud") {
            Some(Value::String(one)) if one == self.client_id => false,
            Some(Value::Array(several)) => {
                let ours = |audience: &Value| audience.as_str() == Some(self.client_id);
                if !several.iter().any(ours) {
                    return Err(TokenError::Audience);
                }
                !several.iter().all(ours)
            }
            _ => return Err(TokenError::Audience),
        };
        match claims.get("azp") {
            Some(party) if party.as_str() == Some(self.client_id) => Ok(()),
            None if !others => Ok(()),
            _ => Err(TokenError::AuthorizedParty),
        }
    }

    /// `exp` lies ahead, `nbf` does not.
    pub(super) fn still_valid(&self, claims: &ClaimsSet) -> Result<(), TokenError> {
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

    /// `iat`, which does not lie ahead.
    pub(super) fn issued(&self, claims: &ClaimsSet) -> Result<Timestamp, TokenError> {
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

    const EXPECTED: Expected<'_> = Expected {
        issuer: "https://sso.example.org",
        client_id: "jitsi",
        now: Timestamp::from_unix(1000),
        leeway: Duration::from_mins(1),
    };

    fn claims(value: Value) -> ClaimsSet {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_issuer_is_compared_letter_by_letter() {
        assert_eq!(
            EXPECTED.issuer(&claims(json!({"iss": EXPECTED.issuer}))),
            Ok(())
        );
        for iss in [
            json!("https://sso.example.org/"),
            json!("https://SSO.example.org"),
            json!(["https://sso.example.org"]),
            json!(null),
        ] {
            let result = EXPECTED.issuer(&claims(json!({"iss": iss})));
            assert_eq!(result, Err(TokenError::Issuer));
        }
    }

    #[test]
    fn audiences_and_the_authorized_party() {
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
                EXPECTED.audience(&claims(given.clone())),
                expected,
                "{given}"
            );
        }
    }

    #[test]
    fn times_have_a_leeway_and_no_odd_forms() {
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
            let result = EXPECTED.still_valid(&claims(given.clone()));
            assert_eq!(result, expected, "{given}");
        }
        let issued = |iat: Value| EXPECTED.issued(&claims(json!({ "iat": iat })));
        assert_eq!(issued(json!(1060)), Ok(Timestamp::from_unix(1060)));
        assert_eq!(issued(json!(1061)), Err(TokenError::IssuedInFuture));
        assert_eq!(issued(json!("5")), Err(TokenError::NoIssueTime));
    }
}
