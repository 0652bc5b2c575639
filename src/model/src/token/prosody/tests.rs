use base64::Engine;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::{parts::BASE64, *};
use crate::token::{KeySettings, SigningSettings};

mod joining;

const NOW: Timestamp = Timestamp::from_unix(1_000_000);
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Claims as the gateway mints them, with a change.
fn claims(change: impl FnOnce(&mut Map<String, Value>)) -> Value {
    let mut claims = json!({
        "iss": "gateway", "aud": "jitsi", "sub": "meet.jitsi", "room": "team",
        "iat": 999_990, "nbf": 999_940, "exp": 1_000_120,
        "context": {"user": {"id": "42", "name": "Zoë", "moderator": true}},
    });
    change(claims.as_object_mut().unwrap());
    claims
}

fn sign_with(head: &Value, claims: &Value, algorithm: Algorithm, key: &EncodingKey) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string()).replace('=', "");
    let message = format!("{}.{}", part(head), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn signed(claims: &Value) -> String {
    let head = json!({"typ": "JWT", "alg": "HS256"});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    sign_with(&head, claims, Algorithm::HS256, &key)
}

fn settings(signing: SigningSettings) -> TokenSettings {
    TokenSettings {
        issuer: "gateway".to_owned(),
        audience: "jitsi".to_owned(),
        subject: "meet.jitsi".to_owned(),
        lifetime: std::time::Duration::from_mins(2),
        claims: crate::token::PersonalClaims::ALL,
        signing,
    }
}

fn rules() -> ProsodyRules {
    ProsodyRules::for_tokens_of(&settings(SigningSettings::Secret {
        algorithm: Algorithm::HS256,
        secret: SECRET.to_owned().into(),
    }))
    .unwrap()
}

/// The refusal's condition and text, as a client receives them.
fn answer(rules: &ProsodyRules, token: Option<&str>) -> String {
    match rules.verify(token, NOW) {
        Ok(_) => "success".to_owned(),
        Err(refusal) => match refusal.condition() {
            Some(condition) => format!("{}: {refusal}", condition.as_str()),
            None => "no answer".to_owned(),
        },
    }
}

#[test]
fn claims_are_refused_with_the_messages_of_the_plugin() {
    let cases: Vec<(&str, Value)> = vec![
        ("success", claims(|_| {})),
        ("success", claims(|c| drop(c.remove("exp")))),
        ("success", claims(|c| drop(c.remove("nbf")))),
        ("success", claims(|c| drop(c.remove("context")))),
        ("success", claims(|c| c["exp"] = json!(1_000_000.5))),
        ("success", claims(|c| c["nbf"] = json!(1_000_000))),
        ("success", claims(|c| c["context"] = json!("text"))),
        (
            "not-allowed: exp must be number",
            claims(|c| c["exp"] = json!("1000120")),
        ),
        (
            "not-allowed: exp must be number",
            claims(|c| c["exp"] = Value::Null),
        ),
        (
            "not-allowed: nbf must be number",
            claims(|c| c["nbf"] = json!("0")),
        ),
        (
            "not-allowed: Not acceptable by exp (61.0 sec since expired, valid for:120.0 sec)",
            claims(|c| {
                c["exp"] = json!(999_939);
                c["iat"] = json!(999_819);
            }),
        ),
        (
            "not-allowed: Not acceptable by exp (0.0 sec since expired)",
            claims(|c| {
                c["exp"] = json!(1_000_000);
                c.remove("iat");
            }),
        ),
        (
            "not-allowed: Not acceptable by nbf",
            claims(|c| c["nbf"] = json!(1_000_001)),
        ),
        (
            "not-allowed: 'iss' claim is missing",
            claims(|c| drop(c.remove("iss"))),
        ),
        (
            "not-allowed: invalid 'iss' claim",
            claims(|c| c["iss"] = json!("other")),
        ),
        (
            "not-allowed: 'aud' claim is missing",
            claims(|c| drop(c.remove("aud"))),
        ),
        (
            "not-allowed: invalid 'aud' claim",
            claims(|c| c["aud"] = json!("other")),
        ),
        (
            "not-allowed: invalid 'aud' claim",
            claims(|c| c["aud"] = json!(["jitsi"])),
        ),
        (
            "not-authorized: room claim is missing",
            claims(|c| drop(c.remove("room"))),
        ),
        (
            "not-authorized: sub claim is missing",
            claims(|c| drop(c.remove("sub"))),
        ),
        ("no answer", claims(|c| c["context"] = Value::Null)),
    ];
    for (expected, claims) in cases {
        assert_eq!(
            answer(&rules(), Some(&signed(&claims))),
            expected,
            "{claims}"
        );
    }
}

#[test]
fn the_first_broken_rule_is_reported() {
    let token = signed(&claims(|c| {
        c.remove("sub");
        c["iss"] = json!("other");
        c["nbf"] = json!(1_000_001);
    }));
    assert_eq!(
        rules().verify(Some(&token), NOW).unwrap_err(),
        ProsodyRefusal::NotYet
    );
    let other_key = EncodingKey::from_secret(b"another secret");
    let head = json!({"typ": "JWT", "alg": "HS256"});
    let forged = sign_with(
        &head,
        &claims(|c| drop(c.remove("iss"))),
        Algorithm::HS256,
        &other_key,
    );
    assert_eq!(
        answer(&rules(), Some(&forged)),
        "not-allowed: Invalid signature"
    );
}

#[test]
fn the_form_is_checked_before_the_claims() {
    let good = signed(&claims(|_| {}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let with_head = |head: Value| sign_with(&head, &claims(|_| {}), Algorithm::HS256, &key);
    let long = format!("{good}{}", "A".repeat(MAX_TOKEN_BYTES));
    let cases = [
        ("not-allowed: Invalid token", String::new()),
        ("not-allowed: Invalid token", "Zm9v".to_owned()),
        ("not-allowed: Invalid token", format!("{message}.")),
        (
            "not-allowed: Invalid token",
            format!("{message}.{signature}.x"),
        ),
        ("not-allowed: Invalid token", long),
        ("not-allowed: Invalid header", format!("!{good}")),
        (
            "not-allowed: Invalid body",
            format!("{}.AAAA.x", message.split('.').next().unwrap()),
        ),
        (
            "not-allowed: Invalid typ",
            with_head(json!({"alg": "HS256"})),
        ),
        (
            "not-allowed: Invalid typ",
            with_head(json!({"typ": "jwt", "alg": "HS256"})),
        ),
        (
            "not-allowed: Invalid or incorrect alg",
            with_head(json!({"typ": "JWT", "alg": "HS512"})),
        ),
        (
            "not-allowed: Invalid or incorrect alg",
            with_head(json!({"typ": "JWT", "alg": "none"})),
        ),
        (
            "not-allowed: Invalid or incorrect alg",
            with_head(json!({"typ": "JWT"})),
        ),
        ("not-allowed: Invalid signature", format!("{good}AAAA")),
        ("success", format!(".{good}")),
    ];
    for (expected, token) in cases {
        assert_eq!(answer(&rules(), Some(&token)), expected, "{token}");
    }
    assert_eq!(answer(&rules(), None), "not-allowed: token required");
}

#[test]
fn every_algorithm_of_the_plugin_can_be_accepted() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let rules = ProsodyRules {
            keys: ProsodyKeys::Secret {
                algorithm,
                secret: SECRET.to_owned().into(),
            },
            ..rules()
        };
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = jsonwebtoken::encode(&Header::new(algorithm), &claims(|_| {}), &key).unwrap();
        assert_eq!(answer(&rules, Some(&token)), "success", "{algorithm:?}");
    }
}

#[test]
fn public_keys_are_selected_by_kid() {
    use jsonwebtoken::Algorithm::RS256;
    let pair = || {
        rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)
            .unwrap()
            .serialize_pem()
    };
    let (pem, other_pem) = (pair(), pair());
    for algorithm in [RS256, Algorithm::RS384, Algorithm::RS512] {
        let rules = ProsodyRules::for_tokens_of(&settings(SigningSettings::Keys {
            algorithm,
            keys: vec![KeySettings {
                kid: "k1".to_owned(),
                pem: pem.clone().into(),
            }],
        }))
        .unwrap();
        let name = format!("{algorithm:?}");
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        let other = EncodingKey::from_rsa_pem(other_pem.as_bytes()).unwrap();
        let token = |head: Value| sign_with(&head, &claims(|_| {}), algorithm, &key);
        let head = json!({"typ": "JWT", "alg": name, "kid": "k1"});
        let hs = sign_with(
            &json!({"typ": "JWT", "alg": "HS256", "kid": "k1"}),
            &claims(|_| {}),
            Algorithm::HS256,
            &EncodingKey::from_secret(pem.as_bytes()),
        );
        let cases = [
            ("success", token(head.clone())),
            ("not-allowed: Invalid token", "Zm9v".to_owned()),
            ("not-allowed: bad token format", "AAAA.AAAA.AAAA".to_owned()),
            (
                "not-allowed: 'kid' claim is missing",
                token(json!({"typ": "JWT", "alg": name})),
            ),
            (
                "not-allowed: 'alg' claim is missing",
                token(json!({"typ": "JWT", "kid": "k1"})),
            ),
            ("not-allowed: 'kid' claim only support with RS family", hs),
            (
                "not-allowed: could not obtain public key",
                token(json!({"typ": "JWT", "alg": name, "kid": "k2"})),
            ),
            (
                "not-allowed: Invalid signature",
                sign_with(&head, &claims(|_| {}), algorithm, &other),
            ),
            (
                "not-allowed: Invalid typ",
                token(json!({"alg": name, "kid": "k1"})),
            ),
            (
                "not-allowed: Invalid or incorrect alg",
                token(json!({"typ": "JWT", "alg": "RS1", "kid": "k1"})),
            ),
        ];
        for (expected, token) in cases {
            assert_eq!(answer(&rules, Some(&token)), expected, "{name} {token}");
        }
    }
}

