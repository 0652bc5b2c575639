//! Signing keys of the test provider.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, crypto, jwk::Jwk};
use rcgen::KeyPair;
use serde_json::{Value, json};

/// A key pair that signs tokens.
#[derive(Clone)]
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    private: EncodingKey,
    public: Vec<u8>,
    public_pem: String,
}

// === impl SigningKey ===

impl SigningKey {
    pub(crate) fn new(kid: &str, algorithm: Algorithm) -> Self {
        let generate = |kind| KeyPair::generate_for(kind).unwrap();
        let (pair, private) = match (algorithm, algorithm.family()) {
            (_, AlgorithmFamily::Rsa) => {
                let pair = KeyPair::from_pem(&RSA).unwrap();
                (pair, EncodingKey::from_rsa_pem(RSA.as_bytes()))
            }
            (Algorithm::ES384, _) => ec(generate(&rcgen::PKCS_ECDSA_P384_SHA384)),
            (_, AlgorithmFamily::Ec) => ec(generate(&rcgen::PKCS_ECDSA_P256_SHA256)),
            (_, AlgorithmFamily::Ed) => {
                let pair = generate(&rcgen::PKCS_ED25519);
                let private = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes());
                (pair, private)
            }
            (_, AlgorithmFamily::Hmac) => unreachable!("a provider publishes no symmetric keys"),
        };
        Self {
            kid: kid.to_owned(),
            algorithm,
            private: private.unwrap(),
            public: pair.public_key_raw().to_vec(),
            public_pem: pair.public_key_pem(),
        }
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = if self.algorithm == Algorithm::EdDSA {
            let x = BASE64_URL_SAFE_NO_PAD.encode(&self.public);
            json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x })
        } else {
            let jwk = Jwk::from_encoding_key(&self.private, self.algorithm).unwrap();
            serde_json::to_value(jwk).unwrap()
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    pub(crate) fn head(&self) -> Value {
        json!({ "alg": format!("{:?}", self.algorithm), "kid": self.kid, "typ": "JWT" })
    }

    /// Signs with this key, whatever the header says.
    pub(crate) fn sign(&self, head: &Value, claims: &Value) -> String {
        let message = message(head, claims);
        let signature = crypto::sign(message.as_bytes(), &self.private, self.algorithm);
        format!("{message}.{}", signature.unwrap())
    }

    /// Signs with HS256 and the public key's text as the secret (algorithm confusion).
    pub(crate) fn sign_with_public_key(&self, claims: &Value) -> String {
        sign_with_secret(&self.kid, self.public_pem.as_bytes(), claims)
    }
}

pub(crate) fn sign_with_secret(kid: &str, secret: &[u8], claims: &Value) -> String {
    let head = json!({ "alg": "HS256", "kid": kid });
    let message = message(&head, claims);
    let secret = EncodingKey::from_secret(secret);
    let signature = crypto::sign(message.as_bytes(), &secret, Algorithm::HS256);
    format!("{message}.{}", signature.unwrap())
}

pub(crate) fn message(head: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(head), part(claims))
}

/// A private RSA key.
pub(crate) fn rsa_pem() -> &'static str {
    &RSA
}

fn ec(pair: KeyPair) -> (KeyPair, jsonwebtoken::errors::Result<EncodingKey>) {
    let private = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes());
    (pair, private)
}

/// One key for all tests, because generating an RSA key is slow.
static RSA: LazyLock<String> = LazyLock::new(|| {
    KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)
        .unwrap()
        .serialize_pem()
});
