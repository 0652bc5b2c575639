//! Fingerprints, by which replicas detect that their configurations differ.

use std::fmt::Debug;

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// A hash of the value's `Debug` text, equal in all processes of one release.
///
/// `Debug` redacts secrets; therefore the fingerprint may be published.
pub fn fingerprint(value: &impl Debug) -> String {
    let hash = digest::digest(&digest::SHA256, format!("{value:?}").as_bytes());
    let short = hash.as_ref().get(..FINGERPRINT_BYTES).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.encode(short)
}

/// 72 bits: collisions are improbable among the few configurations of a deployment.
const FINGERPRINT_BYTES: usize = 9;
