//! Deviations of real providers from the specification that harm nobody: people sign in.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::Pair;
use crate::support::{
    faulty_provider::{CLIENT_ID, SUBJECT},
    provider_fault::ProviderFault,
    signing_key::SigningKey,
};

/// A pair whose provider's metadata differs.
async fn described(description: Value) -> Pair {
    let pair = Pair::start(ProviderFault::Down).await;
    pair.provider.behaviour().description = description;
    pair.provider.behaviour().fault = ProviderFault::None;
    pair.ready().await
}

#[tokio::test]
async fn optional_members_of_the_metadata_may_be_of_any_kind() {
    for description in [
        json!({ "backchannel_logout_supported": "true" }),
        json!({ "authorization_response_iss_parameter_supported": "true" }),
        json!({ "backchannel_logout_supported": 1, "end_session_endpoint": false }),
        json!({ "scopes_supported": "openid", "claims_supported": null }),
    ] {
        let pair = described(description.clone()).await;
        let user = pair.sign_in().await;
        assert!(user.is_ok(), "{description}: {user:?}");
    }
}

#[tokio::test]
async fn unused_members_of_the_token_response_may_be_of_any_kind() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    for response in [
        json!({ "expires_in": "3600" }),
        json!({ "expires_in": 3600.0 }),
        json!({ "expires_in": -1 }),
        json!({ "expires_in": null }),
        json!({ "scope": ["openid", "profile"] }),
        json!({ "scope": null }),
        json!({ "refresh_token": 5, "refresh_expires_in": "soon" }),
        json!({ "token_type": "bearer" }),
    ] {
        pair.provider.behaviour().token_response = response.clone();
        let user = pair.sign_in().await;
        assert!(user.is_ok(), "{response}: {user:?}");
    }
    for (response, code) in [
        (json!({ "access_token": null }), "token_unreadable"),
        (json!({ "access_token": 5 }), "token_unreadable"),
        (json!({ "token_type": "DPoP" }), "token_unreadable"),
        (json!({ "id_token": 5 }), "token_unreadable"),
        (json!({ "id_token": null }), "id_token_missing"),
    ] {
        pair.provider.behaviour().token_response = response.clone();
        assert_eq!(pair.failure().await, code, "{response}");
    }
}

#[tokio::test]
async fn a_numeric_subject_is_the_same_in_the_userinfo_and_named_in_the_id_token() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let number: u64 = SUBJECT.parse().unwrap();
    pair.provider.behaviour().userinfo = json!({ "name": "Zoe", "sub": number });
    assert_eq!(
        pair.sign_in().await.unwrap().identity.name.as_deref(),
        Some("Zoe")
    );
    pair.provider.behaviour().userinfo = json!({ "sub": number + 1 });
    assert_eq!(pair.failure().await, "userinfo_subject_wrong");
    pair.provider.behaviour().id_token = json!({ "sub": number });
    assert_eq!(pair.failure().await, "subject_not_text");
}

#[tokio::test]
async fn signed_userinfo_is_verified() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let issuer = pair.provider.issuer().to_owned();
    pair.provider.behaviour().signed_userinfo = Some(json!({}));
    for registered in [
        json!({}),
        json!({ "iss": issuer, "aud": CLIENT_ID }),
        json!({ "iss": issuer, "aud": [CLIENT_ID] }),
    ] {
        let mut claims = json!({ "name": "Zoe" });
        claims
            .as_object_mut()
            .unwrap()
            .extend(registered.as_object().unwrap().clone());
        pair.provider.behaviour().userinfo = claims;
        let user = pair.sign_in().await.unwrap();
        assert_eq!(user.identity.name.as_deref(), Some("Zoe"), "{registered}");
    }
    for claims in [
        json!({ "iss": "https://evil.example" }),
        json!({ "aud": "other" }),
    ] {
        pair.provider.behaviour().userinfo = claims.clone();
        assert_eq!(pair.failure().await, "userinfo_token_refused", "{claims}");
    }
    pair.provider.behaviour().userinfo = json!({ "sub": "another" });
    assert_eq!(pair.failure().await, "userinfo_subject_wrong");
    pair.provider.behaviour().userinfo = json!({ "name": "Zoe" });
    for head in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "crit": ["x"] }),
    ] {
        pair.provider.behaviour().signed_userinfo = Some(head.clone());
        assert_eq!(pair.failure().await, "userinfo_token_refused", "{head}");
    }
    // Signed by a key that the provider does not publish.
    pair.provider.behaviour().signed_userinfo = Some(json!({ "kid": "unknown" }));
    assert_eq!(pair.failure().await, "userinfo_token_refused");
}

#[tokio::test]
async fn a_key_that_is_published_twice_is_one_key() {
    let pair = Pair::start(ProviderFault::Down).await;
    let key = SigningKey::new("key-1", Algorithm::ES256);
    let namesake = SigningKey::new("key-1", Algorithm::ES256);
    pair.provider.behaviour().keys = vec![key.clone(), key, namesake.clone()];
    pair.provider.behaviour().fault = ProviderFault::None;
    let pair = pair.ready().await;
    pair.sign_in().await.unwrap();
    pair.provider.behaviour().keys.insert(0, namesake);
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn a_further_audience_is_accepted_if_the_configuration_lists_it() {
    let api = "https://api.example.org";
    for (listed, id_token, expected) in [
        (api, json!({ "aud": [CLIENT_ID, api] }), Ok(())),
        (
            "https://else.example.org",
            json!({ "aud": [CLIENT_ID, api] }),
            Err("authorized_party_wrong"),
        ),
        (
            api,
            json!({ "aud": [CLIENT_ID, api], "azp": "other" }),
            Err("authorized_party_wrong"),
        ),
        (api, json!({ "aud": [api] }), Err("audience_wrong")),
    ] {
        let list = |settings: &mut super::OidcSettings, _: &_| {
            settings.other_audiences = vec![listed.to_owned()];
        };
        let pair = Pair::with(ProviderFault::None, |builder| builder, list).await;
        let pair = pair.ready().await;
        pair.provider.behaviour().id_token = id_token.clone();
        let outcome = pair.sign_in().await;
        let outcome = outcome.map(drop).map_err(|error| error.as_str());
        assert_eq!(outcome, expected, "{id_token}");
    }
}
