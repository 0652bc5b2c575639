//! `[store]`: the state that replicas share.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::Reported;
use crate::{
    diagnostics::Section,
    problem::Fault,
    public_url::PublicUrl,
    secret::{RawSecret, SecretReader},
    values::{DurationText, MINUTE, read_ca_file, seconds},
};
use cluster::store::{RedisSettings, StoreSettings};

/// The state that replicas share: used links, revoked sessions, occupants. A single replica needs
/// only memory; several replicas need a Redis or Valkey server.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawStore {
    /// `memory`, which is lost at exit but for what is in `directory`, or `redis`.
    kind: StoreKind,
    /// The directory of the gateway's own file of revoked sessions and links, used links and used
    /// handoff tokens. Without it, and without Redis, a restart makes them valid again. Beside Redis
    /// it keeps revocations while Redis is not reached. Each process needs a directory of its own.
    #[schemars(example = "/var/lib/jitsi-auth-gateway")]
    directory: Option<String>,
    /// The server, version 6.2 or later: `redis://`, or `rediss://` for TLS, and the number of the
    /// database if it is not 0. If it contains a password, preferably in `url_file`.
    #[schemars(with = "Option<String>", example = "redis://redis:6379")]
    url: Option<SecretString>,
    /// The file of the server's URL.
    #[schemars(example = "config/redis.secret")]
    url_file: Option<String>,
    /// A PEM file of certificate authorities that are trusted instead of the system's.
    #[schemars(example = "certs/internal-ca.crt")]
    ca_file: Option<String>,
    /// The prefix of the gateway's keys, the same on every replica; it separates deployments on one
    /// server. Default: host and port of `public_url`.
    #[schemars(example = &"meet")]
    namespace: Option<String>,
    /// The timeout for connecting.
    connect_timeout: DurationText,
    /// The timeout for an operation.
    timeout: DurationText,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum StoreKind {
    Memory,
    Redis,
}

// === impl RawStore ===

impl RawStore {
    /// Whether nothing is shared, so that there can be only one replica.
    pub(super) fn is_memory(&self) -> bool {
        self.kind == StoreKind::Memory
    }

    /// The directory of the journal.
    pub(super) fn take_directory(
        &mut self,
        section: &mut Section<'_>,
    ) -> Result<Option<PathBuf>, Reported> {
        let Some(text) = self.directory.take() else {
            return Ok(None);
        };
        if text.trim().is_empty() {
            let remedy = "write a path such as \"/var/lib/jitsi-auth-gateway\", or remove the key";
            section.reject("directory", "empty", remedy);
            return Err(Reported);
        }
        Ok(Some(text.into()))
    }

