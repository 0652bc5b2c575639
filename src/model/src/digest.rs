//! SHA-256 (FIPS 180-4), as bytes and in the two text forms that the protocols here use.

use aws_lc_rs::digest::{self, SHA256, SHA256_OUTPUT_LEN};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// The digest as bytes.
pub fn sha256(data: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let mut bytes = [0; SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(digest::digest(&SHA256, data).as_ref());
    bytes
}

/// The digest as 64 lower-case hexadecimal digits, as `sha256sum` prints it.
pub fn sha256_hex(data: &[u8]) -> String {
    sha256(data)
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// The digest as 43 characters of base64url without padding, the form of JOSE and PKCE
/// (RFC 7636 § 4.2).
pub fn sha256_base64url(data: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(sha256(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_is_the_published_one() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn the_challenge_of_the_pkce_example_is_the_published_one() {
        // RFC 7636, appendix B.
        assert_eq!(
            sha256_base64url(b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
