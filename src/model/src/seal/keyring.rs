//! The master keys, and the keys derived from them (HKDF, RFC 5869).

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, RandomizedNonceKey},
    hkdf,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::{Zeroize, Zeroizing};

use super::{KEY_BYTES, Purpose, Sealer, Tagger, key_id};

/// The master keys; never empty. The first seals, all open: a rotation prepends a new key.
#[derive(Clone)]
pub struct Keyring(Vec<Zeroizing<[u8; KEY_BYTES]>>);

/// Why a key file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The file has no key.
    #[error("no key; write one with `openssl rand -base64 32`")]
    Empty,
    /// A line is not base64.
    #[error("line {0} is not base64; write a key with `openssl rand -base64 32`")]
    Base64(usize),
    /// A key is not 32 bytes long.
    #[error("line {0} holds {1} bytes instead of 32; write a key with `openssl rand -base64 32`")]
    Length(usize, usize),
    /// A key repeats one byte or counts up.
    #[error(
        "line {0} is a placeholder, not a random key; write one with `openssl rand -base64 32`"
    )]
    Placeholder(usize),
}

// === impl Keyring ===

impl Keyring {
    /// Parses a key file: one base64 or base64url key per line, `#` begins a comment.
    ///
    /// # Errors
    ///
    /// [`KeyringError`], with the line number.
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

    /// Creates a keyring of one key, for the demo and tests.
    pub fn single(key: [u8; KEY_BYTES]) -> Self {
        Self(vec![Zeroizing::new(key)])
    }

    /// Derives the sealer of one purpose for the deployment at `origin`.
    pub fn sealer(&self, purpose: Purpose, origin: &str) -> Sealer {
        let keys = self
            .0
            .iter()
            .map(|master| {
                let key = derive(master, purpose);
                // Infallible: both lengths are 32 bytes.
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

    /// The ids of the keys, as session cookies carry them; operators compare them between replicas.
    pub fn ids(&self) -> Vec<String> {
        self.secrets(Purpose::Session)
            .map(|key| BASE64_URL_SAFE_NO_PAD.encode(key_id(&key)))
            .collect()
    }

    /// Derives the tagger of one purpose.
    pub fn tagger(&self, purpose: Purpose) -> Tagger {
        Tagger::new(self.secrets(purpose))
    }

    /// The derived keys of one purpose, the newest first.
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
    let constant = key.windows(2).all(|pair| pair.first() == pair.last());
    let counting = key.windows(2).all(|pair| {
        pair.first()
            .zip(pair.last())
            .is_some_and(|(low, high)| low.checked_add(1) == Some(*high))
    });
    if constant || counting {
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
        // Infallible: HKDF-SHA256 yields up to 255 × 32 bytes.
        .expect("HKDF-SHA256 gives 32 bytes");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_parse_or_name_the_faulty_line() {
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