    pub(super) fn resolve(
        self,
        public_url: Option<&PublicUrl>,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<StoreSettings> {
        let kind = self.kind;
        let url = RawSecret {
            inline: self.url,
            file: self.url_file,
        };
        let connect_timeout =
            self.connect_timeout
                .within(seconds(1)..=MINUTE, section, "connect_timeout");
        // At least one second: a revocation may take as long.
        let timeout = self.timeout.within(seconds(1)..=MINUTE, section, "timeout");
        let namespace = match self.namespace {
            Some(text) => section.keep("namespace", parse_namespace(&text)),
            None => public_url.map(|url| url.authority().to_string()),
        };
        let ca_pem = self
            .ca_file
            .map(|file| section.keep("ca_file", read_ca_file(&file)).ok_or(Reported))
            .transpose();
        if kind == StoreKind::Memory {
            if !url.is_absent() {
                let remedy = "write kind = \"redis\", or remove the URL";
                section.reject("kind", "memory conflicts with url", remedy);
            }
            return Some(StoreSettings::Memory);
        }
        let url = resolve_url(url, secrets, section)?;
        if !matches!(ca_pem, Ok(None)) && !url.expose_secret().starts_with("rediss:") {
            let remedy = "write rediss:// in the URL, or remove the key";
            section.reject("ca_file", "the URL is without TLS", remedy);
        }
        Some(StoreSettings::Redis(RedisSettings {
            url,
            ca_pem: ca_pem.ok()?,
            namespace: namespace?,
            connect_timeout: connect_timeout?,
            timeout: timeout?,
        }))
    }
}

impl Default for RawStore {
    fn default() -> Self {
        Self {
            kind: StoreKind::Memory,
            directory: None,
            url: None,
            url_file: None,
            ca_file: None,
            namespace: None,
            connect_timeout: "3s".into(),
            timeout: "1s".into(),
        }
    }
}

/// The server's URL. It is a secret only if it contains a password: the checks of secrets are
/// skipped for an inline URL without one.
fn resolve_url(
    raw: RawSecret,
    secrets: SecretReader,
    section: &mut Section<'_>,
) -> Option<SecretString> {
    if raw.is_absent() {
        if !section.is_reported("url") && !section.is_reported("url_file") {
            let remedy = "add url = \"redis://redis:6379\", or url_file if it contains a password";
            section.reject("url", "missing", remedy);
        }
        return None;
    }
    let key = raw.written_key("url", "url_file");
    let without_password = raw
        .inline
        .as_ref()
        .filter(|text| raw.file.is_none() && !may_contain_password(text.expose_secret()))
        .cloned();
    let url = match without_password {
        Some(url) => url,
        None => secrets.read(section, "url", raw)?,
    };
    let checked = check_url(url.expose_secret()).map(|()| url);
    section.keep(key, checked)
}

/// True for texts that are not URLs, too: they may be misspelt URLs with a password.
fn may_contain_password(text: &str) -> bool {
    !Url::parse(text).is_ok_and(|url| url.has_host() && url.password().is_none())
}

/// The faults do not quote the URL, which may contain a password.
fn check_url(text: &str) -> Result<(), Fault> {
    let form = "write it as redis://host:6379 or rediss://user:password@host:6379/0";
    let url = Url::parse(text).map_err(|_| Fault::new("not a URL", form))?;
    if !matches!(url.scheme(), "redis" | "rediss") {
        return Err(Fault::new("not a redis or rediss URL", form));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Fault::new("has no host", form));
    }
    if url.query().is_some() || url.fragment().is_some() {
        let what = "has more than a host, a port and a database";
        return Err(Fault::new(what, form));
    }
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u8>().is_err() {
        return Err(Fault::new("the path is not the number of a database", form));
    }
    if url.password().is_none() && !url.username().is_empty() {
        return Err(Fault::new("has a user name without a password", form));
    }
    Ok(())
}

fn parse_namespace(text: &str) -> Result<String, Fault> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if (1..=255).contains(&text.len()) && text.chars().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err(Fault::new(
            format!("{text:?} is not a key prefix"),
            "write letters, digits, dots, dashes, underscores or colons",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_redis_url_without_options() {
        for good in [
            "redis://redis",
            "redis://:secret@redis:6379",
            "rediss://user:secret@redis.example.org:6380/3",
            "redis://[::1]:6379/0",
        ] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "redis",
            "http://redis",
            "redis://",
            "redis+unix:///run/redis.sock",
            "redis://redis/x",
            "redis://redis/0/1",
            "redis://redis?protocol=resp3",
            "rediss://redis#insecure",
            "redis://user@redis",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_with_a_password_is_a_secret() {
        assert!(!may_contain_password("redis://redis:6379"));
        assert!(may_contain_password("redis://:secret@redis"));
        assert!(may_contain_password("redis:secret@redis :"));
    }

    #[test]
    fn a_namespace_has_no_spaces_and_no_wildcards() {
        assert_eq!(
            parse_namespace("meet.example.org:8443").unwrap(),
            "meet.example.org:8443"
        );
        for bad in ["", "a b", "*", "{a}", "é"] {
            assert!(parse_namespace(bad).is_err(), "{bad}");
        }
    }
}
