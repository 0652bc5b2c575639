//! An issuer's public keys (JWK Set, RFC 7517 § 5), and the choice of the one that signed a token.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Jws, TokenError};

/// The keys that may sign tokens; never empty, never with a symmetric key.
pub struct KeySet(Vec<Key>);

/// Why a document is not a usable key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not `{"keys": […]}`.
    #[error("the key set is not of the expected form")]
    Malformed,
    /// It has no asymmetric signing key of a supported kind.
    #[error("the key set has no usable key")]
    Empty,
}

struct Key {
    kid: Option<String>,
    /// The only algorithm of the key, if the issuer restricts it.
    algorithm: Option<KeyAlgorithm>,
    kind: Kind,
    key: DecodingKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

// === impl KeySet ===

impl KeySet {
    /// Parses a key set. Keys of unknown kinds or for other uses are skipped (RFC 7517 § 5).
    ///
    /// # Errors
    ///
    /// [`KeySetError`].
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        let document: Document =
            serde_json::from_slice(document).map_err(|_| KeySetError::Malformed)?;
        let keys: Vec<_> = document
            .keys
            .into_iter()
            .filter_map(|key| Key::parse(key).ok().flatten())
            .take(MAX_KEYS)
            .collect();
        if keys.is_empty() {
            return Err(KeySetError::Empty);
        }
        Ok(Self(keys))
    }

    /// Verifies the token by the key that fits its `kid` and algorithm, and returns the claims.
    ///
    /// Some issuers publish a key twice, two keys under one `kid`, or keys without one: those are
    /// tried in turn. A token without `kid` is refused if keys with different ones fit, because
    /// the issuer then has to name the key (OpenID Connect Core 1.0 § 10.1).
    ///
    /// # Errors
    ///
    /// [`TokenError::UnknownKey`], [`TokenError::AmbiguousKey`], and those of the signature.
    pub fn open<C: DeserializeOwned>(&self, token: &Jws<'_>) -> Result<C, TokenError> {
        let fitting = |kid: Option<&str>| {
            let kid = kid.map(str::to_owned);
            self.0
                .iter()
                .filter(move |key| key.fits(token.algorithm()) && key.kid == kid)
        };
        let candidates: Vec<&Key> = match token.kid() {
            // A key without `kid` may be any.
            Some(kid) => fitting(Some(kid)).chain(fitting(None)).collect(),
            None => self
                .0
                .iter()
                .filter(|key| key.fits(token.algorithm()))
                .collect(),
        };
        let mut result = Err(TokenError::UnknownKey);
        if token.kid().is_none() {
            let mut kids = candidates.iter().map(|key| &key.kid);
            let first = kids.next();
            if kids.any(|kid| Some(kid) != first) {
                return Err(TokenError::AmbiguousKey);
            }
        }
        for key in candidates.into_iter().take(MAX_TRIED) {
            result = token.verified_by(&key.key);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

// === impl Key ===

impl Key {
    fn parse(key: Value) -> Result<Option<Self>, Box<dyn std::error::Error>> {
        let jwk: Jwk = serde_json::from_value(key)?;
        let common = jwk.common;
        let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
        let verifies = common
            .key_operations
            .as_ref()
            .is_none_or(|uses| uses.contains(&KeyOperations::Verify));
        let (kind, key) = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                (Kind::Rsa, DecodingKey::from_rsa_components(&rsa.n, &rsa.e)?)
            }
            AlgorithmParameters::EllipticCurve(point) => {
                let kind = match point.curve {
                    EllipticCurve::P256 => Kind::P256,
                    EllipticCurve::P384 => Kind::P384,
                    _ => return Ok(None),
                };
                (kind, DecodingKey::from_ec_components(&point.x, &point.y)?)
            }
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                (Kind::Ed25519, DecodingKey::from_ed_components(&pair.x)?)
            }
            // A published symmetric key is no secret.
            _ => return Ok(None),
        };
        let key = Self {
            kid: common.key_id,
            algorithm: common.key_algorithm,
            kind,
            key,
        };
        Ok((signs && verifies).then_some(key))
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match (algorithm, algorithm.family()) {
            (_, AlgorithmFamily::Rsa) => Kind::Rsa,
            (Algorithm::ES256, _) => Kind::P256,
            (Algorithm::ES384, _) => Kind::P384,
            (_, AlgorithmFamily::Ed) => Kind::Ed25519,
            _ => return false,
        };
        self.kind == kind
            && self
                .algorithm
                .is_none_or(|only| only == KeyAlgorithm::from(algorithm))
    }
}

/// Bounds the work on a forged token.
const MAX_TRIED: usize = 8;

