use super::*;

#[test]
fn a_region_is_one_plain_name_and_anything_else_is_ignored() {
    for (region, expected) in [
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
        let who = person(json!({"sub": "1", "site": {"region": region}}), None, &[]);
        assert_eq!(who.region.as_deref(), expected, "{region}");
    }
    let userinfo = json!({"sub": "1", "site": {"region": "eu"}});
    let who = person(json!({"sub": "1"}), Some(userinfo), &[]);
    assert_eq!(who.region.as_deref(), Some("eu"));
}

#[test]
fn the_userinfo_is_asked_for_a_region_that_the_id_token_lacks() {
    let mut paths = settings().claims;
    let policy = policy(&[]);
    let id_token = claims(json!({
        "sub": "1", "name": "Zoë", "email": "zoe@example.org", "email_verified": true,
        "picture": "https://example.org/zoe.png", "realm_access": {"roles": []},
    }));
    assert!(needs_userinfo(&id_token, &paths, &policy));
    paths.region = None;
    assert!(!needs_userinfo(&id_token, &paths, &policy));
}
