//! API keys.

use super::*;

#[test]
fn an_api_key_finds_its_integration_and_rate_limit() {
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

    assert!((0..60).all(|_| caller.take(NOW).is_ok()));
    assert_eq!(caller.take(NOW), Err(Duration::from_secs(1)));
    let later = NOW.after(Duration::from_secs(2));
    assert!(caller.take(later).is_ok() && caller.take(later).is_ok());
    assert_eq!(caller.take(later), Err(Duration::from_secs(1)));
}

#[test]
fn a_key_equals_its_configured_hash() {
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
