//! `[session]`: session lifetimes, and the keys that seal cookies.

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    diagnostics::Section,
    problem::Fault,
    secret::{RawSecret, SecretReader},
    values::{DAY, DurationText, MINUTE},
};
use model::{seal::Keyring, session::SessionSettings};

/// Session lifetimes, and the keys that seal cookies.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSession {
    /// The key that seals cookies: 32 random bytes in base64. Preferably in `key_file`.
    #[schemars(with = "Option<String>")]
    key: Option<SecretString>,
    /// A file of keys, one per line: the first seals, all open. The same on every replica.
    /// `openssl rand -base64 32` creates a key.
    #[schemars(example = "config/session.key")]
    key_file: Option<String>,
    /// A session ends after this time without a request.
    idle: DurationText,
    /// A session ends this long after the sign-in, even if it is in use.
    absolute: DurationText,
}

/// The keys and the lifetimes.
pub(super) struct ResolvedSession {
    pub(super) keyring: Keyring,
    pub(super) settings: SessionSettings,
}

// === impl RawSession ===

impl RawSession {
    pub(super) fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<ResolvedSession> {
        let raw = RawSecret {
            inline: self.key,
            file: self.key_file,
        };
        if raw.is_absent() && !section.is_reported("key") {
            let remedy = "create one with openssl rand -base64 32 > config/session.key and add \
                          key_file = \"config/session.key\"";
            section.reject("key_file", "missing", remedy);
        }
        let key = raw.written_key("key", "key_file");
        let keyring = secrets
            .read(section, "key", raw)
            .and_then(|text| section.keep(key, parse_keyring(text.expose_secret())));
        let bounds = MINUTE..=30 * DAY;
        let idle = self.idle.within(bounds.clone(), section, "idle");
        let absolute = self.absolute.within(bounds, section, "absolute");
        if let (Some(idle), Some(absolute)) = (idle, absolute)
            && idle > absolute
        {
            let remedy = "write a duration that is not shorter than idle";
            section.reject("absolute", "shorter than idle", remedy);
        }
        Some(ResolvedSession {
            keyring: keyring?,
            settings: SessionSettings {
                idle: idle?,
                absolute: absolute?,
            },
        })
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

fn parse_keyring(text: &str) -> Result<Keyring, Fault> {
    Keyring::parse(text)
        .map_err(|error| Fault::from_error(&error, "create a key with `openssl rand -base64 32`"))
}
