//! `[[integration.api_key]]`: keys to the API.

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    problem::{Fault, Section},
    secret::{RawSecret, SecretReader},
    values::name,
};
use model::integration::{ApiKey, ApiKeyError};

/// A key to the API, shown as `Authorization: Bearer KEY`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id"]))]
pub(crate) struct RawApiKey {
    /// The key's name in logs.
    #[schemars(example = &"2027")]
    id: Option<String>,
    /// The key: 32 characters or more. Better kept in `key_file`.
    #[schemars(with = "Option<String>")]
    key: Option<SecretString>,
    /// The file of the key.
    #[schemars(example = "config/moodle.key")]
    key_file: Option<String>,
    /// The SHA-256 of the key in hexadecimal, so that the key itself is not here.
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
        let id = self.id.and_then(|text| section.keep("id", name(&text)))?;
        let raw = RawSecret {
            inline: self.key,
            file: self.key_file,
        };
        let file = raw.file.is_some();
        let fault = |error: ApiKeyError| {
            let error = error.to_string();
            let (what, remedy) = error.split_once("; ").unwrap_or((&error, "write another"));
            Fault::new(what, remedy)
        };
        match (raw.is_absent(), self.sha256) {
            (true, Some(hash)) => section.keep("sha256", ApiKey::of_hash(id, &hash).map_err(fault)),
            (false, None) => {
                let key = secrets.read(section, "key", raw)?;
                let key = ApiKey::of_text(id, key.expose_secret()).map_err(fault);
                section.keep(if file { "key_file" } else { "key" }, key)
            }
            (false, Some(_)) => {
                section.reject("sha256", "stands beside a key", "remove one of the two");
                None
            }
            (true, None) => {
                if !section.is_settled("") {
                    section.reject("key_file", "missing", "name the file of a key");
                }
                None
            }
        }
    }
}
