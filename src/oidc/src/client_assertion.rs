//! Client authentication by a private key: `private_key_jwt` (OpenID Connect Core 1.0 § 9, RFC 7523 § 2.2).

use std::{fmt, sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use model::{
    clock::{Clock, Timestamp},
    random::Random,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

/// A private key of the client, whose public key the provider knows.
pub struct ClientKey {
    header: Header,
    key: EncodingKey,
}

/// The text is no key that can sign an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a private key in PEM form: RSA of 2048 bits or more, P-256, P-384 or Ed25519")]
pub struct ClientKeyError;

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

// === impl ClientKey ===

impl ClientKey {
    /// Reads a private key. `id` is the `kid` of the assertions, which a provider with several keys of
    /// the client needs.
    ///
    /// # Errors
    ///
    /// [`ClientKeyError`].
    pub fn from_pem(pem: &SecretString, id: Option<&str>) -> Result<Self, ClientKeyError> {
        let pem = pem.expose_secret().as_bytes();
        let keys = [
            (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
            (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
            (Algorithm::ES384, EncodingKey::from_ec_pem(pem)),
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem)),
        ];
        let of_kind = keys.into_iter().filter_map(|(algorithm, key)| {
            let header = Header {
                kid: id.map(ToOwned::to_owned),
                ..Header::new(algorithm)
            };
            Some((header, key.ok()?))
        });
        // The library reads the curve of a key, and the length of another, only when it signs.
        let mut usable = of_kind.filter(|(header, key)| {
            let signed = jsonwebtoken::encode(header, &(), key);
            signed.is_ok()
        });
        let (header, key) = usable.next().ok_or(ClientKeyError)?;
        Ok(Self { header, key })
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("algorithm", &self.header.alg)
            .field("id", &self.header.kid)
            .finish_non_exhaustive()
    }
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
        // Infallible: the key has signed before, and the claims are texts and numbers.
        let assertion = jsonwebtoken::encode(&self.key.header, &claims, &self.key.key)
            .expect("a key that has signed signs again");
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
    use model::jws::{ClaimsSet, Jws, KeySet};
    use serde_json::json;

    use super::*;

    fn pem(kind: &'static rcgen::SignatureAlgorithm) -> (SecretString, rcgen::KeyPair) {
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        (pair.serialize_pem().into(), pair)
    }

    #[test]
    fn each_kind_of_key_signs_with_its_algorithm() {
        for (kind, algorithm) in [
            (&rcgen::PKCS_RSA_SHA256, Algorithm::RS256),
            (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::ES384),
            (&rcgen::PKCS_ED25519, Algorithm::EdDSA),
        ] {
            let key = ClientKey::from_pem(&pem(kind).0, None).unwrap();
            assert_eq!(key.header.alg, algorithm);
            assert_eq!(key.header.kid, None);
        }
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for text in ["", "secret", broken] {
            let outcome = ClientKey::from_pem(&text.to_owned().into(), None);
            assert_eq!(outcome.unwrap_err(), ClientKeyError, "{text}");
        }
    }

    #[test]
    fn an_assertion_names_client_issuer_and_a_minute_and_none_is_like_another() {
        let (text, pair) = pem(&rcgen::PKCS_ECDSA_P256_SHA256);
        let key = ClientKey::from_pem(&text, Some("key-1")).unwrap();
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
