//! Deviations of real providers from the specification that harm nobody: people sign in.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::Pair;
use crate::support::{
    faulty_provider::{CLIENT_ID, SUBJECT},
    logs::Logs,
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

#[tokio::test]
async fn a_failing_userinfo_endpoint_is_not_needed_for_what_the_id_token_has() {
    let logs = Logs::keep();
    let pair = Pair::start(ProviderFault::UserinfoServerError)
        .await
        .ready()
        .await;
    let complete = json!({ "name": "Zoe", "email": "zoe@example.org" });
    pair.provider.behaviour().id_token = complete.clone();
    let user = pair.sign_in_under("member").await.unwrap();
    assert_eq!(user.identity.name.as_deref(), Some("Zoe"));
    let lines = logs.lines_with("without the userinfo");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("userinfo_overloaded"))
    );
    // What rules name decides who enters.
    for condition in ["group:staff", "claim:dept=x", "email-domain:example.org"] {
        let code = pair.failure_under(condition).await;
        assert_eq!(code, "userinfo_overloaded", "{condition}");
    }
    pair.provider.behaviour().id_token = json!({ "name": "Zoe" });
    assert_eq!(pair.failure_under("member").await, "userinfo_overloaded");
    // An answer about another person is no outage.
    pair.provider.behaviour().id_token = complete;
    pair.provider.behaviour().fault = ProviderFault::UserinfoInvalidSub;
    assert_eq!(pair.failure_under("member").await, "userinfo_subject_wrong");
}

#[tokio::test]
async fn a_claim_of_rules_that_cannot_be_used_is_logged_once() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let logs = Logs::keep();
    for (case, (value, is_usable)) in [
        (json!(null), false),
        (json!({ "staff": {} }), false),
        (json!([{ "name": "staff" }]), false),
        (json!([]), true),
        (json!(7), true),
        (json!(["other"]), true),
        (json!("staff"), true),
    ]
    .into_iter()
    .enumerate()
    {
        // Only this case has this claim.
        let path = format!("unusable{case}");
        pair.provider.behaviour().id_token = json!({ &path: value });
        for _ in 0..2 {
            let condition = format!("claim:{path}=staff");
            pair.sign_in_under(&condition).await.unwrap();
        }
        let mut lines = logs.lines_with("its conditions are not met");
        lines.retain(|line| line.contains(&path));
        assert_eq!(lines.len(), usize::from(!is_usable), "{value}: {lines:?}");
    }
    // Groups may have more forms.
    for (value, named) in [
        (json!({ "staff": { "1": "x" } }), 0),
        (json!({}), 0),
        (json!([{ "name": "staff" }]), 0),
        (json!("staff,it"), 0),
        (json!(7), 1),
    ] {
        let before = logs.lines_with("claim=\"own_groups\"").len();
        let pair = Pair::with(
            ProviderFault::None,
            |builder| builder,
            |settings, _| "own_groups".clone_into(&mut settings.claims.groups),
        );
        let pair = pair.await.ready().await;
        pair.provider.behaviour().id_token = json!({ "own_groups": value });
        pair.sign_in().await.unwrap();
        let after = logs.lines_with("claim=\"own_groups\"").len();
        assert_eq!(after - before, named, "{value}");
    }
}
