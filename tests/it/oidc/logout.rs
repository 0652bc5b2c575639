//! Back-channel logout tokens.

use jsonwebtoken::Algorithm;
use oidc::{LogoutError, LogoutRequest, TokenError};
use serde_json::{Value, json};

use super::Pair;
use crate::support::{
    lie::Lie,
    lying_provider::SUBJECT,
    signing_key::{SigningKey, message},
};

async fn told(pair: &Pair, head: Value, claims: Value) -> Result<LogoutRequest, LogoutError> {
    let token = pair.provider.logout_token(&head, &claims);
    pair.party.logout_token(&token).await
}

#[tokio::test]
async fn a_valid_logout_token_names_the_revoked_sessions() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    let request = told(&pair, json!({}), json!({})).await.unwrap();
    assert_eq!(request.sub.as_deref(), Some(SUBJECT));
    assert_eq!(request.sid.as_deref(), Some("session-1"));
    let only_sub = json!({ "jti": "2", "sid": null });
    let request = told(&pair, json!({}), only_sub).await.unwrap();
    assert_eq!((request.sub.as_deref(), request.sid), (Some(SUBJECT), None));
    let only_sid = json!({ "jti": "3", "sub": null });
    let request = told(&pair, json!({ "typ": "JWT" }), only_sid)
        .await
        .unwrap();
    assert_eq!(request.sub, None);
    let no_exp = json!({ "jti": "4", "exp": null });
    told(&pair, json!({ "typ": null }), no_exp).await.unwrap();
}

#[tokio::test]
async fn every_invalid_logout_token_is_refused() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    let now = 1_800_000_000;
    let token = LogoutError::Token;
    let cases = [
        // rp-backchannel-wrong-iss, -wrong-aud, -no-event, -wrong-event, -with-nonce
        (json!({ "iss": "https://other" }), token(TokenError::Issuer)),
        (json!({ "aud": "other" }), token(TokenError::Audience)),
        (json!({ "aud": null }), token(TokenError::Audience)),
        (json!({ "events": null }), LogoutError::Event),
        (json!({ "events": { "other": {} } }), LogoutError::Event),
        (
            json!({ "events": ["http://schemas.openid.net/event/backchannel-logout"] }),
            LogoutError::Event,
        ),
        (
            json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": true } }),
            LogoutError::Event,
        ),
        (json!({ "nonce": "n" }), LogoutError::Nonce),
        (json!({ "jti": null }), LogoutError::NoId),
        (json!({ "jti": 5 }), LogoutError::NoId),
        (json!({ "sub": null, "sid": null }), LogoutError::Nobody),
        (json!({ "sub": 5 }), LogoutError::Nobody),
        (json!({ "sub": "" }), LogoutError::Nobody),
        (json!({ "sid": "x".repeat(300) }), LogoutError::Nobody),
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
        let result = told(&pair, json!({}), claims.clone()).await;
        assert_eq!(result, Err(expected), "{claims}");
    }
    for typ in ["at+jwt", "dpop+jwt", ""] {
        let result = told(&pair, json!({ "typ": typ }), json!({})).await;
        assert_eq!(result, Err(LogoutError::Type), "{typ}");
    }
}

#[tokio::test]
async fn a_replayed_logout_token_is_refused() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    told(&pair, json!({}), json!({})).await.unwrap();
    let again = told(&pair, json!({}), json!({})).await;
    assert_eq!(again, Err(LogoutError::Replayed));
    told(&pair, json!({}), json!({ "jti": "other" }))
        .await
        .unwrap();
}

#[tokio::test]
async fn logout_tokens_with_foreign_signatures_are_refused() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
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
        let result = pair.party.logout_token(&token).await;
        assert_eq!(result, Err(LogoutError::Token(expected)));
    }
    pair.party.logout_token(&good).await.unwrap();
}

#[tokio::test]
async fn an_id_token_is_refused_as_a_logout_token() {
    let pair = Pair::start(Lie::Honest).await.ready().await;
    let id_token = pair.sign_in().await.unwrap().id_token;
    let result = pair
        .party
        .logout_token(secrecy::ExposeSecret::expose_secret(&id_token))
        .await;
    assert_eq!(result, Err(LogoutError::Event));
}

#[tokio::test]
async fn a_logout_token_before_discovery_is_refused_as_unavailable() {
    let pair = Pair::start(Lie::Down).await;
    let token = pair.provider.logout_token(&json!({}), &json!({}));
    let result = pair.party.logout_token(&token).await;
    assert_eq!(result, Err(LogoutError::NotReady));
    assert!(result.unwrap_err().is_passing());
}
