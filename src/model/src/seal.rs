//! Sealed texts: what we hand to a browser to keep for us, unreadable and unchangeable by it.
//!
//! AES-256-GCM-SIV, because a repeated nonce under it reveals only that two plaintexts were equal
//! (RFC 8452 § 1). A sealed text is base64url of `version, key id, nonce, ciphertext and tag`; what
//! it is for is bound in as associated data, so that one kind never opens as another.

mod keyring;
mod tagger;

use std::fmt;

use aws_lc_rs::{
    aead::{Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

pub use self::{
    keyring::{Keyring, KeyringError},
    tagger::{SHORT_TAG_CHARS, Tagger, is_short_tag},
};

/// Seals and opens texts of one purpose.
pub struct Sealer {
    keys: Vec<(KeyId, RandomizedNonceKey)>,
    associated: Vec<u8>,
}

/// What a derived key is for. No two purposes share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The session cookie.
    Session,
    /// The cookie of a sign-in under way.
    SignIn,
    /// The cookie that keeps the ID token for the provider's logout.
    LogoutHint,
    /// The tag on a BOSH session id.
    BoshSession,
    /// The cookie of somebody whom one room's rule, link or integration lets in.
    Pass,
    /// The tag in a room's name by which its owner is known.
    Owner,
    /// An invitation's token.
    Link,
    /// The session within a client token.
    ClientToken,
    /// The signature of client tokens.
    ClientSignature,
    /// What the API answered, to be answered again.
    ApiAnswer,
}

type KeyId = [u8; KEY_ID_BYTES];

// === impl Sealer ===

impl Sealer {
    /// Seals with the newest key.
    ///
    /// # Panics
    ///
    /// Never in practice: texts are far below the algorithm's limit of 2³⁶ bytes.
    pub fn seal(&self, plain: &[u8]) -> String {
        let (id, key) = self.keys.first().expect("a keyring has at least one key");
        let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + key.algorithm().tag_len());
        let mut body = plain.to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(&self.associated), &mut body)
            .expect("the text is short enough to seal");
        sealed.push(VERSION);
        sealed.extend_from_slice(id);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut body);
        BASE64_URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Opens a sealed text; `None` if it was changed, made for another purpose or deployment, or
    /// by a key that is gone.
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
            Self::Pass => "pass",
            Self::Owner => "owner",
            Self::Link => "link",
            Self::ClientToken => "client-token",
            Self::ApiAnswer => "api-answer",
            Self::ClientSignature => "client-signature",
        }
    }
}

fn key_id(key: &[u8; KEY_BYTES]) -> KeyId {
    let mut input = Zeroizing::new(b"key-id\0".to_vec());
    input.extend_from_slice(key);
    let mut id = [0; KEY_ID_BYTES];
    let hash = digest::digest(&digest::SHA256, &input);
    id.iter_mut()
        .zip(hash.as_ref())
        .for_each(|(byte, hashed)| *byte = *hashed);
    id
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
    fn sealed_texts_open_only_as_what_they_were() {
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
        fn any_text_comes_back_and_any_change_is_noticed(plain: Vec<u8>, at: usize, bit in 0u8..6) {
            let sealer = ring(7).sealer(Purpose::SignIn, "o");
            let sealed = sealer.seal(&plain);
            prop_assert_eq!(sealer.open(&sealed).unwrap().to_vec(), plain);
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&sealed).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(sealer.open(&BASE64_URL_SAFE_NO_PAD.encode(bytes)).is_none());
        }

        #[test]
        fn garbage_never_opens(text in "\\PC{0,80}") {
            prop_assert!(ring(7).sealer(Purpose::SignIn, "o").open(&text).is_none());
        }
    }
}
