//! Sealed texts: authenticated encryption of state that a browser stores for the gateway.
//!
//! AES-256-GCM-SIV, because a repeated nonce reveals only that two plaintexts were equal (RFC 8452
//! § 1). A sealed text is base64url of version, key id, nonce, ciphertext and tag. Purpose and
//! deployment are associated data, so a text of one purpose never opens as another's.

mod keyring;
mod tagger;

use std::fmt;

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

pub(crate) use self::tagger::is_short_tag;
pub use self::{
    keyring::{Keyring, KeyringError},
    tagger::Tagger,
};
use crate::digest::sha256;

/// Seals and opens texts of one purpose.
pub struct Sealer {
    keys: Vec<(KeyId, RandomizedNonceKey)>,
    associated: Vec<u8>,
}

/// The use of a derived key. No two purposes share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The session cookie.
    Session,
    /// The cookie of a sign-in in progress.
    SignIn,
    /// The cookie that stores the ID token for the provider's logout (`id_token_hint`).
    LogoutHint,
    /// The tag on a BOSH session id.
    BoshSession,
    /// The tag on the resumption id of a stream.
    Resumption,
    /// The cookie of a visitor whom a link, an integration or a guest form admitted to one room.
    Pass,
    /// The owner tag in a room's name.
    Owner,
    /// The token of an invitation link.
    Link,
    /// The sealed session within a client token.
    ClientToken,
    /// The signature of client tokens.
    ClientSignature,
    /// The stored response to an idempotent API request.
    ApiAnswer,
    /// The stored refresh token of a session.
    RefreshGrant,
}

type KeyId = [u8; KEY_ID_BYTES];

// === impl Sealer ===

impl Sealer {
    /// Seals with the newest key.
    pub fn seal(&self, plain: &[u8]) -> String {
        // Infallible: a `Keyring` is never empty.
        let (id, key) = self.keys.first().expect("a keyring has at least one key");
        let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + key.algorithm().tag_len());
        let mut body = plain.to_vec();
        // Infallible: texts are far below the algorithm's limit of 2³⁶ bytes.
        let nonce = key
            .seal_in_place_append_tag(Aad::from(&self.associated), &mut body)
            .expect("the text is short enough to seal");
        sealed.push(VERSION);
        sealed.extend_from_slice(id);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut body);
        BASE64_URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Opens a sealed text; `None` if it was changed, was sealed for another purpose or deployment,
    /// or by a key that is no longer in the keyring.
    pub fn open(&self, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (head, body) = sealed.split_at_checked(HEAD_BYTES)?;
        let (&version, head) = head.split_first()?;
        let (id, nonce) = head.split_at_checked(KEY_ID_BYTES)?;
        let (_, key) = self
            .keys
            .iter()
            .find(|(own, _)| version == VERSION && own == id)?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = key
            .open_in_place(nonce, Aad::from(&self.associated), body.as_mut_slice())
            .ok()?
            .len();
        body.truncate(length);
        Some(body)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

// === impl Purpose ===

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::SignIn => "sign-in",
            Self::LogoutHint => "logout-hint",
            Self::BoshSession => "bosh-session",
            Self::Resumption => "resumption",
            Self::Pass => "pass",
            Self::Owner => "owner",
            Self::Link => "link",
            Self::ClientToken => "client-token",
            Self::ApiAnswer => "api-answer",
            Self::RefreshGrant => "refresh-grant",
            Self::ClientSignature => "client-signature",
        }
    }
}

fn key_id(key: &[u8; KEY_BYTES]) -> KeyId {
    let mut input = Zeroizing::new(b"key-id\0".to_vec());
    input.extend_from_slice(key);
    let [a, b, c, d, ..] = sha256(&input);
    [a, b, c, d]
}

const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_LEN;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(byte: u8) -> Keyring {
        Keyring::single([byte; 32])
    }

    #[test]
    fn sealed_texts_open_only_with_their_key_purpose_and_origin() {
        let sealer = ring(1).sealer(Purpose::Session, "https://a");
        let sealed = sealer.seal(b"hello");
        assert_eq!(sealer.open(&sealed).unwrap().as_slice(), b"hello");
        assert!(
            ring(1)
                .sealer(Purpose::SignIn, "https://a")
                .open(&sealed)
                .is_none()
        );
        assert!(
            ring(1)
                .sealer(Purpose::Session, "https://b")
                .open(&sealed)
                .is_none()
        );
        assert!(
            ring(2)
                .sealer(Purpose::Session, "https://a")
                .open(&sealed)
                .is_none()
        );
        assert_ne!(sealer.seal(b"hello"), sealed);
    }

    proptest! {
        #[test]
        fn any_text_opens_again_and_any_changed_bit_is_detected(plain: Vec<u8>, at: usize, bit in 0u8..6) {
            let sealer = ring(7).sealer(Purpose::SignIn, "o");
            let sealed = sealer.seal(&plain);
            prop_assert_eq!(sealer.open(&sealed).unwrap().to_vec(), plain);
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&sealed).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(sealer.open(&BASE64_URL_SAFE_NO_PAD.encode(bytes)).is_none());
        }

        #[test]
        fn arbitrary_texts_do_not_open(text in "\\PC{0,80}") {
            prop_assert!(ring(7).sealer(Purpose::SignIn, "o").open(&text).is_none());
        }
    }
}
