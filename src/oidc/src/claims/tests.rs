mod regions;

use std::time::Duration;

use model::policy::{EntryRule, Glob, Rule};
use serde_json::json;
use url::Url;

use super::*;
use crate::ClientAuth;

fn settings() -> OidcSettings {
    let path = str::to_owned;
    OidcSettings {
        listed: None,
        scope: model::provider::SubjectScope::default(),
        issuer: path("https://sso.example.org"),
        internal_url: None,
        client_id: path("jitsi"),
        client_secret: None,
        other_audiences: Vec::new(),
        client_auth: ClientAuth::Basic,
        scopes: Vec::new(),
        parameters: model::authorization_parameters::AuthorizationParameters::default(),
        claims: ClaimPaths {
            id: path("sub"),
            name: path("name"),
            name_fallbacks: vec!["preferred_username".to_owned(), "nickname".to_owned()],
            email: path("email"),
            email_verified: path("email_verified"),
            avatar: path("picture"),
            region: None,
            groups: path("realm_access.roles"),
        },
        algorithms: Vec::new(),
        ca_pem: None,
        http_proxy: None,
        timeout: Duration::from_secs(10),
        leeway: Duration::from_mins(1),
        revalidate: None,
        push: crate::PushPolicy::Never,
        form_post: false,
        silent_renewal: false,
        group_lookup: None,
        redirect_uri: Url::parse("https://meet.example.org/_gateway/callback").unwrap(),
        signed_out_uri: Url::parse("https://meet.example.org/").unwrap(),
        insecure_trust_unverified_email: false,
    }
}

fn policy(conditions: &[&str]) -> Policy {
    let moderators = conditions.iter().map(|text| text.parse().unwrap());
    Policy::new(vec![Rule {
        moderators: moderators.collect(),
        ..Rule::new(
            Glob::folded("*"),
            EntryRule::Where(vec!["member".parse().unwrap()]),
        )
    }])
}

fn claims(value: Value) -> ClaimsSet {
    serde_json::from_value(value).unwrap()
}

fn person(id_token: Value, userinfo: Option<Value>, conditions: &[&str]) -> Identity {
    let userinfo = userinfo.map(claims);
    let sources = ClaimSources {
        id_token: &claims(id_token),
        userinfo: userinfo.as_ref(),
        directory_groups: None,
    };
    sources.identity(&settings(), &policy(conditions)).unwrap()
}

#[test]
fn only_groups_and_claims_that_rules_name_are_kept() {
    let who = person(
        json!({
            "sub": "42", "realm_access": {"roles": ["staff", "staff", "everyone", 7]},
            "dept": {"code": [5, true, "x", {}]}, "https://example.org/tier": "gold", "ssn": "123",
        }),
        None,
        &[
            "group:st*",
            "claim:dept.code=5",
            "claim:https://example.org/tier=gold",
            "claim:none=1",
        ],
    );
    assert_eq!(who.groups, ["staff"]);
    let kept: Vec<_> = who.claims.into_iter().collect();
    assert_eq!(
        kept,
        [
            (
                "dept.code".to_owned(),
                ["5", "true", "x"].map(str::to_owned).to_vec()
            ),
            (
                "https://example.org/tier".to_owned(),
                vec!["gold".to_owned()]
            ),
        ]
    );
}

#[test]
fn groups_are_read_from_one_string() {
    let roles = json!({"sub": "1", "realm_access.roles": "a, b  c,,"});
    assert_eq!(person(roles, None, &["group:*"]).groups, ["a", "b", "c"]);
}

#[test]
fn groups_are_read_from_the_names_of_an_object() {
    let roles = json!({"sub": "1", "realm_access": {"roles": {
        "staff": {"2811": "example.org"}, "board": {}, "admin": false, "owner": "no", "all": null,
    }}});
    assert_eq!(person(roles, None, &["group:*"]).groups, ["staff"]);
}

#[test]
fn groups_with_control_characters_are_dropped_not_cleaned() {
    let roles = json!([
        "ad\u{0}min",
        "admin\u{202e}",
        format!("a{}", "x".repeat(300)),
        "",
        [],
        {}
    ]);
    let who = person(
        json!({"sub": "1", "realm_access": {"roles": roles}}),
        None,
        &["group:a*"],
    );
    assert!(who.groups.is_empty());
}

#[test]
fn names_are_sanitized_and_cut() {
    let name = |text: &str| person(json!({"sub": "1", "name": text}), None, &[]).name;
    assert_eq!(
        name(" Zoë \t\n von\u{202e} A\u{7} ").as_deref(),
        Some("Zoë von A")
    );
    assert_eq!(name("👩\u{200d}💻").as_deref(), Some("👩\u{200d}💻"));
    assert_eq!(name("\u{202e}\u{0}"), None);
    assert_eq!(name(&"ö".repeat(500)).unwrap().chars().count(), 128);
}

