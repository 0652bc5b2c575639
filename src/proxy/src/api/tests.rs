use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::*;
use model::{
    clock::Timestamp,
    identity::Identity,
    integration::{Integration, IntegrationSettings, Integrations, ModeratorPolicy},
    owner::OwnerTags,
    policy::{Glob, TenantScope},
    random::Random,
    room::{RoomError, RoomKey},
    seal::{Keyring, Purpose},
};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

fn integrations(rooms: &[&str]) -> Integrations {
    Integrations::new(vec![IntegrationSettings {
        id: "school".to_owned(),
        app_id: "school".to_owned(),
        signing: None,
        audience: None,
        rooms: rooms.iter().map(|pattern| Glob::folded(pattern)).collect(),
        tenant: TenantScope::Any,
        moderators: ModeratorPolicy::AsClaimed,
        max_lifetime: Duration::from_hours(1),
        emails_verified: false,
        embed: Vec::new(),
        api_keys: Vec::new(),
        api_requests_per_minute: 60,
    }])
    .unwrap()
}

fn school(integrations: &Integrations) -> &Integration {
    integrations.iter().next().unwrap()
}

fn meeting(body: &Value) -> Result<Meeting, ApiError> {
    read_body::<MeetingRequest>(body.to_string().as_bytes())?.check(NOW)
}

fn link(body: &Value) -> Result<link::Link, ApiError> {
    let integrations = integrations(&["school-*"]);
    read_body::<LinkRequest>(body.to_string().as_bytes())?.check(school(&integrations), NOW)
}

