//! Display tokens: the backend token's context for Jitsi's page, without a valid signature.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;

use super::{PersonalClaims, backend::TokenContext};
use crate::{
    identity::Identity,
    policy::{Features, Role},
    room::RoomKey,
};

/// A text in the form of a JWT from which Jitsi's page reads name, picture and role.
///
/// Its algorithm is `none` and its signature a constant text, so no verifier accepts it. Its `exp` is
/// one that no page reaches: without any, Jitsi blames the token for whatever Prosody refuses
/// (jitsi-meet `react/features/base/jwt/functions.ts`, `validateJwt`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayToken(String);

#[derive(Serialize)]
struct Claims<'c> {
    room: &'c str,
    exp: u64,
    context: TokenContext<'c>,
}

// === impl DisplayToken ===

impl DisplayToken {
    /// Creates the token of one visitor in one room.
    pub fn new(
        room: &RoomKey,
        role: Role,
        features: &Features,
        who: &Identity,
        claims: PersonalClaims,
    ) -> Self {
        let shown = Claims {
            room: room.node(),
            exp: NEVER,
            context: TokenContext::new(who, role, features, claims),
        };
        // Infallible: the fields are texts and booleans.
        let shown = serde_json::to_vec(&shown).expect("texts and booleans always serialize");
        let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Self(format!(
            "{}.{}.{}",
            part(HEADER),
            part(&shown),
            part(SIGNATURE)
        ))
    }

    /// Whether a text is a display token, from any deployment.
    pub fn is_one(text: &str) -> bool {
        let mut parts = text.split('.');
        let head = parts
            .next()
            .and_then(|head| BASE64_URL_SAFE_NO_PAD.decode(head).ok());
        let signature = parts
            .nth(1)
            .and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
        head.as_deref() == Some(HEADER) && signature.as_deref() == Some(SIGNATURE)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const HEADER: &[u8] = br#"{"typ":"JWT","alg":"none"}"#;

/// The last second of the year 9999, a number that JavaScript's `Date` takes.
const NEVER: u64 = 253_402_300_799;

/// Not empty: Jitsi's parser requires three parts.
const SIGNATURE: &[u8] = b"for display only";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_token_has_the_context_and_no_valid_signature() {
        let room = RoomKey::from_page(None, "x").unwrap().key;
        let who = Identity {
            subject: "1".to_owned(),
            name: Some("</script>".to_owned()),
            ..Identity::default()
        };
        let token = DisplayToken::new(
            &room,
            Role::Moderator,
            &Features::default(),
            &who,
            PersonalClaims::ALL,
        );
        let claims = token.as_str().split('.').nth(1).unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["context"]["user"]["name"], "</script>");
        assert_eq!(claims["context"]["user"]["moderator"], true);
        assert_eq!(claims["exp"], 253_402_300_799_u64);
        assert!(claims.get("iss").is_none());
        assert!(!token.as_str().contains(['<', '"', '\'']));
        assert!(DisplayToken::is_one(token.as_str()));
        assert!(!DisplayToken::is_one("a.b.c") && !DisplayToken::is_one(""));
        assert!(jsonwebtoken::decode_header(token.as_str()).is_err());
        let parts: Vec<_> = token.as_str().split('.').collect();
        assert_eq!(parts.len(), 3);
        assert!(
            parts.iter().all(|part| !part.is_empty()),
            "Jitsi's parser wants three parts"
        );
    }
}
