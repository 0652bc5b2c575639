//! Each protocol violation of the provider: the sign-in fails with a specific code.

use std::{collections::BTreeSet, time::Duration};

use oidc::{AuthenticationErrorClass, AuthorizationOptions, ProviderStatus};

use super::Pair;
use crate::support::provider_fault::{METADATA_FAULTS, ProviderFault, SIGN_IN_FAULTS};

#[tokio::test]
async fn each_protocol_violation_fails_the_sign_in_with_its_code() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    pair.sign_in().await.unwrap();
    for &(fault, code) in SIGN_IN_FAULTS {
        if matches!(
            fault,
            ProviderFault::TokenHang
                | ProviderFault::UserinfoHang
                | ProviderFault::KidAbsentMultipleJwks
        ) {
            continue;
        }
        pair.provider.behaviour().fault = fault;
        assert_eq!(pair.failure().await, code, "{fault:?}");
    }
    pair.provider.behaviour().fault = ProviderFault::None;
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn an_unresponsive_endpoint_times_out_as_unavailable() {
    for fault in [ProviderFault::TokenHang, ProviderFault::UserinfoHang] {
        let impatient = |settings: &mut super::OidcSettings, _: &_| {
            settings.timeout = Duration::from_millis(300);
        };
        let pair = Pair::with(ProviderFault::None, |builder| builder, impatient).await;
        let pair = pair.ready().await;
        pair.provider.behaviour().fault = fault;
        let failure = pair.sign_in().await.unwrap_err();
        assert_eq!(failure.class(), AuthenticationErrorClass::Unavailable);
        let expected = SIGN_IN_FAULTS
            .iter()
            .find(|(other, _)| *other == fault)
            .unwrap()
            .1;
        assert_eq!(failure.as_str(), expected);
    }
}

#[tokio::test]
async fn a_token_without_kid_is_ambiguous_if_several_keys_fit() {
    let pair = Pair::start(ProviderFault::KidAbsentMultipleJwks)
        .await
        .ready()
        .await;
    assert_eq!(pair.failure().await, "key_ambiguous");
}

#[tokio::test]
async fn a_provider_with_invalid_metadata_or_keys_is_not_used() {
    for &(fault, part) in METADATA_FAULTS {
        let pair = Pair::start(fault).await;
        let tried = |status: &ProviderStatus| match status {
            ProviderStatus::NeverReached { reason } => reason.contains(part),
            _ => true,
        };
        let status = pair.wait_until(tried).await;
        assert!(!status.is_usable(), "{fault:?} {status:?}");
        let address = pair
            .party
            .authorization_url("s", "n", "v", &AuthorizationOptions::default());
        assert!(address.is_err(), "{fault:?}");
        assert_eq!(pair.party.end_session_url(None, None), None);
    }
}

#[tokio::test]
async fn a_code_is_accepted_once_and_only_with_its_own_verifier_and_nonce() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let answer = pair.visit_provider();
    pair.finish(&answer).await.unwrap();
    let again = pair.finish(&answer).await.unwrap_err();
    assert_eq!(again.as_str(), "code_refused");
    assert_eq!(again.class(), AuthenticationErrorClass::TryAgain);

    let answer = pair.visit_provider();
    let policy = super::policy(&[]);
    let other_verifier = "verifier-of-some-other-sign-in-of-43-letters-";
    let stolen = pair
        .party
        .finish(&answer, super::NONCE, other_verifier, &policy);
    assert_eq!(stolen.await.unwrap_err().as_str(), "code_refused");

    let answer = pair.visit_provider();
    let stolen = pair
        .party
        .finish(&answer, "another", super::VERIFIER, &policy);
    assert_eq!(stolen.await.unwrap_err().as_str(), "nonce_wrong");
}

#[tokio::test]
async fn a_wrong_client_secret_is_classed_as_a_provider_error() {
    let wrong = |settings: &mut super::OidcSettings, _: &_| {
        settings.client_secret = Some("wrong".into());
    };
    let pair = Pair::with(ProviderFault::None, |builder| builder, wrong).await;
    let pair = pair.ready().await;
    let failure = pair.sign_in().await.unwrap_err();
    assert_eq!(failure.as_str(), "client_refused");
    assert_eq!(failure.class(), AuthenticationErrorClass::Provider);
}

#[tokio::test]
async fn errors_contain_no_response_bodies_and_no_secrets() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let mut codes = BTreeSet::new();
    for fault in [
        ProviderFault::TokenTruncated,
        ProviderFault::InvalidSig,
        ProviderFault::UserinfoArray,
        ProviderFault::TokenHtml,
    ] {
        pair.provider.behaviour().fault = fault;
        let failure = pair.sign_in().await.unwrap_err();
        let text = format!("{failure} {failure:?}");
        for secret in ["access", "Sorry", "eyJ", "code-", super::NONCE] {
            assert!(!text.contains(secret), "{fault:?}: {text}");
        }
        codes.insert(failure.as_str());
    }
    assert_eq!(codes.len(), 3);
}
