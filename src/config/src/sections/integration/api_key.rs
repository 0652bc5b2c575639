//! `[[integration.api_key]]`: API keys.

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    diagnostics::Section,
    problem::Fault,
    secret::{RawSecret, SecretReader},
    values::parse_name,
};
use model::integration::{ApiKey, ApiKeyError};

/// An API key, sent as `Authorization: Bearer KEY`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id"]))]
pub(crate) struct RawApiKey {
    /// The key's id in logs.
    #[schemars(example = &"2027")]
    id: Option<String>,
    /// The key: 32 characters or more. Preferably in `key_file`.
    #[schemars(with = "Option<String>")]
    key: Option<SecretString>,
    /// The file of the key.
    #[schemars(example = "config/moodle.key")]
    key_file: Option<String>,
    /// The SHA-256 of the key in hexadecimal, instead of the key itself.
    #[schemars(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    sha256: Option<String>,
}

// === impl RawApiKey ===

impl RawApiKey {
    pub(super) fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<ApiKey> {
        let id = section.parse("id", self.id, parse_name)?;
        let raw = RawSecret {
            inline: self.key,
            file: self.key_file,
        };
        let fault = |error: ApiKeyError| Fault::from_error(&error, "write another key");
        match (raw.is_absent(), self.sha256) {
            (true, Some(hash)) => section.keep("sha256", ApiKey::of_hash(id, &hash).map_err(fault)),
            (false, None) => {
                let written_key = raw.written_key("key", "key_file");
                let key = secrets.read(section, "key", raw)?;
                let key = ApiKey::of_text(id, key.expose_secret()).map_err(fault);
                section.keep(written_key, key)
            }
            (false, Some(_)) => {
                section.reject("sha256", "conflicts with the key", "remove one of the two");
                None
            }
            (true, None) => {
                if !section.is_reported("") {
                    section.reject("key_file", "missing", "name the file of a key");
                }
                None
            }
        }
    }
}
