//! The master keys, and what is derived from them.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, RandomizedNonceKey},
    hkdf,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::{Zeroize, Zeroizing};

use super::{KEY_BYTES, Purpose, Sealer, Tagger, key_id};

/// The master keys: the first seals, all open. Rotation is to put a new one in front.
#[derive(Clone)]
pub struct Keyring(Vec<Zeroizing<[u8; KEY_BYTES]>>);

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
    pub fn single(key: [u8; KEY_BYTES]) -> Self {
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

    /// What tells the keys from each other: the ids that every session cookie carries.
    pub fn ids(&self) -> Vec<String> {
        self.secrets(Purpose::Session)
            .map(|key| BASE64_URL_SAFE_NO_PAD.encode(key_id(&key)))
            .collect()
    }

    /// A tagger for one purpose.
    pub fn tagger(&self, purpose: Purpose) -> Tagger {
        Tagger::new(self.secrets(purpose))
    }

    /// The keys of one purpose, the newest first, for a library that signs by itself.
    pub(crate) fn secrets(
        &self,
        purpose: Purpose,
    ) -> impl Iterator<Item = Zeroizing<[u8; KEY_BYTES]>> {
        self.0.iter().map(move |master| derive(master, purpose))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.0.len())
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(format!("{:?}", Keyring::single([1; 32])), "Keyring(1 keys)");
    }

    #[test]
    fn an_older_key_still_opens_and_the_newer_seals() {
        let (old, new) = (Keyring::single([1; 32]), Keyring::single([2; 32]));
        let both = Keyring([new.0, old.0.clone()].concat()).sealer(Purpose::Session, "o");
        let old = old.sealer(Purpose::Session, "o");
        assert!(both.open(&old.seal(b"x")).is_some());
        assert!(old.open(&both.seal(b"x")).is_none());
    }
}
