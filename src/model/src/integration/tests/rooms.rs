//! The room and the validity period of a token.

use super::*;

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
            .err()
            .map(|refused| refused.error);
        assert_eq!(refusal, expected, "{changes}");
    }
}

#[test]
fn the_room_of_the_token_must_be_that_of_the_page() {
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
            .err()
            .map(|refused| refused.error);
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
        integrations
            .verify(&token, &room(page), NOW)
            .err()
            .map(|refused| refused.error)
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
