//! Successful sign-ins, and how claims become an identity.

use jsonwebtoken::Algorithm;
use oidc::{ClientAuth, Prompt, SignInOptions};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{NONCE, Pair, STATE, VERIFIER, policy};
use crate::support::{lie::Lie, lying_provider::SUBJECT};

#[tokio::test]
async fn a_valid_callback_signs_in() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ] {
        let pair = Pair::with(
            Lie::Honest,
            |builder| builder.algorithm(algorithm),
            |_, _| {},
        );
        let pair = pair.await.ready().await;
        let signed_in = pair.sign_in().await.unwrap();
        assert_eq!(signed_in.who.subject, SUBJECT);
        assert_eq!(signed_in.who.display_name(), Some("Zoë"));
        assert_eq!(signed_in.provider_session.as_deref(), Some("session-1"));
        assert!(signed_in.id_token.expose_secret().starts_with("ey"));
        assert!(!format!("{signed_in:?}").contains("eyJ"), "{algorithm:?}");
    }
}

#[tokio::test]
async fn the_authorization_url_has_all_parameters() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    let plain = SignInOptions::default();
    let url = |options| {
        pair.party
            .authorization_url(STATE, NONCE, VERIFIER, options)
            .unwrap()
    };
    let mut parameters: Vec<_> = url(&plain).query_pairs().into_owned().collect();
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
    assert!(!url(&plain).as_str().contains(VERIFIER));
    let choosing = SignInOptions {
        prompt: Some(Prompt::SelectAccount),
        login_hint: Some("zoe@example.org".to_owned()),
    };
    let choosing = url(&choosing);
    let parameters: Vec<_> = choosing.query_pairs().collect();
    assert!(parameters.contains(&("prompt".into(), "select_account".into())));
    assert!(parameters.contains(&("login_hint".into(), "zoe@example.org".into())));
}

#[tokio::test]
async fn several_audiences_are_accepted_if_azp_is_the_client() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    pair.provider.mind().id_token = json!({ "aud": ["jitsi", "account"], "azp": "jitsi" });
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn clock_skew_within_leeway_is_accepted() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    let now = 1_800_000_000;
    pair.provider.mind().id_token = json!({ "iat": now + 60, "nbf": now + 60 });
    pair.sign_in().await.unwrap();
    pair.provider.mind().id_token = json!({ "iat": now - 300, "exp": now - 30 });
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn userinfo_adds_claims_and_never_overrides_the_id_token() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    {
        let mut mind = pair.provider.mind();
        mind.id_token = json!({ "name": "From the token" });
        mind.userinfo = json!({ "name": "From userinfo", "groups": ["staff", "other"] });
    }
    let answer = pair.visit_provider();
    let rules = policy(&["group:staff"]);
    let signed_in = pair.party.finish(&answer, NONCE, VERIFIER, &rules).await;
    let who = signed_in.unwrap().who;
    assert_eq!(who.name.as_deref(), Some("From the token"));
    assert_eq!(who.groups, ["staff"]);
    assert_eq!(pair.provider.asked("userinfo"), 1);
}

#[tokio::test]
async fn userinfo_is_not_requested_if_the_id_token_is_complete() {
    let pair = Pair::start(Lie::UserinfoInvalidSub).await.ready().await;
    pair.provider.mind().id_token = json!({
        "name": "Zoë", "email": "zoe@example.org", "email_verified": true,
        "picture": "https://example.org/zoe.png", "groups": [],
    });
    let who = pair.sign_in().await.unwrap().who;
    assert!(who.email_verified);
    assert_eq!(pair.provider.asked("userinfo"), 0);
}

#[tokio::test]
async fn a_provider_without_userinfo_is_supported() {
    let pair = Pair::with(Lie::Down, |builder| builder, |_, _| {}).await;
    pair.provider.mind().description = json!({ "userinfo_endpoint": null });
    pair.provider.mind().lie = Lie::Honest;
    let pair = pair.ready().await;
    let who = pair.sign_in().await.unwrap().who;
    assert_eq!(who.display_name(), Some(SUBJECT));
}

#[tokio::test]
async fn a_missing_id_claim_fails_the_sign_in() {
    let other_id = |settings: &mut super::Settings, _: &_| {
        settings.claims.id = "employee.number".to_owned();
    };
    let pair = Pair::with(Lie::Honest, |builder| builder, other_id).await;
    let pair = pair.ready().await;
    assert_eq!(pair.failure().await, "id_claim_missing");
    pair.provider.mind().id_token = json!({ "employee": { "number": 17 } });
    assert_eq!(pair.sign_in().await.unwrap().who.subject, "17");
}

#[tokio::test]
async fn the_client_secret_is_sent_by_the_configured_method() {
    let post = |settings: &mut super::Settings, _: &_| settings.client_auth = ClientAuth::Post;
    let pair = Pair::with(Lie::Honest, |builder| builder, post).await;
    let pair = pair.ready().await;
    // This provider accepts the other method only.
    assert_eq!(pair.failure().await, "client_refused");
}

#[tokio::test]
async fn the_end_session_url_has_all_parameters() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
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
