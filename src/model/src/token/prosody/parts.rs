//! The parts of a compact token, as Prosody's plugin splits and decodes them.

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::ProsodyRefusal;

/// The parts of a token whose signature is not verified yet.
pub(super) struct Parts<'t> {
    /// The signing input (RFC 7515 § 2).
    message: String,
    pub(super) header: Map<String, Value>,
    pub(super) body: Map<String, Value>,
    signature: &'t str,
}

// === impl Parts ===

impl<'t> Parts<'t> {
    /// Splits a token as the plugin does, which ignores empty parts.
    pub(super) fn split(token: &'t str) -> Result<Self, ProsodyRefusal> {
        let mut parts = token.split('.').filter(|part| !part.is_empty());
        let (Some(header), Some(body), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ProsodyRefusal::InvalidToken);
        };
        Ok(Self {
            message: format!("{header}.{body}"),
            header: decode_object(header).ok_or(ProsodyRefusal::InvalidHeader)?,
            body: decode_object(body).ok_or(ProsodyRefusal::InvalidBody)?,
            signature,
        })
    }

    pub(super) fn check_signature(
        &self,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<(), ProsodyRefusal> {
        let message = self.message.as_bytes();
        match jsonwebtoken::crypto::verify(self.signature, message, key, algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(ProsodyRefusal::InvalidSignature),
        }
    }
}

/// Decodes base64url of a JSON object.
pub(super) fn decode_object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}

/// The plugin adds the padding itself, so it accepts any.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
