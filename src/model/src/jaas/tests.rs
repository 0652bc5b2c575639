use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation, jwk::Jwk};
use secrecy::ExposeSecret;

use super::*;
use crate::{clock::Timestamp, token::testing::rsa_pem};

const APP_ID: &str = "vpaas-magic-cookie-0123456789abcdef0123456789abcdef";

fn settings(features: &[JaasFeature]) -> JaasSettings {
    JaasSettings {
        app_id: APP_ID.to_owned(),
        key_id: "4f4910".to_owned(),
        pem: rsa_pem(),
        host: Authority::from_static("8x8.vc"),
        lifetime: Duration::from_hours(1),
        features: features.to_vec(),
    }
}

fn jaas(settings: &JaasSettings) -> Jaas {
    let (clock, _) = Clock::manual(Timestamp::from_unix(1_000_000));
    Jaas::new(settings, clock).unwrap()
}

fn zoe() -> Identity {
    Identity {
        subject: "42".to_owned(),
        name: Some("Zoë".to_owned()),
        email: Some("zoe@example.org".to_owned()),
        avatar: Some("https://example.org/zoe.png".to_owned()),
        ..Identity::default()
    }
}

fn room(text: &str) -> RoomKey {
    RoomKey::from_text(text).unwrap()
}

fn part(token: &JaasToken, index: usize) -> Value {
    let part = token.as_str().split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn a_moderators_token_has_the_documented_claims() {
    let settings = settings(&[JaasFeature::Recording, JaasFeature::SipOutboundCall]);
    let token = jaas(&settings)
        .token(&room("team"), Role::Moderator, &zoe())
        .unwrap();
    let kid = format!("{APP_ID}/4f4910");
    assert_eq!(
        part(&token, 0),
        json!({"typ": "JWT", "alg": "RS256", "kid": kid})
    );
    assert_eq!(
        part(&token, 1),
        json!({
            "aud": "jitsi", "iss": "chat", "sub": APP_ID, "room": "team",
            "nbf": 999_940, "exp": 1_003_600,
            "context": {
                "user": {
                    "id": "42", "name": "Zoë", "email": "zoe@example.org",
                    "avatar": "https://example.org/zoe.png",
                    "moderator": "true", "hidden-from-recorder": "false",
                },
                "features": {
                    "livestreaming": "false", "recording": "true", "transcription": "false",
                    "sip-inbound-call": "false", "sip-outbound-call": "true",
                    "inbound-call": "false", "outbound-call": "false",
                    "file-upload": "false", "list-visitors": "false",
                    "flip": "false", "live-translation": "false",
                    "send-groupchat": "true", "create-polls": "true",
                },
            },
        })
    );
    assert_eq!(format!("{token:?}"), "JaasToken");
}

#[test]
fn the_registered_key_verifies_the_token() {
    let settings = settings(&[]);
    let token = jaas(&settings)
        .token(&room("team"), Role::Participant, &zoe())
        .unwrap();
    let private = EncodingKey::from_rsa_pem(settings.pem.expose_secret().as_bytes()).unwrap();
    let public = Jwk::from_encoding_key(&private, Algorithm::RS256).unwrap();
    let key = DecodingKey::from_jwk(&public).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["jitsi"]);
    validation.set_issuer(&["chat"]);
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(token.as_str(), &key, &validation).unwrap();
}

#[test]
fn participants_get_no_configured_feature_and_no_claim_is_null() {
    let nobody = Identity {
        subject: "7".to_owned(),
        ..Identity::default()
    };
    let token = jaas(&settings(&JaasFeature::ALL))
        .token(&room("team"), Role::Participant, &nobody)
        .unwrap();
    let claims = part(&token, 1);
    assert_eq!(claims["context"]["user"]["moderator"], "false");
    assert!(!claims.to_string().contains("null"));
    let features = claims["context"]["features"].as_object().unwrap();
    let on: Vec<&String> = features
        .iter()
        .filter_map(|(name, value)| (value == "true").then_some(name))
        .collect();
    assert_eq!(on, ["create-polls", "send-groupchat"]);
}

#[test]
fn two_rooms_never_share_a_name() {
    let rooms = [
        "x",
        "acme/x",
        "tenant.acme.x",
        "tenant./x",
        "tenant..x",
        "tenant..acme.x",
        "acme/tenant.x",
        "acme-x",
        "a/b.c",
        "a/b-c",
        "tenant.a.b.c",
    ];
    let names: std::collections::HashSet<String> = rooms
        .iter()
        .filter_map(|text| RoomKey::from_text(text).ok())
        .map(|room| within_app(&room))
        .collect();
    let readable = rooms.iter().filter(|text| RoomKey::from_text(text).is_ok());
    assert_eq!(names.len(), readable.count());
    assert!(names.contains("tenant.acme.x") && names.contains("tenant..tenant.acme.x"));
}

#[test]
fn the_room_name_of_the_api_decodes_to_the_room_of_the_token() {
    let jaas = jaas(&settings(&[]));
    for name in ["team", "Café!", "50% off (new)", "acme/Team Call", "a*b"] {
        let room = room(name);
        let named = jaas.room_name(&room);
        let segment = named.strip_prefix(&format!("{APP_ID}/")).unwrap();
        let opened = RoomKey::from_page(None, segment).unwrap().key;
        let token = jaas.token(&room, Role::Participant, &zoe()).unwrap();
        assert_eq!(part(&token, 1)["room"], opened.node(), "{name}");
    }
}

#[test]
fn the_page_gets_script_url_and_options() {
    let mut settings = settings(&[]);
    settings.host = Authority::from_static("stage.8x8.vc:8443");
    let jaas = jaas(&settings);
    let token = jaas
        .token(&room("team"), Role::Participant, &zoe())
        .unwrap();
    assert_eq!(
        jaas.script_url(),
        format!("https://stage.8x8.vc:8443/{APP_ID}/external_api.js")
    );
    assert_eq!(
        jaas.options(&room("team"), &token, Some("de")),
        json!({
            "roomName": format!("{APP_ID}/team"), "jwt": token.as_str(), "lang": "de",
            "width": "100%", "height": "100%",
        })
    );
}

#[test]
fn an_unusable_key_is_refused_by_name() {
    let settings = JaasSettings {
        pem: "x".to_owned().into(),
        ..settings(&[])
    };
    let refused = Jaas::new(&settings, Clock::system()).unwrap_err();
    assert!(matches!(refused, SignerError::NotRsa { kid } if kid.ends_with("/4f4910")));
}
