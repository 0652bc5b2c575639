//! Client authentication by a private key: `private_key_jwt` (OpenID Connect Core 1.0 § 9, RFC 7523 § 2.2).

use std::{sync::Arc, time::Duration};

use model::{
    clock::{Clock, Timestamp},
    random::Random,
};
use serde::Serialize;

use crate::client_key::ClientKey;

/// How a client authenticates by its key.
#[derive(Clone, Debug)]
pub struct KeyAuthentication {
    /// The key.
    pub key: Arc<ClientKey>,
    /// `aud` of the assertions; `None` for the issuer.
    pub audience: Option<String>,
}

/// Makes the assertions of one client for one provider.
pub(crate) struct ClientAssertions {
    client_id: String,
    audience: String,
    key: Arc<ClientKey>,
    clock: Clock,
    random: Random,
}

/// RFC 7523 § 3, OpenID Connect Core 1.0 § 9.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: &'a str,
    iat: Timestamp,
    exp: Timestamp,
}

// === impl ClientAssertions ===

impl ClientAssertions {
    pub(crate) fn new(
        authentication: &KeyAuthentication,
        client_id: &str,
        issuer: &str,
        clock: Clock,
        random: Random,
    ) -> Self {
        let audience = authentication.audience.as_deref().unwrap_or(issuer);
        Self {
            client_id: client_id.to_owned(),
            audience: audience.to_owned(),
            key: Arc::clone(&authentication.key),
            clock,
            random,
        }
    }

    /// The parameters of a request that authenticates the client; for one request only.
    pub(crate) fn parameters(&self) -> [(&'static str, String); 2] {
        let now = self.clock.now();
        let jti = self.random.text::<16>();
        let claims = Claims {
            iss: &self.client_id,
            sub: &self.client_id,
            aud: &self.audience,
            jti: &jti,
            iat: now,
            exp: now.after(LIFETIME),
        };
        let assertion = self.key.sign(&claims);
        [
            ("client_assertion_type", ASSERTION_TYPE.to_owned()),
            ("client_assertion", assertion),
        ]
    }
}

/// RFC 7523 § 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An assertion is sent at once; this is for clocks that differ.
const LIFETIME: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use jsonwebtoken::Algorithm;
    use model::jws::{ClaimsSet, Jws, KeySet};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_assertion_names_client_issuer_and_a_minute_and_none_is_like_another() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = ClientKey::from_pem(&pair.serialize_pem().into(), Some("key-1")).unwrap();
        assert!(!format!("{key:?}").contains("PRIVATE"));
        let authentication = KeyAuthentication {
            key: Arc::new(key),
            audience: None,
        };
        let (clock, _) = Clock::manual(Timestamp::from_unix(1_800_000_000));
        let issuer = "https://sso.example.org/realms/main";
        let assertions = ClientAssertions::new(
            &authentication,
            "jitsi",
            issuer,
            clock,
            Random::predictable(1),
        );
        let [(_, kind), (_, first)] = assertions.parameters();
        assert_eq!(kind, ASSERTION_TYPE);
        let [_, (_, second)] = assertions.parameters();
        assert_ne!(first, second);
        let point = pair.public_key_raw();
        let encode =
            |bytes| base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, bytes);
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "kid": "key-1",
            "x": encode(&point[1..33]), "y": encode(&point[33..]),
        });
        let keys = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        let jws = Jws::parse(&first, &[Algorithm::ES256]).unwrap();
        let mut claims: ClaimsSet = keys.open(&jws).unwrap();
        assert!(claims.remove("jti").unwrap().as_str().unwrap().len() >= 16);
        let expected = json!({
            "iss": "jitsi", "sub": "jitsi", "aud": issuer,
            "iat": 1_800_000_000, "exp": 1_800_000_060,
        });
        assert_eq!(json!(claims), expected);
    }
}
