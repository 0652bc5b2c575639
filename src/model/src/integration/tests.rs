mod api_keys;
mod people;
mod rooms;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use proptest::prelude::*;
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::*;
use crate::{
    identity::Embedded,
    jws::TokenError,
    policy::{Glob, TenantScope},
    room::RoomError,
};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const SECRET: &str = "secret of the school's own server, long enough";

fn settings() -> IntegrationSettings {
    IntegrationSettings {
        id: "school".to_owned(),
        app_id: "moodle".to_owned(),
        signing: Some(VerificationSettings::Secret {
            algorithms: vec![Algorithm::HS256],
            secret: SECRET.into(),
        }),
        audience: None,
        rooms: vec![Glob::folded("School-*"), Glob::folded("aula")],
        unnamed_rooms: None,
        tenant: TenantScope::Any,
        moderators: ModeratorPolicy::AsClaimed,
        moderator_claims: RoleClaim::ALL.to_vec(),
        stable_user_ids: true,
        max_lifetime: Duration::from_hours(1),
        emails_verified: false,
        embed: vec!["https://moodle.example.org".to_owned()],
        api_keys: Vec::new(),
        api_requests_per_minute: 60,
    }
}

fn of(settings: IntegrationSettings) -> Integrations {
    Integrations::new(vec![settings]).unwrap()
}

fn room(name: &str) -> RoomKey {
    RoomKey::from_text(name).unwrap()
}

/// The claims of a valid token with changes; `null` removes a claim.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": "moodle", "aud": "jitsi", "sub": "meet.jitsi", "room": "school-7b",
        "exp": NOW.as_unix() + 600,
        "context": {"user": {"id": "7", "name": "Mia", "email": "mia@example.org"}},
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn token(changes: &Value) -> String {
    sign(Algorithm::HS256, SECRET, &claims(changes))
}

/// A token with exactly this header and body, signed with the right secret.
fn raw(head: &str, body: &str) -> String {
    let head = BASE64_URL_SAFE_NO_PAD.encode(head);
    let message = format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(body));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn refusal(integrations: &Integrations, token: &str, page: &str) -> EmbedError {
    integrations
        .verify(token, &room(page), NOW)
        .unwrap_err()
        .error
}

fn user(settings: IntegrationSettings, user: &Value) -> EmbeddedUser<'static> {
    let integrations: &'static Integrations = Box::leak(Box::new(of(settings)));
    let token = token(&json!({"context": {"user": user}}));
    integrations
        .verify(&token, &room("school-7b"), NOW)
        .unwrap()
}

#[test]
fn a_valid_token_admits_one_user_to_one_room() {
    let integrations = of(settings());
    let accepted = integrations
        .verify(&token(&json!({})), &room("School-7B"), NOW)
        .unwrap();
    assert_eq!(accepted.integration, "school");
    assert_eq!(accepted.room, room("school-7b"));
    let Identity {
        subject,
        name,
        email,
        email_verified,
        ..
    } = accepted.identity;
    assert_eq!(subject, "integration:school:7");
    assert_eq!(name.as_deref(), Some("Mia"));
    assert_eq!(email.as_deref(), Some("mia@example.org"));
    assert!(!email_verified);
    let embedded = Embedded {
        integration: "school".to_owned(),
        host: false,
    };
    assert_eq!(accepted.standing, Standing::Embedded(embedded));
}

