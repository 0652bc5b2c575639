use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, jwk::Jwk};
use proptest::prelude::*;
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::*;
use crate::{identity::Embedded, jws::TokenError, room::RoomError};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const SECRET: &str = "secret of the school's own server, long enough";

fn settings() -> Settings {
    Settings {
        id: "school".to_owned(),
        app_id: "moodle".to_owned(),
        signing: Some(SigningSettings::Secret {
            algorithms: vec![Algorithm::HS256],
            secret: SECRET.into(),
        }),
        audience: None,
        rooms: vec![Glob::folded("School-*"), Glob::folded("aula")],
        tenant: TenantScope::Any,
        moderators: Moderators::AsClaimed,
        max_lifetime: Duration::from_hours(1),
        emails_verified: false,
        embed: vec!["https://moodle.example.org".to_owned()],
        api_keys: Vec::new(),
        api_requests_per_minute: 60,
    }
}

fn of(settings: Settings) -> Integrations {
    Integrations::new(vec![settings]).unwrap()
}

fn room(name: &str) -> RoomKey {
    RoomKey::from_text(name).unwrap()
}

/// The claims of a good token, some of them otherwise; `null` takes one out.
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

/// A token with this head and body letter by letter, signed with the right secret.
fn raw(head: &str, body: &str) -> String {
    let head = BASE64_URL_SAFE_NO_PAD.encode(head);
    let message = format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(body));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn refusal(integrations: &Integrations, token: &str, page: &str) -> EmbedError {
    integrations.verify(token, &room(page), NOW).unwrap_err()
}

fn user(settings: Settings, user: &Value) -> Vouched<'static> {
    let integrations: &'static Integrations = Box::leak(Box::new(of(settings)));
    let token = token(&json!({"context": {"user": user}}));
    integrations
        .verify(&token, &room("school-7b"), NOW)
        .unwrap()
}

#[test]
fn a_good_token_vouches_for_one_person_in_one_room() {
    let integrations = of(settings());
    let vouched = integrations
        .verify(&token(&json!({})), &room("School-7B"), NOW)
        .unwrap();
    assert_eq!(vouched.integration, "school");
    assert_eq!(vouched.room, room("school-7b"));
    assert_eq!(vouched.expires.as_unix(), NOW.as_unix() + 600);
    let Identity {
        subject,
        name,
        email,
        email_verified,
        ..
    } = vouched.identity;
    assert_eq!(subject, "integration:school:7");
    assert_eq!(name.as_deref(), Some("Mia"));
    assert_eq!(email.as_deref(), Some("mia@example.org"));
    assert!(!email_verified);
    let embedded = Embedded {
        integration: "school".to_owned(),
        host: false,
    };
    assert_eq!(vouched.standing, Standing::Embedded(embedded));
}

