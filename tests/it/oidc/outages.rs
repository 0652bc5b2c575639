//! Outages of the provider, and rotation of its keys.

use std::time::Duration;

use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use oidc::{LogoutTokenError, ProviderStatus, TokenError};
use serde_json::json;

use super::Pair;
use crate::support::{logs::Logs, provider_fault::ProviderFault, signing_key::SigningKey};

#[tokio::test]
async fn a_provider_that_is_down_at_startup_is_used_once_it_is_up() {
    let pair = Pair::start(ProviderFault::Down).await;
    let tried = |status: &ProviderStatus| match status {
        ProviderStatus::NeverReached { reason } => reason.contains("broke off"),
        _ => false,
    };
    pair.wait_until(tried).await;
    pair.provider.behaviour().fault = ProviderFault::None;
    let pair = pair.ready().await;
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn a_lasting_outage_is_logged_once() {
    let logs = Logs::keep();
    let pair = Pair::start(ProviderFault::Down).await;
    let requests = || pair.provider.behaviour().requests.values().sum::<usize>();
    // The failure before the last attempt is logged by now.
    let attempts = async {
        while requests() < 3 {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), attempts).await;
    assert!(in_time.is_ok(), "{} attempts", requests());
    let lines = logs.lines_with("provider discovery failed");
    let issuer = format!("issuer=\"{}\"", pair.provider.issuer());
    let own: Vec<_> = lines.iter().filter(|line| line.contains(&issuer)).collect();
    let warnings = own.iter().filter(|line| line.contains(" WARN "));
    assert_eq!(warnings.count(), 1, "{own:#?}");
}

#[tokio::test]
async fn metadata_stays_in_use_while_the_provider_is_down() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    pair.provider.behaviour().fault = ProviderFault::Down;
    tokio::time::pause();
    tokio::time::advance(Duration::from_hours(1)).await;
    let stale = |status: &ProviderStatus| matches!(status, ProviderStatus::Stale { .. });
    assert!(pair.wait_until(stale).await.is_usable());
    tokio::time::resume();
    pair.provider.behaviour().fault = ProviderFault::None;
    pair.sign_in().await.unwrap();
    pair.ready().await;
}

#[tokio::test]
async fn a_rotated_key_is_fetched_at_its_first_token() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let new = SigningKey::new("key-2", Algorithm::ES256);
    pair.provider.behaviour().keys.insert(0, new);
    pair.sign_in().await.unwrap();
    assert_eq!(pair.provider.request_count("jwks"), 2);
    // Once the old key is not in the set, tokens signed with it are refused.
    let old = pair.provider.behaviour().keys.remove(1);
    pair.clock_control.advance(Duration::from_secs(61));
    pair.provider
        .behaviour()
        .keys
        .insert(0, SigningKey::new("key-3", Algorithm::ES256));
    pair.sign_in().await.unwrap();
    pair.provider.behaviour().keys = vec![old];
    assert_eq!(pair.failure().await, "key_unknown");
}

#[tokio::test]
async fn a_key_replaced_under_the_same_id_is_refetched() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    pair.provider.behaviour().keys = vec![SigningKey::new("key-1", Algorithm::EdDSA)];
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn unknown_key_ids_cause_one_key_refetch_a_minute() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let flood = |round: usize| {
        let pair = &pair;
        join_all((0..300).map(move |n| async move {
            let head = json!({ "kid": format!("made-up-{round}-{n}") });
            let token = pair.provider.logout_token(&head, &json!({}));
            pair.party.validate_logout_token(&token).await
        }))
    };
    for round in 1..=3 {
        for result in flood(round).await {
            let unknown = LogoutTokenError::Token(TokenError::UnknownKey);
            assert_eq!(result.unwrap_err(), unknown);
        }
        assert_eq!(pair.provider.request_count("jwks"), 1 + round);
        pair.clock_control.advance(Duration::from_secs(59));
        flood(round).await;
        assert_eq!(pair.provider.request_count("jwks"), 1 + round);
        pair.clock_control.advance(Duration::from_secs(1));
    }
    pair.sign_in().await.unwrap();
}

/// Anyone can send a logout token. Its unknown key must not delay a sign-in after a key rotation.
#[tokio::test]
async fn logout_tokens_with_unknown_keys_do_not_use_up_the_key_refetch_of_sign_ins() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let head = json!({ "kid": "made-up" });
    let forged = pair.provider.logout_token(&head, &json!({}));
    let unknown = LogoutTokenError::Token(TokenError::UnknownKey);
    assert_eq!(
        pair.party.validate_logout_token(&forged).await,
        Err(unknown)
    );
    assert_eq!(pair.provider.request_count("jwks"), 2);

    pair.provider.behaviour().keys = vec![SigningKey::new("key-2", Algorithm::ES256)];
    pair.sign_in().await.unwrap();
    assert_eq!(pair.provider.request_count("jwks"), 3);
}

#[tokio::test]
async fn sign_ins_do_not_use_up_the_key_refetch_of_logout_tokens() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    pair.provider.behaviour().keys = vec![SigningKey::new("key-2", Algorithm::ES256)];
    pair.sign_in().await.unwrap();

    pair.provider.behaviour().keys = vec![SigningKey::new("key-3", Algorithm::ES256)];
    let token = pair.provider.logout_token(&json!({}), &json!({}));
    pair.party.validate_logout_token(&token).await.unwrap();
    assert_eq!(pair.provider.request_count("jwks"), 3);
}

#[tokio::test]
async fn a_cancelled_validation_still_completes_the_key_refetch() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    pair.provider.behaviour().keys = vec![SigningKey::new("key-2", Algorithm::ES256)];
    let token = pair.provider.logout_token(&json!({}), &json!({}));
    {
        let mut cancelled = Box::pin(pair.party.validate_logout_token(&token));
        let once = futures_util::poll!(&mut cancelled);
        assert!(once.is_pending());
    }
    pair.party.validate_logout_token(&token).await.unwrap();
    assert_eq!(pair.provider.request_count("jwks"), 2);
}

#[tokio::test]
async fn the_last_good_keys_stay_in_use_after_a_bad_key_set() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    for fault in [
        ProviderFault::JwksEmpty,
        ProviderFault::JwksHtml,
        ProviderFault::JwksServerError,
        ProviderFault::Down,
    ] {
        pair.provider.behaviour().fault = fault;
        let token = pair
            .provider
            .logout_token(&json!({ "kid": "new" }), &json!({}));
        let result = pair.party.validate_logout_token(&token).await;
        assert_eq!(result, Err(LogoutTokenError::Token(TokenError::UnknownKey)));
        pair.clock_control.advance(Duration::from_mins(1));
    }
    pair.provider.behaviour().fault = ProviderFault::None;
    pair.sign_in().await.unwrap();
}
