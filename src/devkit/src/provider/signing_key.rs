//! The provider's signing key.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, jwk::Jwk};
use model::random::Random;
use serde_json::{Value, json};

use crate::DevkitError;

/// An RSA key pair, generated at start.
pub(super) struct SigningKey {
    kid: String,
    private: EncodingKey,
    public: DecodingKey,
    jwks: String,
}

// === impl SigningKey ===

impl SigningKey {
    pub(super) fn generate(random: &Random) -> Result<Self, DevkitError> {
        let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?.serialize_pem();
        let private = EncodingKey::from_rsa_pem(pem.as_bytes())?;
        let kid = random.text::<8>();
        let mut jwk = Jwk::from_encoding_key(&private, Algorithm::RS256)?;
        let public = DecodingKey::from_jwk(&jwk)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
        Ok(Self {
            kid,
            private,
            public,
            jwks: json!({ "keys": [jwk] }).to_string(),
        })
    }

    /// The public half as a JSON Web Key Set.
    pub(super) fn jwks(&self) -> &str {
        &self.jwks
    }

    /// Signs claims as a JWT of this type.
    pub(super) fn sign(&self, typ: &str, claims: &Value) -> String {
        let header = Header {
            typ: Some(typ.to_owned()),
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::RS256)
        };
        jsonwebtoken::encode(&header, claims, &self.private)
            // Infallible: a generated RSA key signs, and JSON values serialize.
            .expect("a generated key signs JSON")
    }

    /// Verifies the signature of a token and returns its claims, expired or not.
    pub(super) fn verify(&self, token: &str) -> Option<Value> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let verified = jsonwebtoken::decode(token, &self.public, &validation).ok()?;
        Some(verified.claims)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}
