//! Successful sign-ins, and how the identity is composed.

use jsonwebtoken::Algorithm;
use oidc::{AuthorizationOptions, ClientAuth, Prompt};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{NONCE, Pair, STATE, VERIFIER, policy};
use crate::support::{faulty_provider::SUBJECT, provider_fault::ProviderFault};

#[tokio::test]
async fn a_sign_in_succeeds_with_each_signature_algorithm() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ] {
        let pair = Pair::with(
            ProviderFault::None,
            |builder| builder.algorithm(algorithm),
            |_, _| {},
        );
        let pair = pair.await.ready().await;
        let signed_in = pair.sign_in().await.unwrap();
        assert_eq!(signed_in.identity.subject, SUBJECT);
        assert_eq!(signed_in.identity.display_name(), Some("Zoë"));
        assert_eq!(signed_in.provider_session.as_deref(), Some("session-1"));
        assert!(signed_in.id_token.expose_secret().starts_with("ey"));
        assert!(!format!("{signed_in:?}").contains("eyJ"), "{algorithm:?}");
    }
}

#[tokio::test]
async fn the_authorization_request_has_exactly_the_expected_parameters() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let url = |prompt| {
        let options = AuthorizationOptions {
            prompt,
            ..AuthorizationOptions::default()
        };
        pair.party
            .authorization_url(STATE, NONCE, VERIFIER, &options)
            .unwrap()
    };
    let mut parameters: Vec<_> = url(None).query_pairs().into_owned().collect();
    parameters.sort();
    let names: Vec<_> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "client_id",
            "code_challenge",
            "code_challenge_method",
            "nonce",
            "redirect_uri",
            "response_type",
            "scope",
            "state"
        ]
    );
    assert!(parameters.contains(&("scope".to_owned(), "openid profile".to_owned())));
    assert!(!url(None).as_str().contains(VERIFIER));
    let select_account = url(Some(Prompt::SelectAccount));
    let parameters: Vec<_> = select_account.query_pairs().collect();
    assert!(parameters.contains(&("prompt".into(), "select_account".into())));
}

#[tokio::test]
async fn several_audiences_are_accepted_if_azp_is_this_client() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    pair.provider.behaviour().id_token = json!({ "aud": ["jitsi", "account"], "azp": "jitsi" });
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn clock_differences_within_the_leeway_are_accepted() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let now = 1_800_000_000;
    pair.provider.behaviour().id_token = json!({ "iat": now + 60, "nbf": now + 60 });
    pair.sign_in().await.unwrap();
    pair.provider.behaviour().id_token = json!({ "iat": now - 300, "exp": now - 30 });
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn userinfo_adds_claims_and_does_not_override_the_id_token() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    {
        let mut behaviour = pair.provider.behaviour();
        behaviour.id_token = json!({ "name": "From the token" });
        behaviour.userinfo = json!({ "name": "From userinfo", "groups": ["staff", "other"] });
    }
    let answer = pair.visit_provider();
    let rules = policy(&["group:staff"]);
    let signed_in = pair.party.finish(&answer, NONCE, VERIFIER, &rules).await;
    let identity = signed_in.unwrap().identity;
    assert_eq!(identity.name.as_deref(), Some("From the token"));
    assert_eq!(identity.groups, ["staff"]);
    assert_eq!(pair.provider.request_count("userinfo"), 1);
}

#[tokio::test]
async fn userinfo_is_not_fetched_if_the_id_token_has_every_claim() {
    let pair = Pair::start(ProviderFault::UserinfoInvalidSub)
        .await
        .ready()
        .await;
    pair.provider.behaviour().id_token = json!({
        "name": "Zoë", "email": "zoe@example.org", "email_verified": true,
        "picture": "https://example.org/zoe.png", "groups": [],
    });
    let identity = pair.sign_in().await.unwrap().identity;
    assert!(identity.email_verified);
    assert_eq!(pair.provider.request_count("userinfo"), 0);
}

#[tokio::test]
async fn a_provider_without_userinfo_endpoint_is_usable() {
    let pair = Pair::with(ProviderFault::Down, |builder| builder, |_, _| {}).await;
    pair.provider.behaviour().description = json!({ "userinfo_endpoint": null });
    pair.provider.behaviour().fault = ProviderFault::None;
    let pair = pair.ready().await;
    let identity = pair.sign_in().await.unwrap().identity;
    assert_eq!(identity.display_name(), Some(SUBJECT));
}

#[tokio::test]
async fn a_sign_in_without_the_configured_id_claim_fails() {
    let other_id = |settings: &mut super::OidcSettings, _: &_| {
        settings.claims.id = "employee.number".to_owned();
    };
    let pair = Pair::with(ProviderFault::None, |builder| builder, other_id).await;
    let pair = pair.ready().await;
    assert_eq!(pair.failure().await, "id_claim_missing");
    pair.provider.behaviour().id_token = json!({ "employee": { "number": 17 } });
    assert_eq!(pair.sign_in().await.unwrap().identity.subject, "17");
}

#[tokio::test]
async fn the_client_secret_is_sent_as_configured() {
    let post = |settings: &mut super::OidcSettings, _: &_| settings.client_auth = ClientAuth::Post;
    let pair = Pair::with(ProviderFault::None, |builder| builder, post).await;
    let pair = pair.ready().await;
    // This provider accepts `client_secret_basic` only.
    assert_eq!(pair.failure().await, "client_refused");
}

#[tokio::test]
async fn the_logout_request_has_exactly_the_expected_parameters() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let url = pair
        .party
        .end_session_url(Some("the.id.token"), Some("here"))
        .unwrap();
    let parameters: Vec<_> = url.query_pairs().into_owned().collect();
    let pair_of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        parameters,
        [
            pair_of("client_id", "jitsi"),
            pair_of(
                "post_logout_redirect_uri",
                "https://meet.example.org/_gateway/signed-out"
            ),
            pair_of("state", "here"),
            pair_of("id_token_hint", "the.id.token"),
        ]
    );
    assert!(url.path().ends_with("/realms/main/end"));
}