/// Providers publish two to ten keys. Each key costs a comparison per token.
const MAX_KEYS: usize = 100;

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use rcgen::KeyPair;
    use serde_json::json;

    use super::*;
    use crate::jws::ClaimsSet;

    struct Signer {
        key: EncodingKey,
        jwk: Value,
    }

    impl Signer {
        fn new(kid: Option<&str>) -> Self {
            let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
            let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
            let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
            let mut jwk = serde_json::to_value(jwk).unwrap();
            if let Some(kid) = kid {
                jwk["kid"] = json!(kid);
            }
            Self { key, jwk }
        }

        fn sign(&self, kid: Option<&str>) -> String {
            let head = Header {
                kid: kid.map(str::to_owned),
                ..Header::new(Algorithm::ES256)
            };
            encode(&head, &json!({"sub": "1"}), &self.key).unwrap()
        }
    }

    fn set(keys: &[&Value]) -> Result<KeySet, KeySetError> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn open(keys: &KeySet, token: &str) -> Result<(), TokenError> {
        let jws = Jws::parse(token, &[Algorithm::ES256]).unwrap();
        keys.open::<ClaimsSet>(&jws).map(drop)
    }

    #[test]
    fn the_key_is_selected_by_its_id() {
        let (one, two) = (Signer::new(Some("1")), Signer::new(Some("2")));
        let keys = set(&[&one.jwk, &two.jwk]).unwrap();
        assert_eq!(open(&keys, &two.sign(Some("2"))), Ok(()));
        assert_eq!(
            open(&keys, &two.sign(Some("1"))),
            Err(TokenError::Signature)
        );
        for kid in ["3", "", "../1", "' OR 1=1"] {
            let token = one.sign(Some(kid));
            assert_eq!(open(&keys, &token), Err(TokenError::UnknownKey), "{kid}");
        }
        assert_eq!(open(&keys, &one.sign(None)), Err(TokenError::AmbiguousKey));
    }

    #[test]
    fn a_token_without_a_key_id_verifies_by_the_only_fitting_key() {
        let signer = Signer::new(None);
        let rsa = json!({"kty": "RSA", "n": "sXch", "e": "AQAB"});
        let keys = set(&[&rsa, &signer.jwk]).unwrap();
        assert_eq!(open(&keys, &signer.sign(None)), Ok(()));
    }

    #[test]
    fn keys_that_their_ids_do_not_tell_apart_are_tried_in_turn() {
        let signers = [None, None, Some("1"), Some("1"), Some("2")].map(Signer::new);
        let [plain, other, one, namesake, two] = &signers;
        let (good, forged, ambiguous) = (
            Ok(()),
            Err(TokenError::Signature),
            Err(TokenError::AmbiguousKey),
        );
        for (published, signer, kid, expected) in [
            // The same key twice.
            (&[one, one][..], one, Some("1"), good),
            (&[one, one], one, None, good),
            (&[plain, plain], plain, None, good),
            (&[one, one], two, Some("1"), forged),
            // Two keys under one id, as during a rotation.
            (&[one, namesake], one, Some("1"), good),
            (&[one, namesake], namesake, Some("1"), good),
            (&[one, namesake], two, Some("1"), forged),
            // Keys without ids.
            (&[plain, other], plain, None, good),
            (&[plain, other], other, None, good),
            (&[plain, other], other, Some("x"), good),
            (&[plain, other], two, None, forged),
            // The token has to say which.
            (&[one, two], two, None, ambiguous),
            (&[plain, two], two, None, ambiguous),
        ] {
            let published: Vec<_> = published.iter().map(|signer| &signer.jwk).collect();
            let keys = set(&published).unwrap();
            assert_eq!(
                open(&keys, &signer.sign(kid)),
                expected,
                "{published:?} {kid:?}"
            );
        }
    }

    #[test]
    fn unusable_keys_are_skipped() {
        let signer = Signer::new(Some("1"));
        let with = |name: &str, value: Value| {
            let mut key = signer.jwk.clone();
            key[name] = value;
            key
        };
        let unusable = [
            json!({"kty": "oct", "k": "AAAA", "kid": "1"}),
            json!({"kty": "new", "kid": "1"}),
            json!("text"),
            with("use", json!("enc")),
            with("key_ops", json!(["sign"])),
            with("crv", json!("P-521")),
            with("x", json!("!")),
        ];
        for key in &unusable {
            assert_eq!(set(&[key]).err(), Some(KeySetError::Empty), "{key}");
            let keys = set(&[key, &signer.jwk]).unwrap();
            assert_eq!(open(&keys, &signer.sign(Some("1"))), Ok(()));
        }
        let other = with("alg", json!("ES384"));
        let keys = set(&[&other]).unwrap();
        let token = signer.sign(Some("1"));
        assert_eq!(open(&keys, &token), Err(TokenError::UnknownKey));
        assert_eq!(
            KeySet::parse(b"[]").err(),
            Some(KeySetError::Malformed),
            "an array is no set"
        );
    }
}
