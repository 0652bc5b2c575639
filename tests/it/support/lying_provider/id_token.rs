//! The ID token, with its faults.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::json;

use super::{ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, Core, Lie, SUBJECT, SigningKey, overlay};
use crate::support::signing_key::{message, sign_with_secret};

// === impl Core ===

impl Core {
    pub(super) fn id_token(&self, lie: Lie, nonce: &str) -> String {
        let now = self.clock.now().as_unix();
        let (key, changes) = {
            let mind = self.mind();
            (mind.keys[0].clone(), mind.id_token.clone())
        };
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT_ID, "sub": SUBJECT, "nonce": nonce, "sid": "session-1",
            "iat": now, "exp": now + 300, "at_hash": half_hash(key.algorithm, ACCESS_TOKEN),
        });
        overlay(&mut claims, &changes);
        let mut head = key.head();
        let lied = match lie {
            Lie::NonceInvalid => json!({ "nonce": "another" }),
            Lie::NonceMissing => json!({ "nonce": null }),
            Lie::InvalidIss => json!({ "iss": "https://other.example" }),
            Lie::MissingIss => json!({ "iss": null }),
            Lie::InvalidAud => json!({ "aud": "other" }),
            Lie::MissingAud => json!({ "aud": null }),
            Lie::SecondAudWithoutAzp => json!({ "aud": [CLIENT_ID, "other"] }),
            Lie::AzpForeign => json!({ "azp": "other" }),
            Lie::Expired => json!({ "exp": now - 61 }),
            Lie::ExpiredForEver => json!({ "exp": 0 }),
            Lie::MissingExp => json!({ "exp": null }),
            Lie::NotYetValid => json!({ "nbf": now + 3600 }),
            Lie::MissingIat => json!({ "iat": null }),
            Lie::IatInFuture => json!({ "iat": now + 600 }),
            Lie::MissingSub => json!({ "sub": null }),
            Lie::EmptySub => json!({ "sub": "" }),
            Lie::LongSub => json!({ "sub": "x".repeat(256) }),
            Lie::WrongAtHash => json!({ "at_hash": half_hash(key.algorithm, "another") }),
            _ => json!({}),
        };
        overlay(&mut claims, &lied);
        let other = || SigningKey::new(&key.kid, Algorithm::ES256);
        match lie {
            Lie::SigNone => {
                return format!("{}.", message(&json!({ "alg": "none" }), &claims));
            }
            Lie::SigHs256WithPublicKey => return key.sign_with_public_key(&claims),
            Lie::SigHs256WithClientSecret => {
                return sign_with_secret(&key.kid, CLIENT_SECRET.as_bytes(), &claims);
            }
            Lie::SigWithAlgorithmNotAllowed => {
                let key = SigningKey::new(&key.kid, Algorithm::RS512);
                return key.sign(&key.head(), &claims);
            }
            Lie::SigWithEmbeddedKey => {
                head["jwk"] = other().jwk();
                return other().sign(&head, &claims);
            }
            Lie::InvalidSig => {
                let other = key.sign(&head, &json!({ "sub": "other" }));
                let signature = other.rsplit('.').next().unwrap();
                return format!("{}.{signature}", message(&head, &claims));
            }
            Lie::Encrypted => return format!("{}.a.a", key.sign(&head, &claims)),
            Lie::DotBomb => return ".".repeat(200_000),
            Lie::CriticalHeader => head["crit"] = json!(["b64"]),
            Lie::KidUnknown => head["kid"] = json!("../../etc/passwd"),
            Lie::KidAbsentMultipleJwks => overlay(&mut head, &json!({ "kid": null })),
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
