//! Back-channel logout tokens.

use jsonwebtoken::Algorithm;
use oidc::{LogoutRequest, LogoutTokenError, TokenError};
use serde_json::{Value, json};

use super::Pair;
use crate::support::{
    faulty_provider::SUBJECT,
    provider_fault::ProviderFault,
    signing_key::{SigningKey, message},
};

async fn validate(
    pair: &Pair,
    head: Value,
    claims: Value,
) -> Result<LogoutRequest, LogoutTokenError> {
    let token = pair.provider.logout_token(&head, &claims);
    pair.party.validate_logout_token(&token).await
}

#[tokio::test]
async fn a_valid_token_names_the_sessions_to_end() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let request = validate(&pair, json!({}), json!({})).await.unwrap();
    assert_eq!(request.sub.as_deref(), Some(SUBJECT));
    assert_eq!(request.sid.as_deref(), Some("session-1"));
    let only_sub = json!({ "jti": "2", "sid": null });
    let request = validate(&pair, json!({}), only_sub).await.unwrap();
    assert_eq!((request.sub.as_deref(), request.sid), (Some(SUBJECT), None));
    let only_sid = json!({ "jti": "3", "sub": null });
    let request = validate(&pair, json!({ "typ": "JWT" }), only_sid)
        .await
        .unwrap();
    assert_eq!(request.sub, None);
    let no_exp = json!({ "jti": "4", "exp": null });
    validate(&pair, json!({ "typ": null }), no_exp)
        .await
        .unwrap();
}

#[tokio::test]
async fn each_deviation_from_the_specification_is_refused() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let now = 1_800_000_000;
    let token = LogoutTokenError::Token;
    let cases = [
        // rp-backchannel-wrong-iss, -wrong-aud, -no-event, -wrong-event, -with-nonce
        (json!({ "iss": "https://other" }), token(TokenError::Issuer)),
        (json!({ "aud": "other" }), token(TokenError::Audience)),
        (json!({ "aud": null }), token(TokenError::Audience)),
        (json!({ "events": null }), LogoutTokenError::Event),
        (
            json!({ "events": { "other": {} } }),
            LogoutTokenError::Event,
        ),
        (
            json!({ "events": ["http://schemas.openid.net/event/backchannel-logout"] }),
            LogoutTokenError::Event,
        ),
        (
            json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": true } }),
            LogoutTokenError::Event,
        ),
        (json!({ "nonce": "n" }), LogoutTokenError::Nonce),
        (json!({ "jti": null }), LogoutTokenError::NoId),
        (json!({ "jti": 5 }), LogoutTokenError::NoId),
        (
            json!({ "sub": null, "sid": null }),
            LogoutTokenError::NoSubject,
        ),
        (json!({ "sub": 5 }), LogoutTokenError::NoSubject),
        (json!({ "sub": "" }), LogoutTokenError::NoSubject),
        (
            json!({ "sid": "x".repeat(300) }),
            LogoutTokenError::NoSubject,
        ),
        (json!({ "iat": null }), token(TokenError::NoIssueTime)),
        (
            json!({ "iat": now + 600 }),
            token(TokenError::IssuedInFuture),
        ),
        (json!({ "exp": now - 60 }), token(TokenError::Expired)),
        (json!({ "exp": "never" }), token(TokenError::NoExpiry)),
        (
            json!({ "exp": null, "iat": now - 180 }),
            token(TokenError::Expired),
        ),
    ];
    for (claims, expected) in cases {
        let result = validate(&pair, json!({}), claims.clone()).await;
        assert_eq!(result, Err(expected), "{claims}");
    }
    for typ in ["at+jwt", "dpop+jwt", ""] {
        let result = validate(&pair, json!({ "typ": typ }), json!({})).await;
        assert_eq!(result, Err(LogoutTokenError::Type), "{typ}");
    }
}

#[tokio::test]
async fn a_repeated_token_is_refused() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    validate(&pair, json!({}), json!({})).await.unwrap();
    let again = validate(&pair, json!({}), json!({})).await;
    assert_eq!(again, Err(LogoutTokenError::Replayed));
    validate(&pair, json!({}), json!({ "jti": "other" }))
        .await
        .unwrap();
}

#[tokio::test]
async fn tokens_without_a_valid_signature_are_refused() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let good = pair.provider.logout_token(&json!({}), &json!({}));
    let payload = good.split('.').nth(1).unwrap();
    let none = message(&json!({ "alg": "none" }), &json!({}));
    let none = format!("{}.{payload}.", none.split('.').next().unwrap());
    let stranger = SigningKey::new("key-1", Algorithm::RS256);
    let cases = [
        (none, TokenError::Algorithm),
        (
            stranger.sign_with_public_key(&json!({})),
            TokenError::Algorithm,
        ),
        (format!("{good}x"), TokenError::Signature),
        (format!("{good}.a.a"), TokenError::Encrypted),
        (".".repeat(1_000_000), TokenError::TooLong),
        (String::new(), TokenError::Malformed),
    ];
    for (token, expected) in cases {
        let result = pair.party.validate_logout_token(&token).await;
        assert_eq!(result, Err(LogoutTokenError::Token(expected)));
    }
    pair.party.validate_logout_token(&good).await.unwrap();
}

#[tokio::test]
async fn an_id_token_is_refused_as_a_logout_token() {
    let pair = Pair::start(ProviderFault::None).await.ready().await;
    let id_token = pair.sign_in().await.unwrap().id_token;
    let result = pair
        .party
        .validate_logout_token(secrecy::ExposeSecret::expose_secret(&id_token))
        .await;
    assert_eq!(result, Err(LogoutTokenError::Event));
}

#[tokio::test]
async fn before_the_first_discovery_tokens_are_refused_as_transient() {
    let pair = Pair::start(ProviderFault::Down).await;
    let token = pair.provider.logout_token(&json!({}), &json!({}));
    let result = pair.party.validate_logout_token(&token).await;
    assert_eq!(result, Err(LogoutTokenError::NotReady));
    assert!(result.unwrap_err().is_transient());
}