#[test]
fn pictures_are_web_urls() {
    let avatar = |text: &str| person(json!({"sub": "1", "picture": text}), None, &[]).avatar;
    assert_eq!(
        avatar("https://cdn.example/a b.png").as_deref(),
        Some("https://cdn.example/a%20b.png")
    );
    for bad in [
        "javascript:alert(1)",
        "data:image/png;base64,AA",
        "/a.png",
        "https://u:p@x/",
        "",
    ] {
        assert_eq!(avatar(bad), None, "{bad}");
    }
    assert_eq!(avatar(&format!("https://x/{}", "a".repeat(600))), None);
}

#[test]
fn email_is_verified_only_if_the_provider_says_so_of_this_address() {
    let verified = |id_token: Value, userinfo: Option<Value>| {
        let who = person(id_token, userinfo, &[]);
        (who.email, who.email_verified)
    };
    let a = || Some("a@x".to_owned());
    let id = |verified: Value| json!({"sub": "1", "email": "a@x", "email_verified": verified});
    assert_eq!(verified(id(json!(true)), None), (a(), true));
    assert_eq!(verified(id(json!("true")), None), (a(), true));
    for no in [json!(false), json!("false"), json!(2), json!(null)] {
        assert_eq!(verified(id(no), None), (a(), false));
    }
    let id = json!({"sub": "1", "email": "a@x"});
    let other = json!({"sub": "1", "email": "b@x", "email_verified": true});
    assert_eq!(verified(id.clone(), Some(other.clone())), (a(), false));
    let same = json!({"sub": "1", "email": "a@x", "email_verified": true});
    assert_eq!(verified(id, Some(same)), (a(), true));
    let none = json!({"sub": "1"});
    assert_eq!(
        verified(none, Some(other)),
        (Some("b@x".to_owned()), true),
        "an address that only the userinfo has"
    );
    let crossed = json!({"sub": "1", "email_verified": true});
    let unverified = json!({"sub": "1", "email": "b@x"});
    assert!(!verified(crossed, Some(unverified)).1);
    for bad in ["ax", "a @x", "a@\u{202e}x", "a@x\n"] {
        assert_eq!(
            verified(
                json!({"sub": "1", "email": bad, "email_verified": true}),
                None
            ),
            (None, false),
            "{bad:?}"
        );
    }
}

#[test]
fn unverified_email_is_trusted_if_configured() {
    let settings = OidcSettings {
        insecure_trust_unverified_email: true,
        ..settings()
    };
    let id_token = claims(json!({"sub": "1", "email": "a@x"}));
    let sources = ClaimSources {
        id_token: &id_token,
        userinfo: None,
        directory_groups: None,
    };
    let who = sources.identity(&settings, &policy(&[])).unwrap();
    assert!(who.email_verified);
}

#[test]
fn an_invalid_user_id_is_refused() {
    let mut settings = settings();
    settings.claims.id = "oid".to_owned();
    for oid in [
        json!(null),
        json!(""),
        json!(["1"]),
        json!("a\u{0}b"),
        json!("x".repeat(256)),
    ] {
        let id_token = claims(json!({"sub": "1", "oid": oid}));
        let sources = ClaimSources {
            id_token: &id_token,
            userinfo: None,
            directory_groups: None,
        };
        let result = sources.identity(&settings, &policy(&[]));
        assert!(matches!(result, Err(AuthenticationError::NoId)), "{oid}");
    }
}

#[test]
fn userinfo_is_needed_only_for_missing_claims() {
    let full = claims(json!({
        "sub": "1", "name": "A", "email": "a@x", "email_verified": true, "picture": "https://x/",
        "realm_access": {"roles": []},
    }));
    let paths = settings().claims;
    let needs = |id_token: &ClaimsSet, groups: Option<&[String]>, conditions: &[&str]| {
        let sources = ClaimSources {
            id_token,
            userinfo: None,
            directory_groups: groups,
        };
        sources.needs_userinfo(&paths, &policy(conditions))
    };
    assert!(!needs(&full, None, &[]));
    assert!(needs(&full, None, &["claim:dept=x"]));
    let mut partial = full;
    partial.insert("realm_access".to_owned(), json!({"roles": null}));
    assert!(needs(&partial, None, &[]));
    assert!(!needs(&partial, Some(&[]), &[]), "the directory has them");
}

