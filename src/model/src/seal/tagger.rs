//! Tags: message authentication codes (HMAC-SHA256) over public texts.

use std::fmt;

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::KEY_BYTES;

/// Creates and verifies tags of one purpose.
pub struct Tagger {
    keys: Vec<hmac::Key>,
}

// === impl Tagger ===

impl Tagger {
    pub(super) fn new(secrets: impl Iterator<Item = Zeroizing<[u8; KEY_BYTES]>>) -> Self {
        let key =
            |secret: Zeroizing<[u8; KEY_BYTES]>| hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
        Self {
            keys: secrets.map(key).collect(),
        }
    }

    /// Creates the tag of the parts with the newest key: 22 characters of base64url.
    pub fn tag(&self, parts: &[&str]) -> String {
        self.newest(parts, text)
    }

    /// Whether the tag is that of the parts by any key; constant time.
    pub fn verify(&self, parts: &[&str], tag: &str) -> bool {
        self.matches_any(parts, tag, text)
    }

    /// Creates a tag for names that people type: [`SHORT_TAG_CHARS`] of lower-case base32.
    ///
    /// 40 bits resist only online guessing. An offline search is impossible without the key.
    pub(crate) fn short_tag(&self, parts: &[&str]) -> String {
        self.newest(parts, short_text)
    }

    /// Whether the short tag is that of the parts by any key; constant time.
    pub(crate) fn verify_short(&self, parts: &[&str], tag: &str) -> bool {
        self.matches_any(parts, tag, short_text)
    }

    fn newest(&self, parts: &[&str], form: fn(&[u8]) -> String) -> String {
        // Infallible: a `Keyring` is never empty.
        let key = self.keys.first().expect("a keyring has at least one key");
        form(sign(key, parts).as_ref())
    }

    fn matches_any(&self, parts: &[&str], tag: &str, form: fn(&[u8]) -> String) -> bool {
        self.keys.iter().any(|key| {
            let expected = form(sign(key, parts).as_ref());
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

/// Whether a text has the form of a short tag.
pub(crate) fn is_short_tag(text: &str) -> bool {
    text.len() == SHORT_TAG_CHARS && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

fn sign(key: &hmac::Key, parts: &[&str]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        // Length prefixes: no character can move from one part to the next.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.sign()
}

fn text(signature: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(signature.get(..TAG_BYTES).unwrap_or_default())
}

fn short_text(signature: &[u8]) -> String {
    let bits = signature
        .iter()
        .take(SHORT_TAG_CHARS * BITS_PER_CHAR / 8)
        .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    (0..SHORT_TAG_CHARS)
        .rev()
        .map(|at| {
            let digit = (bits >> (at * BITS_PER_CHAR)) % ALPHABET.len() as u64;
            let letter = usize::try_from(digit).ok().and_then(|at| ALPHABET.get(at));
            // Infallible: the remainder is below the alphabet's length.
            char::from(*letter.expect("the remainder is a place in the alphabet"))
        })
        .collect()
}

/// 128 bits, half of the hash: the shortest truncation of RFC 2104 § 5.
const TAG_BYTES: usize = 16;

/// 40 bits: at a thousand guesses per second, an attacker needs 17 years for an even chance.
pub(super) const SHORT_TAG_CHARS: usize = 8;

const BITS_PER_CHAR: usize = 5;

/// Crockford's base32 in lower case, without `i`, `l`, `o` and `u`: three look like digits, and the
/// fourth spells obscene words.
const ALPHABET: &[u8; 1 << BITS_PER_CHAR] = b"0123456789abcdefghjkmnpqrstvwxyz";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{Keyring, Purpose};

    #[test]
    fn a_tag_verifies_only_its_own_parts() {
        let tagger = Keyring::single([1; 32]).tagger(Purpose::BoshSession);
        let tag = tagger.tag(&["ab", "c"]);
        assert_eq!(tag.len(), 22);
        assert!(tagger.verify(&["ab", "c"], &tag));
        assert!(!tagger.verify(&["a", "bc"], &tag));
        assert!(!tagger.verify(&["ab", "c"], ""));
    }

    #[test]
    fn short_tags_are_eight_base32_characters() {
        let tagger = Keyring::single([1; 32]).tagger(Purpose::Owner);
        let tag = tagger.short_tag(&["a"]);
        assert!(is_short_tag(&tag), "{tag}");
        assert!(tagger.verify_short(&["a"], &tag) && !tagger.verify_short(&["b"], &tag));
        assert!(!tagger.verify_short(&["a"], "") && !tagger.verify(&["a"], &tag));
        assert!(!is_short_tag("k7qd3m2") && !is_short_tag("k7qd3m2l") && !is_short_tag("K7QD3M2A"));
    }

    #[test]
    fn a_short_tag_encodes_all_forty_bits() {
        assert_eq!(short_text(&[0; 32]), "00000000");
        assert_eq!(short_text(&[0xff; 32]), "zzzzzzzz");
        assert_eq!(short_text(&[0x08, 0x86, 0x42, 0x98, 0xe8]), "12345678");
    }
}
