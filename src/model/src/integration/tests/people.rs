//! The user in a token.

use super::*;

#[test]
fn moderators_depend_on_the_claim_and_the_configuration() {
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
        assert!(
            host(ModeratorPolicy::AsClaimed, claimed.clone()),
            "{claimed}"
        );
        assert!(!host(ModeratorPolicy::Never, claimed));
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
        assert!(!host(ModeratorPolicy::AsClaimed, not.clone()), "{not}");
        assert!(host(ModeratorPolicy::Always, not));
    }
}

#[test]
fn users_have_distinct_subjects_and_sanitized_attributes() {
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
fn a_token_without_a_time_of_issue_counts_as_issued_as_early_as_its_expiry_allows() {
    let now = NOW.as_unix();
    for (changes, issued) in [
        (json!({"iat": now - 300}), now - 300),
        (json!({"iat": now - 300, "exp": now + 3600}), now - 300),
        // The longest lifetime is an hour.
        (json!({"exp": now + 600}), now - 3000),
        (json!({"exp": now + 3600, "nbf": now - 10}), now),
    ] {
        let all = of(settings());
        let token = token(&changes);
        let user = all.verify(&token, &room("school-7b"), NOW).unwrap();
        assert_eq!(user.issued.as_unix(), issued, "{changes}");
        let again = all.verify_untimed(&token, &room("school-7b")).unwrap();
        assert_eq!(again.issued, user.issued, "{changes}");
    }
}