#[test]
fn distributed_claims_that_rules_need_are_found() {
    let mut settings = settings();
    settings.claims.groups = "groups".to_owned();
    let rules = policy(&["claim:dept=x"]);
    let found = |id_token: Value| {
        let id_token = claims(id_token);
        let sources = ClaimSources {
            id_token: &id_token,
            userinfo: None,
            directory_groups: None,
        };
        sources
            .distributed_claims(&settings.claims, &rules)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let names = json!({"groups": "src1", "dept": "src1", "address": "src1"});
    assert_eq!(
        found(json!({"sub": "1", "_claim_names": names, "dept": "x"})),
        ["groups"]
    );
    assert!(found(json!({"sub": "1"})).is_empty());
    assert!(found(json!({"sub": "1", "_claim_names": "groups"})).is_empty());
}

#[test]
fn the_name_is_the_first_that_there_is() {
    for (given, expected) in [
        (json!({"name": "Zoe Ada"}), Some("Zoe Ada")),
        (
            json!({"name": "Zoe Ada", "preferred_username": "zoe"}),
            Some("Zoe Ada"),
        ),
        (
            json!({"given_name": "Zoe", "family_name": "Ada", "preferred_username": "zoe"}),
            Some("Zoe Ada"),
        ),
        (json!({"family_name": "Ada"}), Some("Ada")),
        (
            json!({"name": "", "preferred_username": "zoe", "nickname": "z"}),
            Some("zoe"),
        ),
        (json!({"name": 5, "nickname": "z"}), Some("z")),
        (json!({"preferred_username": "\u{202e} "}), None),
        (json!({}), None),
    ] {
        let mut all = json!({"sub": "4f9c"});
        all.as_object_mut()
            .unwrap()
            .extend(given.as_object().unwrap().clone());
        assert_eq!(person(all, None, &[]).name.as_deref(), expected, "{given}");
    }
    // The userinfo's `name` is better than another claim of the ID token.
    let id_token = json!({"sub": "1", "preferred_username": "zoe"});
    let userinfo = Some(json!({"sub": "1", "name": "Zoe Ada"}));
    assert_eq!(
        person(id_token, userinfo, &[]).name.as_deref(),
        Some("Zoe Ada")
    );
}

#[test]
fn the_forms_of_a_verified_address() {
    for (value, verified) in [
        (json!(true), true),
        (json!("true"), true),
        (json!("True"), true),
        (json!(1), true),
        (json!("1"), true),
        (json!(false), false),
        (json!("false"), false),
        (json!(0), false),
        (json!("0"), false),
        (json!(1.5), false),
        (json!("yes"), false),
        (json!([true]), false),
        (json!({"value": true}), false),
        (json!(null), false),
    ] {
        let given = json!({"sub": "1", "email": "a@example.org", "email_verified": value});
        assert_eq!(person(given, None, &[]).email_verified, verified, "{value}");
    }
}

#[test]
fn names_inside_a_path_may_have_dots() {
    let client = "meet.example.org";
    let id_token = json!({
        "sub": "1",
        "resource_access": { client: {"roles": ["host"]}, "meet": {"other": 1} },
        "https://example.org/claims": {"staff.kind": "teacher"},
        "a.b": {"c": "inner"},
        "a": {"b": {"c": "outer"}, "b.c": "joined"},
        "plain.name": null,
        "plain": {"name": "found"},
    });
    let claims = claims(id_token);
    for (path, expected) in [
        (
            "resource_access.meet.example.org.roles",
            Some(json!(["host"])),
        ),
        ("resource_access.meet.other", Some(json!(1))),
        (
            "https://example.org/claims.staff.kind",
            Some(json!("teacher")),
        ),
        ("a.b.c", Some(json!("inner"))),
        ("plain.name", Some(json!("found"))),
        (
            "resource_access.meet.example.org",
            Some(json!({"roles": ["host"]})),
        ),
        ("resource_access.meet.example.roles", None),
        ("a.", None),
        (".a", None),
        ("", None),
    ] {
        assert_eq!(find(&claims, path).cloned(), expected, "{path}");
    }
}

#[test]
fn groups_as_providers_write_them() {
    for groups in [
        json!(["staff", "other"]),
        json!("staff other"),
        json!("other,staff"),
        json!([{"name": "staff", "id": "1"}]),
        json!([{"value": "1", "display": "staff"}]),
        json!([{"id": "1", "displayName": "staff"}]),
        json!([{"value": "staff"}]),
        json!([{"id": "staff"}, 7, null]),
        json!({"staff": {"2041": "example.org"}, "other": {}}),
    ] {
        let given = json!({"sub": "1", "realm_access": {"roles": groups}});
        let person = person(given, None, &["group:staff"]);
        assert_eq!(person.groups, ["staff"], "{groups}");
    }
    for groups in [
        json!([{"kind": "staff"}]),
        json!([["staff"]]),
        json!({"staff": {}}),
        json!(7),
    ] {
        let given = json!({"sub": "1", "realm_access": {"roles": groups}});
        assert!(
            person(given, None, &["group:staff"]).groups.is_empty(),
            "{groups}"
        );
    }
}
