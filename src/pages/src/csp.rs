//! Hash sources of content security policies.

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_STANDARD};

/// Source expression that allows the inline script or style with exactly this text (CSP Level 3
/// § 2.3.1).
pub(crate) fn csp_hash(content: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, content);
    format!("'sha256-{}'", BASE64_STANDARD.encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_base64_of_sha256() {
        // Computed with `printf 'alert(1)' | openssl dgst -sha256 -binary | base64`.
        assert_eq!(
            csp_hash(b"alert(1)"),
            "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
        );
    }
}
