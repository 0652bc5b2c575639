//! Each fault of the provider fails the sign-in with its own code.

use std::{collections::BTreeSet, time::Duration};

use oidc::{FailureClass, Status};

use super::Pair;
use crate::support::lie::{ABOUT_ITSELF, Lie, TO_SIGN_INS};

#[tokio::test]
async fn no_invalid_provider_answer_signs_in() {
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
async fn a_provider_that_does_not_answer_times_out() {
    for lie in [Lie::TokenHang, Lie::UserinfoHang] {
        let impatient = |settings: &mut super::Settings, _: &_| {
            settings.timeout = Duration::from_millis(300);
        };
        let pair = Pair::with(Lie::Honest, |builder| builder, impatient).await;
        let pair = pair.ready().await;
        pair.provider.mind().lie = lie;
        let failure = pair.sign_in().await.unwrap_err();
        assert_eq!(failure.class(), FailureClass::Unavailable);
        let expected = TO_SIGN_INS.iter().find(|(told, _)| *told == lie).unwrap().1;
        assert_eq!(failure.as_str(), expected);
    }
}

#[tokio::test]
async fn kid_absent_multiple_jwks() {
    let pair = Pair::start(Lie::KidAbsentMultipleJwks).await.ready().await;
    assert_eq!(pair.failure().await, "key_ambiguous");
}

#[tokio::test]
async fn invalid_provider_metadata_is_refused() {
    for &(lie, part) in ABOUT_ITSELF {
        let pair = Pair::start(lie).await;
        let tried = |status: &Status| match status {
            Status::NotYet { reason } => reason.contains(part),
            _ => true,
        };
        let status = pair.wait_until(tried).await;
        assert!(!status.is_usable(), "{lie:?} {status:?}");
        let options = oidc::SignInOptions::default();
        let address = pair.party.authorization_url("s", "n", "v", &options);
        assert!(address.is_err(), "{lie:?}");
        assert_eq!(pair.party.end_session_url(None, None), None);
    }
}

#[tokio::test]
async fn an_authorization_code_works_once_and_in_its_own_browser() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    let answer = pair.visit_provider();
    pair.finish(&answer).await.unwrap();
    let again = pair.finish(&answer).await.unwrap_err();
    assert_eq!(again.as_str(), "code_refused");
    assert_eq!(again.class(), FailureClass::TryAgain);

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
async fn a_wrong_client_secret_is_reported_as_client_refused() {
    let wrong = |settings: &mut super::Settings, _: &_| {
        settings.client_secret = Some("wrong".into());
    };
    let pair = Pair::with(Lie::Honest, |builder| builder, wrong).await;
    let pair = pair.ready().await;
    let failure = pair.sign_in().await.unwrap_err();
    assert_eq!(failure.as_str(), "client_refused");
    assert_eq!(failure.class(), FailureClass::Provider);
}

#[tokio::test]
async fn sign_in_errors_contain_nothing_from_the_provider() {
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
        let told = format!("{failure} {failure:?}");
        for secret in ["access", "Sorry", "eyJ", "code-", super::NONCE] {
            assert!(!told.contains(secret), "{lie:?}: {told}");
        }
        codes.insert(failure.as_str());
    }
    assert_eq!(codes.len(), 3);
}