#[test]
fn any_issuer_and_any_audience_can_be_accepted() {
    let rules = ProsodyRules {
        issuers: vec!["*".to_owned()],
        audiences: vec!["*".to_owned()],
        room_required: false,
        ..rules()
    };
    let token = signed(&claims(|c| {
        c["iss"] = json!("anybody");
        c["aud"] = json!(["a", "b"]);
        c.remove("room");
    }));
    assert_eq!(answer(&rules, Some(&token)), "success");
    let token = signed(&claims(|c| drop(c.remove("iss"))));
    assert_eq!(
        answer(&rules, Some(&token)),
        "not-allowed: 'iss' claim is missing"
    );
}

#[test]
fn inspection_lists_every_broken_rule_without_a_key() {
    let report = inspect(&signed(&claims(|_| {})), NOW);
    assert!(
        report.is_acceptable() && report.cautions.is_empty(),
        "{report}"
    );
    assert_eq!(report.claims.unwrap().user_id(), Some("42"));

    let head = json!({"typ": "jwt", "alg": "ES256"});
    let key = EncodingKey::from_secret(b"whatever");
    let bad = claims(|c| {
        c.remove("exp");
        c.remove("sub");
        c["nbf"] = json!("soon");
        c["aud"] = json!(["jitsi"]);
        c["room"] = json!("*");
        c["context"] = json!({"user": {"name": null}, "features": {}});
    });
    let report = inspect(&sign_with(&head, &bad, Algorithm::HS256, &key), NOW);
    assert_eq!(
        report.broken,
        [
            ProsodyRefusal::InvalidType,
            ProsodyRefusal::InvalidAlgorithm,
            ProsodyRefusal::NotBeforeNotNumber,
            ProsodyRefusal::SubjectMissing,
        ]
    );
    assert_eq!(
        report.cautions,
        [
            Caution::AudienceNotText,
            Caution::NeverExpires,
            Caution::EveryRoom,
            Caution::Features,
            Caution::Null("context.user.name".to_owned()),
        ]
    );
    let shown = report.to_string();
    assert!(
        shown.contains("refused: sub claim is missing") && shown.contains("caution: `exp`"),
        "{shown}"
    );
    assert_eq!(inspect("x", NOW).broken, [ProsodyRefusal::InvalidToken]);
}
