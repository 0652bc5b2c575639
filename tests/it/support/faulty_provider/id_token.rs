//! The ID token, with its faults.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::json;

use super::{
    ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, Core, ProviderFault, SUBJECT, SigningKey, overlay,
};
use crate::support::signing_key::{message, sign_with_secret};

// === impl Core ===

impl Core {
    pub(super) fn id_token(&self, fault: ProviderFault, nonce: Option<&str>) -> String {
        let now = self.clock.now().as_unix();
        let (key, changes) = {
            let behaviour = self.behaviour();
            (behaviour.keys[0].clone(), behaviour.id_token.clone())
        };
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT_ID, "sub": SUBJECT, "sid": "session-1",
            "iat": now, "exp": now + 300, "at_hash": half_hash(key.algorithm, ACCESS_TOKEN),
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        overlay(&mut claims, &changes);
        let mut head = key.head();
        let lied = match fault {
            ProviderFault::NonceInvalid => json!({ "nonce": "another" }),
            ProviderFault::NonceMissing => json!({ "nonce": null }),
            ProviderFault::InvalidIss => json!({ "iss": "https://other.example" }),
            ProviderFault::MissingIss => json!({ "iss": null }),
            ProviderFault::InvalidAud => json!({ "aud": "other" }),
            ProviderFault::MissingAud => json!({ "aud": null }),
            ProviderFault::SecondAudWithoutAzp => json!({ "aud": [CLIENT_ID, "other"] }),
            ProviderFault::AzpForeign => json!({ "azp": "other" }),
            ProviderFault::Expired => json!({ "exp": now - 61 }),
            ProviderFault::ExpiredForEver => json!({ "exp": 0 }),
            ProviderFault::MissingExp => json!({ "exp": null }),
            ProviderFault::NotYetValid => json!({ "nbf": now + 3600 }),
            ProviderFault::MissingIat => json!({ "iat": null }),
            ProviderFault::IatInFuture => json!({ "iat": now + 600 }),
            ProviderFault::MissingSub => json!({ "sub": null }),
            ProviderFault::EmptySub => json!({ "sub": "" }),
            ProviderFault::LongSub => json!({ "sub": "x".repeat(256) }),
            ProviderFault::WrongAtHash => json!({ "at_hash": half_hash(key.algorithm, "another") }),
            _ => json!({}),
        };
        overlay(&mut claims, &lied);
        let other = || SigningKey::new(&key.kid, Algorithm::ES256);
        match fault {
            ProviderFault::SigNone => {
                return format!("{}.", message(&json!({ "alg": "none" }), &claims));
            }
            ProviderFault::SigHs256WithPublicKey => return key.sign_with_public_key(&claims),
            ProviderFault::SigHs256WithClientSecret => {
                return sign_with_secret(&key.kid, CLIENT_SECRET.as_bytes(), &claims);
            }
            ProviderFault::SigWithAlgorithmNotAllowed => {
                let key = SigningKey::new(&key.kid, Algorithm::RS512);
                return key.sign(&key.head(), &claims);
            }
            ProviderFault::SigWithEmbeddedKey => {
                head["jwk"] = other().jwk();
                return other().sign(&head, &claims);
            }
            ProviderFault::InvalidSig => {
                let other = key.sign(&head, &json!({ "sub": "other" }));
                let signature = other.rsplit('.').next().unwrap();
                return format!("{}.{signature}", message(&head, &claims));
            }
            ProviderFault::Encrypted => return format!("{}.a.a", key.sign(&head, &claims)),
            ProviderFault::DotBomb => return ".".repeat(200_000),
            ProviderFault::CriticalHeader => head["crit"] = json!(["b64"]),
            ProviderFault::KidUnknown => head["kid"] = json!("../../etc/passwd"),
            ProviderFault::KidAbsentMultipleJwks | ProviderFault::KidAbsentSingleJwks => {
                overlay(&mut head, &json!({ "kid": null }));
            }
            _ => {}
        }
        key.sign(&head, &claims)
    }
}

fn half_hash(algorithm: Algorithm, text: &str) -> String {
    let hash = match format!("{algorithm:?}").get(2..) {
        Some("256") => &SHA256,
        Some("384") => &SHA384,
        _ => &SHA512,
    };
    let hash = digest::digest(hash, text.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}
