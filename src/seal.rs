//! Sealed texts: what we hand to a browser to keep for us, unreadable and unchangeable by it.
//!
//! AES-256-GCM-SIV, because a repeated nonce under it reveals only that two plaintexts were equal
//! (RFC 8452 § 1). A sealed text is base64url of `version, key id, nonce, ciphertext and tag`; what
//! it is for is bound in as associated data, so that one kind never opens as another.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest, hkdf,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::{Zeroize, Zeroizing};

/// The master keys: the first seals, all open. Rotation is to put a new one in front.
#[derive(Clone)]
pub struct Keyring(Vec<Zeroizing<[u8; KEY_BYTES]>>);

/// Seals and opens texts of one purpose.
pub struct Sealer {
    keys: Vec<(KeyId, RandomizedNonceKey)>,
    associated: Vec<u8>,
}

/// Makes and checks short tags of one purpose; for what is public but must not be invented.
pub struct Tagger {
    keys: Vec<aws_lc_rs::hmac::Key>,
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
    /// Passes to one room.
    Pass,
}

/// Why a key file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The file has no key in it.
    #[error("no key; write one with `openssl rand -base64 32`")]
    Empty,
    /// A line is not base64.
    #[error("line {0} is not base64; write a key with `openssl rand -base64 32`")]
    Base64(usize),
    /// A key is not 32 bytes long.
    #[error("line {0} holds {1} bytes instead of 32; write a key with `openssl rand -base64 32`")]
    Length(usize, usize),
    /// A key that is one byte over and over, or counts up: a placeholder.
    #[error(
        "line {0} is a placeholder, not a random key; write one with `openssl rand -base64 32`"
    )]
    Placeholder(usize),
}

type KeyId = [u8; KEY_ID_BYTES];

// === impl Keyring ===

impl Keyring {
    /// Reads a key file: one base64 key a line, `#` begins a comment.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let keys = (1..)
            .zip(text.lines())
            .map(|(number, line)| (number, line.split('#').next().unwrap_or_default().trim()))
            .filter(|(_, line)| !line.is_empty())
            .map(|(number, line)| parse_key(number, line))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            Err(KeyringError::Empty)
        } else {
            Ok(Self(keys))
        }
    }

    /// A ring of one key, for development and tests.
    pub fn of(key: [u8; KEY_BYTES]) -> Self {
        Self(vec![Zeroizing::new(key)])
    }

    /// A sealer for one purpose of the deployment at `origin`.
    pub fn sealer(&self, purpose: Purpose, origin: &str) -> Sealer {
        let keys = self
            .0
            .iter()
            .map(|master| {
                let key = derive(master, purpose);
                let sealing = RandomizedNonceKey::new(&AES_256_GCM_SIV, key.as_ref())
                    .expect("the derived key has the algorithm's length");
                (key_id(&key), sealing)
            })
            .collect();
        Sealer {
            keys,
            associated: format!("{}\0{origin}", purpose.label()).into_bytes(),
        }
    }

    /// A tagger for one purpose.
    pub fn tagger(&self, purpose: Purpose) -> Tagger {
        let key = |master| {
            aws_lc_rs::hmac::Key::new(
                aws_lc_rs::hmac::HMAC_SHA256,
                derive(master, purpose).as_ref(),
            )
        };
        Tagger {
            keys: self.0.iter().map(|master| key(master)).collect(),
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.0.len())
    }
}

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

// === impl Tagger ===

impl Tagger {
    /// The tag of the parts by the newest key: 22 characters of base64url.
    pub fn tag(&self, parts: &[&str]) -> String {
        self.keys
            .first()
            .map_or_else(String::new, |key| tag_with(key, parts))
    }

    /// Whether the tag is right by any key, in constant time.
    pub fn verify(&self, parts: &[&str], tag: &str) -> bool {
        self.keys.iter().any(|key| {
            let expected = tag_with(key, parts);
            aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), tag.as_bytes())
                .is_ok()
        })
    }
}

impl fmt::Debug for Tagger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tagger")
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
        }
    }
}

fn parse_key(number: usize, line: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyringError> {
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if line.contains(['-', '_']) {
        &base64::alphabet::URL_SAFE
    } else {
        &base64::alphabet::STANDARD
    };
    let mut bytes = GeneralPurpose::new(alphabet, config)
        .decode(line)
        .map_err(|_| KeyringError::Base64(number))?;
    let key: [u8; KEY_BYTES] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| KeyringError::Length(number, bytes.len()))?;
    bytes.zeroize();
    let steady = key.windows(2).all(|pair| pair.first() == pair.last());
    let counting = key.windows(2).all(|pair| {
        pair.first()
            .zip(pair.last())
            .is_some_and(|(low, high)| low.checked_add(1) == Some(*high))
    });
    if steady || counting {
        Err(KeyringError::Placeholder(number))
    } else {
        Ok(Zeroizing::new(key))
    }
}

fn derive(master: &[u8; KEY_BYTES], purpose: Purpose) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"jitsi-auth-gateway")
        .extract(master)
        .expand(&[purpose.label().as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|derived| derived.fill(key.as_mut_slice()))
        .expect("HKDF-SHA256 gives 32 bytes");
    key
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

fn tag_with(key: &aws_lc_rs::hmac::Key, parts: &[&str]) -> String {
    let mut context = aws_lc_rs::hmac::Context::with_key(key);
    for part in parts {
        // Length first, so that no characters can move from one part to the next.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let tag = context.sign();
    BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref().get(..TAG_BYTES).unwrap_or_default())
}

const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_LEN;
/// 128 bits, what RFC 2104 § 5 gives as the shortest sensible HMAC-SHA256.
const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(byte: u8) -> Keyring {
        Keyring::of([byte; 32])
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

    #[test]
    fn an_older_key_still_opens_and_the_newer_seals() {
        let old = ring(1).sealer(Purpose::Session, "o");
        let both = Keyring([ring(2).0, ring(1).0].concat()).sealer(Purpose::Session, "o");
        assert!(both.open(&old.seal(b"x")).is_some());
        assert!(old.open(&both.seal(b"x")).is_none());
    }

    #[test]
    fn tags_bind_their_parts() {
        let tagger = ring(1).tagger(Purpose::BoshSession);
        let tag = tagger.tag(&["ab", "c"]);
        assert_eq!(tag.len(), 22);
        assert!(tagger.verify(&["ab", "c"], &tag));
        assert!(!tagger.verify(&["a", "bc"], &tag));
        assert!(!tagger.verify(&["ab", "c"], ""));
    }

    #[test]
    fn key_files() {
        let good = "# new\nq83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=  # comment\n\
                    3q2-7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs\n";
        assert_eq!(Keyring::parse(good).unwrap().0.len(), 2);
        assert_eq!(Keyring::parse("# none\n").unwrap_err(), KeyringError::Empty);
        assert_eq!(
            Keyring::parse("\nsecret!").unwrap_err(),
            KeyringError::Base64(2)
        );
        assert_eq!(
            Keyring::parse("AAAA").unwrap_err(),
            KeyringError::Length(1, 3)
        );
        let zeros = "A".repeat(43);
        assert_eq!(
            Keyring::parse(&zeros).unwrap_err(),
            KeyringError::Placeholder(1)
        );
        assert_eq!(format!("{:?}", ring(1)), "Keyring(1 keys)");
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
