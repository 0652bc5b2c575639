//! Refresh tokens that the provider redeemed, or may have redeemed, although its response was lost.

use http::StatusCode;
use oidc::FetchError;

use super::*;

/// Redeems a token, of which the gateway receives `error` instead of the response, and redeems it again.
async fn after(error: AuthenticationError) -> Result<Redeemed, redemption::RedemptionError> {
    let replicas = Replicas::start().await;
    replicas.hand.advance(EVERY);
    "its successor, which is lost".clone_into(&mut replicas.provider.accepted.lock().unwrap());
    *replicas.provider.answer.lock().unwrap() = Some(RefreshError::Unanswered(error));
    let lost = replicas.one.redeem(&id(), &replicas.policy).await;
    assert!(lost.is_err(), "{lost:?}");
    let retried = replicas.other.redeem(&id(), &replicas.policy).await;
    // A refused token is removed.
    assert!(replicas.vault.load(&id()).await.unwrap().is_none());
    retried
}

#[tokio::test(start_paused = true)]
async fn a_lost_response_ends_no_session() {
    let status = |code| FetchError::Overloaded(StatusCode::from_u16(code).unwrap());
    for error in [
        FetchError::Timeout,
        FetchError::Broken("reset".into()),
        FetchError::TooLarge,
        status(500),
        status(502),
        status(504),
    ] {
        let name = error.to_string();
        let retried = after(AuthenticationError::TokenEndpoint(error)).await;
        assert!(
            matches!(retried, Ok(Redeemed::NoGrant)),
            "{name}: {retried:?}"
        );
    }
    let retried = after(AuthenticationError::TokenUnreadable).await;
    assert!(matches!(retried, Ok(Redeemed::NoGrant)), "{retried:?}");
}

/// An administrator disables the account while the provider is unreachable.
#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_request_that_was_not_processed_ends_the_session() {
    let status = |code| FetchError::Overloaded(StatusCode::from_u16(code).unwrap());
    for error in [
        AuthenticationError::NotReady,
        AuthenticationError::ClientRefused,
        AuthenticationError::TokenRefused,
        AuthenticationError::TokenEndpoint(FetchError::Certificate("has expired")),
        AuthenticationError::TokenEndpoint(FetchError::Redirected(StatusCode::FOUND)),
        AuthenticationError::TokenEndpoint(status(429)),
        AuthenticationError::TokenEndpoint(status(503)),
    ] {
        let name = error.to_string();
        let retried = after(error).await;
        let ended = matches!(retried, Ok(Redeemed::Ended(SessionEnd::GrantRefused)));
        assert!(ended, "{name}: {retried:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_after_a_lost_one_makes_the_next_refusal_final() {
    let replicas = Replicas::start().await;
    replicas.hand.advance(EVERY);
    let lost = AuthenticationError::TokenEndpoint(FetchError::Timeout);
    *replicas.provider.answer.lock().unwrap() = Some(RefreshError::Unanswered(lost));
    assert!(replicas.one.redeem(&id(), &replicas.policy).await.is_err());
    // The provider had not redeemed it, or accepts it twice.
    let accepted = replicas.one.redeem(&id(), &replicas.policy).await;
    assert!(
        matches!(accepted, Ok(Redeemed::Confirmed { .. })),
        "{accepted:?}"
    );
    replicas.hand.advance(EVERY);
    "disabled".clone_into(&mut replicas.provider.accepted.lock().unwrap());
    let ended = replicas.one.redeem(&id(), &replicas.policy).await;
    assert!(matches!(ended, Ok(Redeemed::Ended(_))), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_crashed_while_it_asked_ends_no_session() {
    let replicas = Replicas::start().await;
    replicas.hand.advance(EVERY);
    let id = id();
    let crashed = tokio::time::timeout(
        Duration::from_secs(1),
        replicas.one.redeem(&id, &replicas.policy),
    );
    assert!(crashed.await.is_err(), "it was under way");
    assert_eq!(replicas.asked(), 1);
    "its successor".clone_into(&mut replicas.provider.accepted.lock().unwrap());
    replicas.provider.under_way.store(0, Ordering::SeqCst);
    let leased = replicas.other.redeem(&id, &replicas.policy).await;
    assert!(matches!(leased, Ok(Redeemed::Busy)), "{leased:?}");
    tokio::time::advance(Duration::from_mins(1)).await;
    let retried = replicas.other.redeem(&id, &replicas.policy).await;
    assert!(matches!(retried, Ok(Redeemed::NoGrant)), "{retried:?}");
}
