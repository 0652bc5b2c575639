//! `[session]`: how long people stay signed in, and the keys that seal cookies.

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    problem::{Fault, Section},
    secret::{RawSecret, SecretReader},
    values::{DurationText, seconds},
};
use model::{seal::Keyring, session::SessionSettings};

/// How long people stay signed in, and what their cookies are sealed with.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSession {
    /// The key for cookies: 32 random bytes in base64. Better kept in `key_file`.
    #[schemars(with = "Option<String>")]
    key: Option<SecretString>,
    /// A file of such keys, one a line: the first seals, all open. The same on every replica.
    /// `openssl rand -base64 32` writes one.
    #[schemars(example = "config/session.key")]
    key_file: Option<String>,
    /// A session ends after so long without a request.
    idle: DurationText,
    /// A session ends so long after signing in, whatever happens.
    absolute: DurationText,
}

// === impl RawSession ===

impl RawSession {
    pub(super) fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<(Keyring, SessionSettings)> {
        let raw = RawSecret {
            inline: self.key,
            file: self.key_file,
        };
        let key = if raw.inline.is_some() {
            "key"
        } else {
            "key_file"
        };
        if raw.is_absent() && !section.is_settled("key") {
            let remedy = "write one with openssl rand -base64 32 > config/session.key and add \
                          key_file = \"config/session.key\"";
            section.reject("key_file", "missing", remedy);
        }
        let keyring = secrets.read(section, "key", raw).and_then(|text| {
            let keyring = Keyring::parse(text.expose_secret());
            section.keep(key, keyring.map_err(|error| fault(&error.to_string())))
        });
        let most = seconds(30 * 86_400);
        let idle = self.idle.within(seconds(60)..=most, section, "idle");
        let absolute = self
            .absolute
            .within(seconds(60)..=most, section, "absolute");
        if idle
            .zip(absolute)
            .is_some_and(|(idle, absolute)| idle > absolute)
        {
            let remedy = "write an absolute time that is not shorter than idle";
            section.reject("absolute", "shorter than idle", remedy);
        }
        Some((
            keyring?,
            SessionSettings {
                idle: idle?,
                absolute: absolute?,
            },
        ))
    }
}

impl Default for RawSession {
    fn default() -> Self {
        Self {
            key: None,
            key_file: None,
            idle: "12h".into(),
            absolute: "24h".into(),
        }
    }
}

/// The keyring's errors have their remedy behind a semicolon already.
fn fault(error: &str) -> Fault {
    let (what, remedy) = error
        .split_once("; ")
        .unwrap_or((error, "write a key with `openssl rand -base64 32`"));
    Fault::new(what, remedy)
}
