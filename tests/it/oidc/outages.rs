//! Outages and key rotation of the provider.

use std::time::Duration;

use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use oidc::{LogoutError, Status, TokenError};
use serde_json::json;

use super::Pair;
use crate::support::{lie::Lie, signing_key::SigningKey};

#[tokio::test]
async fn a_provider_down_at_start_is_used_once_it_answers() {
    let pair = Pair::start(Lie::Down).await;
    let tried = |status: &Status| match status {
        Status::NotYet { reason } => reason.contains("broke off"),
        _ => false,
    };
    pair.wait_until(tried).await;
    pair.provider.mind().lie = Lie::Honest;
    let pair = pair.ready().await;
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn cached_metadata_is_used_during_a_provider_outage() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    pair.provider.mind().lie = Lie::Down;
    tokio::time::pause();
    tokio::time::advance(Duration::from_hours(1)).await;
    let stale = |status: &Status| matches!(status, Status::Stale { .. });
    assert!(pair.wait_until(stale).await.is_usable());
    tokio::time::resume();
    pair.provider.mind().lie = Lie::Honest;
    pair.sign_in().await.unwrap();
    pair.ready().await;
}

#[tokio::test]
async fn rotated_keys_are_fetched_on_first_use() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    let new = SigningKey::new("key-2", Algorithm::ES256);
    pair.provider.mind().keys.insert(0, new);
    pair.sign_in().await.unwrap();
    assert_eq!(pair.provider.asked("jwks"), 2);
    // The old key is removed from the set, so its signatures are refused.
    let old = pair.provider.mind().keys.remove(1);
    pair.clock_control.advance(Duration::from_secs(61));
    pair.provider
        .mind()
        .keys
        .insert(0, SigningKey::new("key-3", Algorithm::ES256));
    pair.sign_in().await.unwrap();
    pair.provider.mind().keys = vec![old];
    assert_eq!(pair.failure().await, "key_unknown");
}

#[tokio::test]
async fn a_replaced_key_with_the_same_kid_is_detected() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    pair.provider.mind().keys = vec![SigningKey::new("key-1", Algorithm::EdDSA)];
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn unknown_key_ids_cause_no_request_per_token() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    let flood = |round: usize| {
        let pair = &pair;
        join_all((0..300).map(move |n| async move {
            let head = json!({ "kid": format!("made-up-{round}-{n}") });
            let token = pair.provider.logout_token(&head, &json!({}));
            pair.party.logout_token(&token).await
        }))
    };
    for round in 1..=3 {
        for result in flood(round).await {
            let unknown = LogoutError::Token(TokenError::UnknownKey);
            assert_eq!(result.unwrap_err(), unknown);
        }
        assert_eq!(pair.provider.asked("jwks"), 1 + round);
        pair.clock_control.advance(Duration::from_secs(59));
        flood(round).await;
        assert_eq!(pair.provider.asked("jwks"), 1 + round);
        pair.clock_control.advance(Duration::from_secs(1));
    }
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_sign_in_does_not_use_up_the_key_request() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    pair.provider.mind().keys = vec![SigningKey::new("key-2", Algorithm::ES256)];
    let token = pair.provider.logout_token(&json!({}), &json!({}));
    {
        let mut impatient = Box::pin(pair.party.logout_token(&token));
        let once = futures_util::poll!(&mut impatient);
        assert!(once.is_pending());
    }
    pair.party.logout_token(&token).await.unwrap();
    assert_eq!(pair.provider.asked("jwks"), 2);
}

#[tokio::test]
async fn an_invalid_key_set_keeps_the_last_valid_one() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    for lie in [
        Lie::JwksEmpty,
        Lie::JwksHtml,
        Lie::JwksServerError,
        Lie::Down,
    ] {
        pair.provider.mind().lie = lie;
        let token = pair
            .provider
            .logout_token(&json!({ "kid": "new" }), &json!({}));
        let result = pair.party.logout_token(&token).await;
        assert_eq!(result, Err(LogoutError::Token(TokenError::UnknownKey)));
        pair.clock_control.advance(Duration::from_mins(1));
    }
    pair.provider.mind().lie = Lie::Honest;
    pair.sign_in().await.unwrap();
}