#[test]
fn tokens_of_other_shapes_are_refused() {
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
    other.signing = Some(SigningSettings::Secret {
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
    // Its own key does not open the other's rooms.
    let token = token(&json!({"room": "shop-1"}));
    assert_eq!(
        refusal(&integrations, &token, "shop-1"),
        EmbedError::ForeignRoom
    );
}

#[test]
fn lifetimes_are_bounded() {
    let integrations = of(settings());
    let now = NOW.as_unix();
    let hour = 3600;
    let cases = [
        (json!({"exp": now + hour}), None),
        (json!({"exp": now + 1}), None),
        (json!({"exp": 1_800_000_600.5}), None),
        (json!({"nbf": now + 60, "iat": now + 60}), None),
        (
            json!({"exp": null}),
            Some(EmbedError::Token(TokenError::NoExpiry)),
        ),
        (
            json!({"exp": (now + 600).to_string()}),
            Some(EmbedError::Token(TokenError::NoExpiry)),
        ),
        (
            json!({"exp": -1}),
            Some(EmbedError::Token(TokenError::NoExpiry)),
        ),
        (
            json!({"exp": now}),
            Some(EmbedError::Token(TokenError::Expired)),
        ),
        (
            json!({"exp": 0}),
            Some(EmbedError::Token(TokenError::Expired)),
        ),
        (json!({"exp": now + hour + 61}), Some(EmbedError::LongLived)),
        (json!({"exp": 1e300}), Some(EmbedError::LongLived)),
        (
            json!({"nbf": now + 61}),
            Some(EmbedError::Token(TokenError::NotYetValid)),
        ),
        (
            json!({"nbf": "soon"}),
            Some(EmbedError::Token(TokenError::NotYetValid)),
        ),
        (
            json!({"iat": now + 61}),
            Some(EmbedError::Token(TokenError::IssuedInFuture)),
        ),
    ];
    for (changes, expected) in cases {
        let refusal = integrations
            .verify(&token(&changes), &room("school-7b"), NOW)
            .err();
        assert_eq!(refusal, expected, "{changes}");
    }
}

#[test]
fn the_room_is_one_and_the_pages() {
    let integrations = of(settings());
    let cases = [
        (json!({"room": "SCHOOL-7b"}), "school-7b", None),
        (json!({"room": "school-caf%c3%a9"}), "school-café", None),
        (json!({"room": "School-Café"}), "school-café", None),
        (json!({"room": "aula"}), "Aula", None),
        (json!({"room": null}), "school-7b", Some(EmbedError::NoRoom)),
        (json!({"room": ""}), "school-7b", Some(EmbedError::NoRoom)),
        (json!({"room": 7}), "school-7b", Some(EmbedError::NoRoom)),
        (
            json!({"room": ["school-7b"]}),
            "school-7b",
            Some(EmbedError::NoRoom),
        ),
        (json!({"room": "*"}), "school-7b", Some(EmbedError::Pattern)),
        (
            json!({"room": "school-*"}),
            "school-7b",
            Some(EmbedError::Pattern),
        ),
        (
            json!({"context": {"room": {"regex": true}}}),
            "school-7b",
            Some(EmbedError::Pattern),
        ),
        (
            json!({"context": {"room": {"regex": "true"}}}),
            "school-7b",
            Some(EmbedError::Pattern),
        ),
        (json!({}), "school-8", Some(EmbedError::OtherRoom)),
        (
            json!({"room": "school-.."}),
            "school-7b",
            Some(EmbedError::OtherRoom),
        ),
        (
            json!({"room": " "}),
            "school-7b",
            Some(EmbedError::Room(RoomError::Empty)),
        ),
        (
            json!({"room": "a/school-7b"}),
            "school-7b",
            Some(EmbedError::Room(RoomError::Character('/'))),
        ),
        (
            json!({"room": "board"}),
            "board",
            Some(EmbedError::ForeignRoom),
        ),
        (
            json!({"room": "my-school-7b"}),
            "my-school-7b",
            Some(EmbedError::ForeignRoom),
        ),
    ];
    for (changes, page, expected) in cases {
        let refusal = integrations
            .verify(&token(&changes), &room(page), NOW)
            .err();
        assert_eq!(refusal, expected, "{changes} at {page}");
    }
}

#[test]
fn a_room_with_a_tenant_needs_a_token_that_names_it() {
    let mut scoped = settings();
    scoped.tenant = TenantScope::matching("acme*");
    let integrations = of(scoped);
    let verify = |sub: &str, page: &str| {
        let token = token(&json!({"sub": sub}));
        integrations.verify(&token, &room(page), NOW).err()
    };
    assert_eq!(verify("acme", "acme/school-7b"), None);
    assert_eq!(verify("ACME.eu", "acme_eu/school-7b"), None);
    for sub in ["meet.jitsi", "*", "", "acme_us"] {
        let refusal = verify(sub, "acme/school-7b");
        assert_eq!(refusal, Some(EmbedError::OtherTenant), "{sub}");
    }
    let foreign = Some(EmbedError::ForeignRoom);
    assert_eq!(verify("other", "other/school-7b"), foreign);
    assert_eq!(verify("acme", "school-7b"), foreign);
}

#[test]
fn an_audience_counts_where_it_is_configured() {
    let mut strict = settings();
    strict.audience = Some("jitsi".to_owned());
    let integrations = of(strict);
    let verify = |aud: Value| {
        let token = token(&json!({"aud": aud}));
        integrations.verify(&token, &room("school-7b"), NOW).err()
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
fn moderators_are_whom_the_configuration_lets_be_called_so() {
    let host = |moderators, person: Value| {
        let mut settings = settings();
        settings.moderators = moderators;
        match user(settings, &person).standing {
            Standing::Embedded(Embedded { host, .. }) => host,
            other => panic!("{other:?}"),
        }
    };
    for claimed in [
        json!({"moderator": true}),
        json!({"moderator": "true"}),
        json!({"affiliation": "owner"}),
        json!({"affiliation": "moderator"}),
        json!({"affiliation": "teacher"}),
    ] {
        assert!(host(Moderators::AsClaimed, claimed.clone()), "{claimed}");
        assert!(!host(Moderators::Never, claimed));
    }
    for not in [
        json!({}),
        json!({"moderator": false}),
        json!({"moderator": "false"}),
        json!({"moderator": 1}),
        json!({"moderator": null}),
        json!({"affiliation": "member"}),
        json!({"affiliation": ["owner"]}),
        json!({"role": "moderator"}),
    ] {
        assert!(!host(Moderators::AsClaimed, not.clone()), "{not}");
        assert!(host(Moderators::Always, not));
    }
}

#[test]
fn people_are_kept_apart_and_made_harmless() {
    let subject = |person: Value| user(settings(), &person).identity.subject;
    assert_eq!(subject(json!({"id": 12})), "integration:school:12");
    let by_address = subject(json!({"email": "a@example.org"}));
    assert_eq!(
        by_address,
        subject(json!({"id": null, "email": "a@example.org"}))
    );
    assert_ne!(by_address, subject(json!({"email": "b@example.org"})));
    assert_ne!(by_address, subject(json!({"name": "a@example.org"})));
    assert!(subject(json!({})).starts_with("integration:school:~"));

    let long = "x".repeat(5000);
    let who = user(
        settings(),
        &json!({
            "id": "7", "name": format!("a\u{202e}b\n{long}"), "email": "no address",
            "avatarUrl": "https://example.org/a.png", "avatar": "javascript:alert(1)",
        }),
    )
    .identity;
    let name = who.name.unwrap();
    assert!(name.starts_with("ab ") && name.len() <= 128, "{name}");
    assert_eq!(who.email, None);
    assert_eq!(who.avatar.as_deref(), Some("https://example.org/a.png"));
    let plain = json!({"id": "7", "avatar": "http://example.org/a.png"});
    assert_eq!(user(settings(), &plain).identity.avatar, None);

    let mut trusted = settings();
    trusted.emails_verified = true;
    let address = |email: &str| {
        let who = user(trusted.clone(), &json!({"email": email})).identity;
        (who.email.is_some(), who.email_verified)
    };
    assert_eq!(address("a@example.org"), (true, true));
    assert_eq!(address("nobody"), (false, false));

    let integrations = of(settings());
    for id in [
        json!("a\nb"),
        json!("x".repeat(129)),
        json!({"a": 1}),
        json!(true),
    ] {
        let token = token(&json!({"context": {"user": {"id": id}}}));
        assert_eq!(
            refusal(&integrations, &token, "school-7b"),
            EmbedError::UserId
        );
    }
}

#[test]
fn keys_of_a_set_verify_and_are_no_secrets() {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    let document = json!({"keys": [jwk]}).to_string();
    let mut with_keys = settings();
    with_keys.signing = Some(SigningSettings::Keys {
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
fn keys_to_the_api_are_found_and_limited() {
    let key = "k3y/k3y+k3y-k3y_k3y.k3y~k3y=k3y!k3y";
    let mut with_keys = settings();
    let hash = "8f2e1c6a3d".repeat(7)[..64].to_owned();
    with_keys.api_keys = vec![
        ApiKey::of_hash("other".to_owned(), &hash).unwrap(),
        ApiKey::of_text("main".to_owned(), key).unwrap(),
    ];
    let integrations = of(with_keys);
    assert!(integrations.has_api() && !of(settings()).has_api());
    let bearer = |header: String| Bearer::parse(&header);
    let shown = bearer(format!("bearer {key}")).unwrap();
    let caller = integrations.caller(&shown).unwrap();
    assert_eq!((caller.integration.id(), caller.key), ("school", "main"));
    assert!(
        integrations
            .caller(&bearer(format!("Bearer {key}x")).unwrap())
            .is_none()
    );
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer a b",
        "Bearer \u{e9}",
    ] {
        assert!(bearer(header.to_owned()).is_none(), "{header}");
    }

    // Sixty at once, then one a second.
    assert!((0..60).all(|_| caller.take(NOW).is_ok()));
    assert_eq!(caller.take(NOW), Err(Duration::from_secs(1)));
    let later = NOW.after(Duration::from_secs(2));
    assert!(caller.take(later).is_ok() && caller.take(later).is_ok());
    assert_eq!(caller.take(later), Err(Duration::from_secs(1)));
}

#[test]
fn a_hash_stands_for_its_key() {
    let key = "0123456789abcdef0123456789abcdef";
    // printf %s 0123456789abcdef0123456789abcdef | sha256sum
    let hash = "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9";
    let text = ApiKey::of_text("a".to_owned(), key).unwrap();
    let of_hash = |hex: &str| ApiKey::of_hash("a".to_owned(), hex);
    assert!(text.is_same(&of_hash(hash).unwrap()));
    assert_eq!(of_hash("ab").unwrap_err(), ApiKeyError::Hash);
    assert_eq!(of_hash(&hash[1..]).unwrap_err(), ApiKeyError::Hash);
    assert_eq!(of_hash(&"x".repeat(64)).unwrap_err(), ApiKeyError::Hash);
    let of_text = |key: &str| ApiKey::of_text("a".to_owned(), key).unwrap_err();
    assert_eq!(of_text("short"), ApiKeyError::Short(5));
    assert_eq!(of_text(&"a ".repeat(20)), ApiKeyError::Characters);
    assert_eq!(format!("{text:?}"), "ApiKey(\"a\")");
}

#[test]
fn pages_are_framed_only_where_rooms_are_the_integrations() {
    let integrations = of(settings());
    let origins = |name: &str| integrations.embedding(&room(name)).count();
    assert_eq!((origins("school-1"), origins("board")), (1, 0));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", payload in "\\PC{0,80}") {
        let integrations = of(settings());
        let _ = integrations.verify(&text, &room("school-7b"), NOW);
        let token = raw(r#"{"alg":"HS256"}"#, &payload);
        prop_assert!(integrations.verify(&token, &room("school-7b"), NOW).is_err());
    }
}
