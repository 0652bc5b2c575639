//! Each protocol violation of the provider: the sign-in fails with a specific code.

use std::{collections::BTreeSet, time::Duration};

use oidc::{AuthenticationErrorClass, ProviderStatus};

use super::Pair;
use crate::support::lie::{ABOUT_ITSELF, Lie, TO_SIGN_INS};

#[tokio::test]
async fn each_protocol_violation_fails_the_sign_in_with_its_code() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    pair.sign_in().await.unwrap();
    for &(lie, code) in TO_SIGN_INS {
        if matches!(
            lie,
            Lie::TokenHang | Lie::UserinfoHang | Lie::KidAbsentMultipleJwks
        ) {
            continue;
        }
        pair.provider.mind().lie = lie;
        assert_eq!(pair.failure().await, code, "{lie:?}");
    }
    pair.provider.mind().lie = Lie::Honest;
    pair.sign_in().await.unwrap();
}

#[tokio::test]
async fn an_unresponsive_endpoint_times_out_as_unavailable() {
    for lie in [Lie::TokenHang, Lie::UserinfoHang] {
        let impatient = |settings: &mut super::OidcSettings, _: &_| {
            settings.timeout = Duration::from_millis(300);
        };
        let pair = Pair::with(Lie::Honest, |builder| builder, impatient).await;
        let pair = pair.ready().await;
        pair.provider.mind().lie = lie;
        let failure = pair.sign_in().await.unwrap_err();
        assert_eq!(failure.class(), AuthenticationErrorClass::Unavailable);
        let expected = TO_SIGN_INS
            .iter()
            .find(|(other, _)| *other == lie)
            .unwrap()
            .1;
        assert_eq!(failure.as_str(), expected);
    }
}

#[tokio::test]
async fn a_token_without_kid_is_ambiguous_if_several_keys_fit() {
    let pair = Pair::start(Lie::KidAbsentMultipleJwks).await.ready().await;
    assert_eq!(pair.failure().await, "key_ambiguous");
}

#[tokio::test]
async fn a_provider_with_invalid_metadata_or_keys_is_not_used() {
    for &(lie, part) in ABOUT_ITSELF {
        let pair = Pair::start(lie).await;
        let tried = |status: &ProviderStatus| match status {
            ProviderStatus::NeverReached { reason } => reason.contains(part),
            _ => true,
        };
        let status = pair.wait_until(tried).await;
        assert!(!status.is_usable(), "{lie:?} {status:?}");
        let address = pair.party.authorization_url("s", "n", "v", None);
        assert!(address.is_err(), "{lie:?}");
        assert_eq!(pair.party.end_session_url(None, None), None);
    }
}

#[tokio::test]
async fn a_code_is_accepted_once_and_only_with_its_own_verifier_and_nonce() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
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
    let pair = Pair::with(Lie::Honest, |builder| builder, wrong).await;
    let pair = pair.ready().await;
    let failure = pair.sign_in().await.unwrap_err();
    assert_eq!(failure.as_str(), "client_refused");
    assert_eq!(failure.class(), AuthenticationErrorClass::Provider);
}

#[tokio::test]
async fn errors_contain_no_response_bodies_and_no_secrets() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    let mut codes = BTreeSet::new();
    for lie in [
        Lie::TokenTruncated,
        Lie::InvalidSig,
        Lie::UserinfoArray,
        Lie::TokenHtml,
    ] {
        pair.provider.mind().lie = lie;
        let failure = pair.sign_in().await.unwrap_err();
        let text = format!("{failure} {failure:?}");
        for secret in ["access", "Sorry", "eyJ", "code-", super::NONCE] {
            assert!(!text.contains(secret), "{lie:?}: {text}");
        }
        codes.insert(failure.as_str());
    }
    assert_eq!(codes.len(), 3);
}
