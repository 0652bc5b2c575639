use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::ClockControl,
    identity::{Identity, Standing},
    policy::Features,
    room::RoomKey,
    session::{Pass, Validity},
    token::{
        DisplayToken, Minter, SigningSettings, TokenSettings,
        prosody::{ProsodyRefusal, ProsodyRules},
    },
};

const ORIGIN: &str = "https://meet.example.org";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA";
const NEWER_KEY: &str = "3q2-7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs";

const HANDOFF: ClientTokenKind = ClientTokenKind::Handoff {
    first_use_before: Timestamp::from_unix(1_000_060),
};

struct Fixture {
    tokens: ClientTokens,
    clock: Clock,
    control: ClockControl,
}

impl Fixture {
    fn new() -> Self {
        let (clock, control) = Clock::manual(Timestamp::from_unix(1_000_000));
        Self {
            tokens: tokens(&[KEY], ORIGIN, &clock),
            clock,
            control,
        }
    }

    fn pass(&self) -> Pass {
        let validity = Validity::beginning_now(&self.clock, Duration::from_hours(8));
        let random = Random::predictable(1);
        Pass::issue(&room(), Standing::Guest, zoe(), validity, &random)
    }

    fn verify(&self, text: &str) -> Result<OpenedClientToken, ClientTokenError> {
        verify(&self.tokens, text, &self.clock)
    }

    fn issue(&self) -> ClientToken {
        self.tokens.issue(
            &self.pass(),
            Role::Participant,
            &Features::default(),
            HANDOFF,
            Duration::from_mins(5),
            PersonalClaims::ALL,
        )
    }
}

fn verify(
    tokens: &ClientTokens,
    text: &str,
    clock: &Clock,
) -> Result<OpenedClientToken, ClientTokenError> {
    let opened = tokens.open(text)?;
    opened.check_time(clock.now())?;
    Ok(opened)
}

fn ring(keys: &[&str]) -> Keyring {
    Keyring::parse(&keys.join("\n")).unwrap()
}

fn tokens(keys: &[&str], origin: &str, clock: &Clock) -> ClientTokens {
    ClientTokens::new(&ring(keys), origin, clock.clone(), Random::predictable(9))
}

fn zoe() -> Identity {
    Identity {
        subject: "42".to_owned(),
        name: Some("Zoë".to_owned()),
        ..Identity::default()
    }
}

fn room() -> RoomKey {
    RoomKey::from_text("acme/team").unwrap()
}