#[test]
fn tokens_of_other_forms_are_refused() {
    let integrations = of(settings());
    let good = claims(&json!({})).to_string();
    let head = r#"{"alg":"HS256","typ":"JWT"}"#;
    assert!(
        integrations
            .verify(&raw(head, &good), &room("school-7b"), NOW)
            .is_ok()
    );
    let unsigned = |head: &str| {
        let head = BASE64_URL_SAFE_NO_PAD.encode(head);
        format!("{head}.{}.", BASE64_URL_SAFE_NO_PAD.encode(&good))
    };
    let twice = good.replacen('{', r#"{"room":"school-8","#, 1);
    let cases = [
        (String::new(), EmbedError::Token(TokenError::Malformed)),
        (".".repeat(MAX_TOKEN_BYTES + 1), EmbedError::TooLong),
        (
            ".".repeat(MAX_TOKEN_BYTES),
            EmbedError::Token(TokenError::Malformed),
        ),
        (
            format!("{}.x", raw(head, &good)),
            EmbedError::Token(TokenError::Malformed),
        ),
        (
            format!("{}.x.y", raw(head, &good)),
            EmbedError::Token(TokenError::Encrypted),
        ),
        (
            unsigned(r#"{"alg":"none"}"#),
            EmbedError::Token(TokenError::Algorithm),
        ),
        (
            unsigned(r#"{"alg":"nOnE"}"#),
            EmbedError::Token(TokenError::Algorithm),
        ),
        (unsigned(head), EmbedError::OtherKey),
        (
            raw(r#"{"alg":"HS256","crit":["exp"]}"#, &good),
            EmbedError::Token(TokenError::Critical),
        ),
        (
            raw(r#"{"alg":"HS256","alg":"HS256"}"#, &good),
            EmbedError::Token(TokenError::Malformed),
        ),
        (
            raw(r#"{"alg":"HS256","typ":"logout+jwt"}"#, &good),
            EmbedError::Kind,
        ),
        (
            sign(Algorithm::HS384, SECRET, &claims(&json!({}))),
            EmbedError::Token(TokenError::Algorithm),
        ),
        (raw(head, &twice), EmbedError::Token(TokenError::Malformed)),
        (raw(head, "[]"), EmbedError::Token(TokenError::Malformed)),
        (
            raw(head, &format!("{good} x")),
            EmbedError::Token(TokenError::Malformed),
        ),
    ];
    for (token, expected) in cases {
        assert_eq!(
            refusal(&integrations, &token, "school-7b"),
            expected,
            "{token}"
        );
    }
}

#[test]
fn tokens_of_other_systems_are_refused() {
    let mut other = settings();
    (other.id, other.app_id) = ("shop".to_owned(), "odoo".to_owned());
    other.signing = Some(VerificationSettings::Secret {
        algorithms: vec![Algorithm::HS256],
        secret: "secret of the shop's own server, long enough".into(),
    });
    other.rooms = vec![Glob::folded("shop-*")];
    let integrations = Integrations::new(vec![settings(), other]).unwrap();
    let prosody = "secret shared with Prosody in tests, long enough";
    let cases = [
        (
            sign(Algorithm::HS256, prosody, &claims(&json!({}))),
            EmbedError::OtherKey,
        ),
        (
            sign(
                Algorithm::HS256,
                prosody,
                &claims(&json!({"iss": "gateway"})),
            ),
            EmbedError::UnknownIssuer,
        ),
        (token(&json!({"iss": "odoo"})), EmbedError::OtherKey),
        (token(&json!({"iss": null})), EmbedError::UnknownIssuer),
        (token(&json!({"iss": "Moodle"})), EmbedError::UnknownIssuer),
        (token(&json!({"iss": "*"})), EmbedError::UnknownIssuer),
        (
            token(&json!({"iss": ["moodle"]})),
            EmbedError::Token(TokenError::Malformed),
        ),
    ];
    for (token, expected) in cases {
        assert_eq!(refusal(&integrations, &token, "school-7b"), expected);
    }
    let message = EmbedError::OtherKey.to_string();
    assert_eq!(message, "the token is signed with another key");
    // A valid key does not open the other integration's rooms.
    let token = token(&json!({"room": "shop-1"}));
    assert_eq!(
        refusal(&integrations, &token, "shop-1"),
        EmbedError::ForeignRoom
    );
}

#[test]
fn a_configured_audience_is_required() {
    let mut strict = settings();
    strict.audience = Some("jitsi".to_owned());
    let integrations = of(strict);
    let verify = |aud: Value| {
        let token = token(&json!({"aud": aud}));
        let refused = integrations.verify(&token, &room("school-7b"), NOW);
        refused.err().map(|refused| refused.error)
    };
    assert_eq!(verify(json!("jitsi")), None);
    assert_eq!(verify(json!(["x", "jitsi"])), None);
    for aud in [
        json!(null),
        json!("x"),
        json!("*"),
        json!([]),
        json!({"jitsi": 1}),
    ] {
        let refusal = verify(aud.clone());
        assert_eq!(
            refusal,
            Some(EmbedError::Token(TokenError::Audience)),
            "{aud}"
        );
    }
}

#[test]
fn public_keys_verify_and_are_not_hmac_secrets() {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    let document = json!({"keys": [jwk]}).to_string();
    let mut with_keys = settings();
    with_keys.signing = Some(VerificationSettings::Keys {
        algorithms: vec![Algorithm::ES256, Algorithm::RS256],
        document: document.clone().into_bytes(),
    });
    let integrations = of(with_keys);
    let good = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims(&json!({})), &key);
    let page = room("school-7b");
    assert!(integrations.verify(&good.unwrap(), &page, NOW).is_ok());
    for public in [
        document,
        pair.public_key_pem(),
        serde_json::to_string(&jwk).unwrap(),
    ] {
        let token = sign(Algorithm::HS256, &public, &claims(&json!({})));
        assert_eq!(
            refusal(&integrations, &token, "school-7b"),
            EmbedError::Token(TokenError::Algorithm)
        );
    }
}

#[test]
fn only_rooms_of_the_integration_have_its_embed_origins() {
    let integrations = of(settings());
    let origins = |name: &str| integrations.embed_origins(Some(&room(name))).count();
    assert_eq!((origins("school-1"), origins("board")), (1, 0));
}

proptest! {
    #[test]
    fn arbitrary_texts_do_not_panic(text in "\\PC{0,200}", payload in "\\PC{0,80}") {
        let integrations = of(settings());
        let _ = integrations.verify(&text, &room("school-7b"), NOW);
        let token = raw(r#"{"alg":"HS256"}"#, &payload);
        prop_assert!(integrations.verify(&token, &room("school-7b"), NOW).is_err());
    }
}