/// The field that an error is about.
fn pointer<T: std::fmt::Debug>(outcome: Result<T, ApiError>) -> String {
    match outcome.unwrap_err() {
        ApiError::Invalid { pointer, .. } => pointer.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_meeting_has_sensible_defaults() {
    let meeting = meeting(&json!({"owner": {"email": "hanna@example.org"}})).unwrap();
    assert_eq!(meeting.expires, NOW.after(Duration::from_hours(7 * 24)));
    assert_eq!((meeting.minutes, meeting.guests), (60, false));
    assert_eq!((meeting.begins, meeting.tenant), (None, None));
}

#[test]
fn what_is_wrong_with_a_meeting_is_said_of_its_field() {
    let owner = json!({"email": "hanna@example.org"});
    let with = |name: &str, value: Value| {
        let mut body = json!({ "owner": owner });
        body[name] = value;
        body
    };
    let cases = [
        (json!({"owner": {"email": "nobody"}}), "/owner/email"),
        (
            json!({"owner": {"email": "a@b@example.org"}}),
            "/owner/email",
        ),
        (json!({"owner": {"subject": ""}}), "/owner/subject"),
        (json!({"owner": {"subject": "a\nb"}}), "/owner/subject"),
        (
            json!({"owner": {"subject": "integration:school:7"}}),
            "/owner/subject",
        ),
        (json!({"owner": {"phone": "1"}}), "/owner"),
        (json!({"owner": "hanna@example.org"}), "/owner"),
        (with("slug", json!("")), "/slug"),
        (with("slug", json!(" ")), "/slug"),
        (with("slug", json!("x".repeat(81))), "/slug"),
        (with("tenant", json!("a b")), "/tenant"),
        (with("title", json!("a\u{202e}b")), "/title"),
        (with("minutes", json!(4)), "/minutes"),
        (with("minutes", json!(1441)), "/minutes"),
        (with("minutes", json!("60")), "/minutes"),
        (with("guests", json!("yes")), "/guests"),
        (with("not_before", json!("tomorrow")), "/not_before"),
        (with("expires_at", json!("2027-01-15")), "/expires_at"),
        (
            with("expires_at", json!("2027-01-15T08:00:00Z")),
            "/expires_at",
        ),
        (
            with("expires_at", json!("2028-01-16T08:00:00Z")),
            "/expires_at",
        ),
        (with("lobby", json!(true)), "/lobby"),
    ];
    for (body, expected) in cases {
        assert_eq!(pointer(meeting(&body)), expected, "{body}");
    }
    let mut late = with("expires_at", json!("2027-01-16T08:00:00Z"));
    late["not_before"] = json!("2027-01-16T10:00:00+01:00");
    assert_eq!(pointer(meeting(&late)), "/not_before");
    late["not_before"] = json!("2027-01-16T08:59:00+01:00");
    assert!(meeting(&late).is_ok());
    assert_eq!(pointer(meeting(&json!({}))), "");
}

#[test]
fn bodies_that_are_no_json_are_told_apart_from_wrong_ones() {
    for text in ["", "{", "{}x", "nul", "{\"owner\": }"] {
        let error = read_body::<MeetingRequest>(text.as_bytes()).unwrap_err();
        let syntax = matches!(error, ApiError::Syntax(_));
        assert!(syntax || text == "{}x", "{text}: {error:?}");
    }
    let twice = r#"{"owner":{"email":"a@b.c"},"slug":"x","slug":"y"}"#;
    let error = read_body::<MeetingRequest>(twice.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "duplicate field `slug`");
}

#[test]
fn rooms_are_the_integrations_whether_named_or_made_up() {
    let owners = OwnerTags::new(Keyring::single([7; 32]).tagger(Purpose::Owner));
    let random = Random::predictable(1);
    let named = |patterns: &[&str], slug: Option<&str>| {
        let body = json!({"owner": {"subject": "4711"}, "slug": slug, "tenant": "acme"});
        let integrations = integrations(patterns);
        let meeting = meeting(&body).unwrap();
        let room = meeting.room(&owners, school(&integrations), &random);
        room.map(|room| room.to_string())
    };
    let room = named(&["school-*"], Some("School 7b")).unwrap();
    assert!(room.starts_with("acme/school-7b-"), "{room}");
    assert_eq!(
        named(&["school-*"], Some("board")),
        Err(ApiError::ForeignRoom)
    );
    let room = named(&["aula", "school-*"], None).unwrap();
    assert!(room.starts_with("acme/school-"), "{room}");
    let owner = Identity {
        subject: "4711".to_owned(),
        ..Identity::default()
    };
    assert!(owners.is_owner(&RoomKey::from_text(&room).unwrap(), &owner));
    assert_eq!(named(&["aula"], None), Err(ApiError::ForeignRoom));
    assert_eq!(pointer(named(&["school-*"], Some("?!"))), "/slug");
}

#[test]
fn links_end_and_are_for_own_rooms() {
    let good = link(&json!({"room": "School-7b", "role": "guest"})).unwrap();
    assert_eq!(good.room, RoomKey::from_text("school-7b").unwrap());
    assert_eq!(good.expires, NOW.after(Duration::from_hours(24)));
    assert!(!good.host && good.uses.is_none());
    let short = link(&json!({"room": "school-7b", "role": "host", "ttl_seconds": 60})).unwrap();
    assert!(short.host && short.expires == NOW.after(Duration::from_mins(1)));

    let both = json!({"room": "school-7b", "role": "host", "ttl_seconds": 60,
        "expires_at": "2027-01-16T08:00:00Z"});
    assert_eq!(link(&both).unwrap().expires, short.expires);

    let foreign = link(&json!({"room": "board", "role": "guest"}));
    assert_eq!(foreign, Err(ApiError::ForeignRoom));
    let cases = [
        (json!({"role": "guest"}), ""),
        (json!({"room": "", "role": "guest"}), "/room"),
        (json!({"room": "a b/c", "role": "guest"}), "/room"),
        (json!({"room": "school-1", "role": "owner"}), "/role"),
        (
            json!({"room": "school-1", "role": "guest", "uses": 0}),
            "/uses",
        ),
        (
            json!({"room": "school-1", "role": "guest", "uses": 10_001}),
            "/uses",
        ),
        (
            json!({"room": "school-1", "role": "guest", "ttl_seconds": 59}),
            "/ttl_seconds",
        ),
        (json!({"room": "*".repeat(513), "role": "guest"}), "/room"),
        (
            json!({"room": "school-1", "role": "guest", "expires_at": "1969-12-31T00:00:00Z"}),
            "/expires_at",
        ),
        (
            json!({"room": "school-1", "role": "guest", "email": "x"}),
            "/email",
        ),
        (
            json!({"room": "school-1", "role": "guest", "name": "a\u{7}"}),
            "/name",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(pointer(link(&body)), expected, "{body}");
    }
}

#[test]
fn a_link_is_revoked_by_whom_it_is_of() {
    let integrations = integrations(&["school-*"]);
    let own = link::new_id(school(&integrations), &Random::system());
    assert!(link::is_of(school(&integrations), &own));
    for id in [
        "",
        "school",
        "school.",
        "shop.AAAAAAAAAAAAAAAA",
        "schools.AAAAAAAAAAAAAAAA",
        "school.AAAAAAAAAAAAAAA",
        "school.AAAAAAAAAAAAAAA%",
        "AAAAAAAAAAAAAAAA",
    ] {
        assert!(!link::is_of(school(&integrations), id), "{id}");
    }
}

#[test]
fn paths_and_methods_name_calls() {
    let of = |method: &str, path: &str| Call::of(&method.parse().unwrap(), path);
    let room = |text: &str| Ok(Call::Room(RoomKey::from_text(text).unwrap()));
    assert_eq!(of("POST", "meetings"), Ok(Call::CreateMeeting));
    assert_eq!(of("POST", "links"), Ok(Call::CreateLink));
    assert_eq!(
        of("DELETE", "links/a"),
        Ok(Call::RevokeLink("a".to_owned()))
    );
    assert_eq!(of("GET", "rooms/Caf%C3%A9"), room("café"));
    assert_eq!(of("HEAD", "rooms/caf%25c3%25a9"), room("café"));
    assert_eq!(of("GET", "rooms/acme/x"), room("acme/x"));
    assert_eq!(of("GET", "openapi.json"), Ok(Call::Document));
    for (method, path, allow) in [
        ("GET", "meetings", "POST"),
        ("PUT", "links", "POST"),
        ("GET", "links/a", "DELETE"),
        ("POST", "rooms/x", "GET, HEAD"),
        ("TRACE", "openapi.json", "GET, HEAD"),
    ] {
        assert_eq!(of(method, path), Err(ApiError::Method { allow }), "{path}");
    }
    for path in [
        "",
        "x",
        "meetings/",
        "rooms/",
        "rooms/a/b/c",
        "links/",
        "links/a/b",
    ] {
        assert_eq!(of("GET", path), Err(ApiError::NotFound), "{path}");
    }
    assert_eq!(
        of("GET", "rooms/a%27b"),
        Err(ApiError::Room(RoomError::Character('\'')))
    );
}

#[test]
fn an_idempotency_key_is_one_visible_text() {
    let of = |values: &[&'static str]| {
        let name = "idempotency-key".parse::<http::HeaderName>().unwrap();
        let headers: HeaderMap = values
            .iter()
            .map(|value| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        IdempotencyKey::of(&headers)
    };
    assert_eq!(of(&[]), Ok(None));
    assert_eq!(of(&["a-1"]).unwrap().unwrap().as_str(), "a-1");
    for bad in [&["a", "a"][..], &[""], &["a b"]] {
        assert_eq!(of(bad), Err(ApiError::IdempotencyKey), "{bad:?}");
    }
}

#[test]
fn the_document_describes_what_the_types_take() {
    let document = document();
    let schema = |name: &str| &document["components"]["schemas"][name];
    assert_eq!(schema("MeetingRequest")["additionalProperties"], false);
    assert_eq!(schema("MeetingRequest")["required"], json!(["owner"]));
    let optional = schema("MeetingAnswer")["required"].as_array().unwrap();
    assert!(!optional.contains(&json!("guest_url")));
    let text = document.to_string();
    for (_, rest) in text
        .match_indices("\"$ref\":\"#/")
        .map(|(at, _)| text.split_at(at))
    {
        let pointer = rest.split('"').nth(3).unwrap().trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    assert!(!text.contains("$defs"));
}