fn prosody(issuer: &str, audience: &str) -> TokenSettings {
    TokenSettings {
        issuer: issuer.to_owned(),
        audience: audience.to_owned(),
        subject: "meet.jitsi".to_owned(),
        lifetime: Duration::from_mins(2),
        claims: PersonalClaims::ALL,
        signing: SigningSettings::Secret {
            algorithm: Algorithm::HS256,
            secret: SECRET.to_owned().into(),
        },
    }
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn a_token_opens_as_it_was_issued() {
    let fixture = Fixture::new();
    let token = fixture.issue();
    let opened = fixture.verify(token.as_str()).unwrap();
    assert_eq!(opened.pass, fixture.pass());
    assert_eq!(*opened.pass.room(), room());
    assert_eq!(opened.kind, HANDOFF);
    assert_eq!(opened.expires, Timestamp::from_unix(1_000_300));
    assert_ne!(
        fixture.verify(fixture.issue().as_str()).unwrap().id,
        opened.id
    );
    assert_eq!(format!("{token:?}"), "ClientToken");
}

#[test]
fn clients_read_the_same_context_as_from_a_display_token() {
    let fixture = Fixture::new();
    let token = fixture.issue();
    let display = DisplayToken::new(
        &room(),
        Role::Participant,
        &Features::default(),
        &zoe(),
        PersonalClaims::ALL,
    );
    let (mut claims, shown) = (part(token.as_str(), 1), part(display.as_str(), 1));
    assert_eq!(
        part(token.as_str(), 0),
        json!({"typ": "JWT", "alg": "HS256"})
    );
    assert_eq!(claims["context"], shown["context"]);
    assert_eq!(claims["room"], shown["room"]);
    assert_eq!(claims["aud"], "gateway");
    assert_eq!(
        (&claims["nbf"], &claims["exp"]),
        (&json!(999_940), &json!(1_000_300))
    );
    let rest = claims.as_object_mut().unwrap();
    for known in ["context", "room", "aud", "nbf", "exp", "iss", "jti"] {
        assert!(rest.remove(known).is_some(), "{known}");
    }
    assert_eq!(rest.keys().collect::<Vec<_>>(), ["gateway"]);
}

#[test]
fn a_token_is_refused_before_and_after_its_validity() {
    let fixture = Fixture::new();
    let token = fixture.issue();
    fixture.control.advance(Duration::from_secs(299));
    assert!(fixture.verify(token.as_str()).is_ok());
    fixture.control.advance(Duration::from_secs(1));
    let ended = fixture.verify(token.as_str());
    assert_eq!(ended.unwrap_err(), ClientTokenError::Expired);
    let (behind, _) = Clock::manual(Timestamp::from_unix(999_000));
    let early = verify(&tokens(&[KEY], ORIGIN, &behind), token.as_str(), &behind);
    assert_eq!(early.unwrap_err(), ClientTokenError::NotYet);
}

#[test]
fn prosody_refuses_a_client_token() {
    let fixture = Fixture::new();
    let token = fixture.issue();
    let rules = |settings: &TokenSettings| ProsodyRules::for_tokens_of(settings).unwrap();
    let refusal = |rules: &ProsodyRules| {
        rules
            .verify(Some(token.as_str()), fixture.clock.now())
            .unwrap_err()
    };
    assert_eq!(
        refusal(&rules(&prosody("gateway", "jitsi"))),
        ProsodyRefusal::InvalidSignature
    );
    // Even with the laxest rules.
    let lax = ProsodyRules {
        issuers: vec!["*".to_owned()],
        audiences: vec!["*".to_owned()],
        room_required: false,
        ..rules(&prosody("gateway", "gateway"))
    };
    assert_eq!(refusal(&lax), ProsodyRefusal::InvalidSignature);
    // Even if Prosody's own key had signed it.
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let claims = part(token.as_str(), 1);
    let resigned = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    let typical = ProsodyRules {
        issuers: vec!["gateway".to_owned(), ORIGIN.to_owned()],
        ..rules(&prosody("gateway", "jitsi"))
    };
    let refused = typical.verify(Some(&resigned), fixture.clock.now());
    assert_eq!(refused.unwrap_err(), ProsodyRefusal::InvalidAudience);
}

#[test]
fn tokens_of_other_keys_and_deployments_are_foreign() {
    let fixture = Fixture::new();
    let sign = |claims: &Value, secret: &[u8], algorithm| {
        let key = EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
    };
    let claims = part(fixture.issue().as_str(), 1);
    let backend = Minter::new(&prosody(ORIGIN, AUDIENCE), fixture.clock.clone())
        .unwrap()
        .mint_as(&room(), Role::Moderator, &zoe(), Duration::from_mins(2))
        .unwrap();
    let unsigned = {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({"typ": "JWT", "alg": "none"});
        format!("{}.{}.", part(&head), part(&claims))
    };
    let foreign = [
        backend.into_text_for_operator(),
        sign(&claims, SECRET.as_bytes(), Algorithm::HS256),
        sign(&claims, b"", Algorithm::HS256),
        unsigned,
        DisplayToken::new(
            &room(),
            Role::Moderator,
            &Features::default(),
            &zoe(),
            PersonalClaims::ALL,
        )
        .as_str()
        .to_owned(),
        tokens(&[NEWER_KEY], ORIGIN, &fixture.clock)
            .issue(
                &fixture.pass(),
                Role::Moderator,
                &Features::default(),
                ClientTokenKind::Embed,
                Duration::from_mins(5),
                PersonalClaims::ALL,
            )
            .as_str()
            .to_owned(),
        tokens(&[KEY], "https://other.example.org", &fixture.clock)
            .issue(
                &fixture.pass(),
                Role::Moderator,
                &Features::default(),
                ClientTokenKind::Embed,
                Duration::from_mins(5),
                PersonalClaims::ALL,
            )
            .as_str()
            .to_owned(),
        String::new(),
        "a.b.c".to_owned(),
        "A".repeat(100_000),
    ];
    for text in foreign {
        let refused = fixture.verify(&text);
        assert_eq!(refused.unwrap_err(), ClientTokenError::Foreign, "{text}");
    }
}

#[test]
fn changed_claims_are_refused_even_with_a_valid_signature() {
    let fixture = Fixture::new();
    let ours = |claims: &Value, algorithm| {
        let secret = ring(&[KEY])
            .secrets(Purpose::ClientSignature)
            .next()
            .unwrap();
        let key = EncodingKey::from_secret(secret.as_slice());
        jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
    };
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = part(fixture.issue().as_str(), 1);
        change(&mut claims);
        claims
    };
    let verify = |claims: &Value, algorithm| fixture.verify(&ours(claims, algorithm));
    assert!(verify(&claims(&|_| {}), Algorithm::HS256).is_ok());
    for changed in [
        claims(&|c| c["aud"] = json!("jitsi")),
        claims(&|c| c["aud"] = json!(["jitsi", "other"])),
        claims(&|c| c["iss"] = json!("https://other.example.org")),
        claims(&|c| drop(c.as_object_mut().unwrap().remove("aud"))),
        claims(&|c| drop(c.as_object_mut().unwrap().remove("exp"))),
    ] {
        let refused = verify(&changed, Algorithm::HS256);
        assert_eq!(refused.unwrap_err(), ClientTokenError::Foreign, "{changed}");
    }
    let other_algorithm = verify(&claims(&|_| {}), Algorithm::HS512);
    assert_eq!(other_algorithm.unwrap_err(), ClientTokenError::Foreign);
    let cookie = ring(&[KEY]).sealer(Purpose::Session, ORIGIN).seal(b"{}");
    let swapped = verify(&claims(&|c| c["gateway"] = json!(cookie)), Algorithm::HS256);
    assert_eq!(swapped.unwrap_err(), ClientTokenError::Unreadable);
}

#[test]
fn the_newest_key_signs_and_older_keys_verify() {
    let fixture = Fixture::new();
    let both = tokens(&[NEWER_KEY, KEY], ORIGIN, &fixture.clock);
    assert!(verify(&both, fixture.issue().as_str(), &fixture.clock).is_ok());
    let newer = both.issue(
        &fixture.pass(),
        Role::Moderator,
        &Features::default(),
        ClientTokenKind::Embed,
        Duration::from_mins(5),
        PersonalClaims::ALL,
    );
    assert!(verify(&both, newer.as_str(), &fixture.clock).is_ok());
    assert!(fixture.verify(newer.as_str()).is_err());
}
