use super::*;

fn settings_with_region() -> OidcSettings {
    let mut settings = settings();
    settings.claims.region = Some("site.region".to_owned());
    settings
}

fn region(id_token: Value, userinfo: Option<Value>) -> Option<String> {
    let userinfo = userinfo.map(claims);
    let sources = ClaimSources {
        id_token: &claims(id_token),
        userinfo: userinfo.as_ref(),
        directory_groups: None,
    };
    let identity = sources.identity(&settings_with_region(), &policy(&[]));
    identity.unwrap().region
}

#[test]
fn a_region_is_one_plain_name_and_anything_else_is_ignored() {
    for (value, expected) in [
        (json!("eu-central-1"), Some("eu-central-1")),
        (json!(["us_west.2", "eu"]), Some("us_west.2")),
        (json!("eu central"), None),
        (json!("eu\r\nX-Proxy-Region: us"), None),
        (json!("e".repeat(64)), None),
        (json!(""), None),
        (json!([]), None),
        (json!([["eu"]]), None),
        (json!(7), None),
        (json!({"eu": true}), None),
        (json!(null), None),
    ] {
        let found = region(json!({"sub": "1", "site": {"region": value}}), None);
        assert_eq!(found.as_deref(), expected, "{value}");
    }
    let userinfo = json!({"sub": "1", "site": {"region": "eu"}});
    let found = region(json!({"sub": "1"}), Some(userinfo));
    assert_eq!(found.as_deref(), Some("eu"));
    let without = person(json!({"sub": "1", "region": "eu"}), None, &[]);
    assert_eq!(without.region, None, "no claim is named");
}

#[test]
fn the_userinfo_is_asked_for_a_region_that_the_id_token_lacks() {
    let id_token = claims(json!({
        "sub": "1", "name": "Zoë", "email": "zoe@example.org", "email_verified": true,
        "picture": "https://example.org/zoe.png", "realm_access": {"roles": []},
    }));
    let policy = policy(&[]);
    for (paths, needed) in [
        (settings_with_region().claims, true),
        (settings().claims, false),
    ] {
        let sources = ClaimSources {
            id_token: &id_token,
            userinfo: None,
            directory_groups: None,
        };
        assert_eq!(sources.needs_userinfo(&paths, &policy), needed);
    }
}
