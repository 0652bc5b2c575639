//! Logout and logout tokens.

use super::*;

#[tokio::test]
async fn logout_ends_the_session_and_redirects_to_registered_uris_only() {
    let setup = start().await;
    let mut browser = TestBrowser::new();
    let code = setup.code(&mut browser, "hanna").await;
    let tokens = setup.exchange(&code, VERIFIER, SECRET).await.json();
    let hint = tokens["id_token"].as_str().unwrap();
    let log_out = |to: &str| {
        let mut url = url::Url::parse(&format!("{}/logout", setup.issuer)).unwrap();
        url.query_pairs_mut()
            .append_pair("id_token_hint", hint)
            .append_pair("post_logout_redirect_uri", to)
            .append_pair("state", "x");
        String::from(url)
    };
    let kept = browser.clone();
    let page = browser.get(&log_out("https://evil.example/")).await;
    assert_eq!(page.status, StatusCode::OK);
    let page = browser.get(&log_out(SIGNED_OUT)).await;
    assert_eq!(page.location().as_str(), format!("{SIGNED_OUT}?state=x"));
    assert!(browser.cookies.is_empty());
    // A copy of the cookie is invalid, too.
    let page = kept.clone().get(&setup.authorize(&[])).await;
    assert_eq!(page.status, StatusCode::OK);
}

#[tokio::test]
async fn logout_without_a_hint_needs_a_confirmation() {
    let setup = start().await;
    let mut browser = TestBrowser::new();
    setup.code(&mut browser, "hanna").await;
    let url = format!("{}/logout", setup.issuer);
    let page = browser.get(&format!("{url}?client_id=gateway")).await;
    assert!(page.body.contains(">Sign out"), "{}", page.body);
    assert!(!browser.cookies.is_empty());
    let elsewhere = Request::post(&url).header("sec-fetch-site", "cross-site");
    browser.send(elsewhere, "").await;
    assert!(!browser.cookies.is_empty());
    browser.post(&url, &[("client_id", "gateway")]).await;
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn logout_tokens_have_the_specified_form() {
    let setup = start().await;
    let token = setup.provider.logout_token("gateway", None, Some("sid1"));
    let claims = setup.claims(&token).await;
    assert_eq!(claims["sid"], "sid1");
    assert!(claims.get("sub").is_none() && claims.get("nonce").is_none());
    assert!(claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object());
    let head = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(head.typ.as_deref(), Some("logout+jwt"));
}
