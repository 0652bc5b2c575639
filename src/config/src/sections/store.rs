//! `[store]`: what replicas share.

use std::path::Path;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::{
    problem::{Fault, Section},
    public_url::PublicUrl,
    secret::{RawSecret, SecretReader},
    values::{DurationText, authorities, seconds},
};
use cluster::store::{RedisSettings, StoreSettings};

/// What replicas share: used-up links, revoked sessions, who is in which room. One replica needs
/// nothing else than memory, several need a Redis or Valkey server.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawStore {
    /// `memory`, which ends with the process, or `redis`.
    kind: Kind,
    /// The server, version 6.2 or later: `redis://`, or `rediss://` for TLS, and its database if it
    /// is not 0. With a password in it, better kept in `url_file`.
    #[schemars(with = "Option<String>", example = "redis://redis:6379")]
    url: Option<SecretString>,
    /// The file of the server's address.
    #[schemars(example = "config/redis.secret")]
    url_file: Option<String>,
    /// A PEM file of certificate authorities to trust instead of the system's.
    #[schemars(example = "certs/internal-ca.crt")]
    ca_file: Option<String>,
    /// What keeps deployments on one server apart, the same on every replica; unless set, the host
    /// and port of `public_url`.
    #[schemars(example = &"meet")]
    namespace: Option<String>,
    /// How long connecting may take.
    connect_timeout: DurationText,
    /// How long an operation may take.
    timeout: DurationText,
}

#[derive(Clone, Copy, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Kind {
    Memory,
    Redis,
}

// === impl RawStore ===

impl RawStore {
    /// Whether nothing is shared, so that there can be one replica only.
    pub(super) fn is_memory(&self) -> bool {
        matches!(self.kind, Kind::Memory)
    }

    pub(super) fn resolve(
        self,
        public_url: Option<&PublicUrl>,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<StoreSettings> {
        let raw = RawSecret {
            inline: self.url,
            file: self.url_file,
        };
        let connect_timeout =
            self.connect_timeout
                .within(seconds(1)..=seconds(60), section, "connect_timeout");
        // A second is what a revocation may take.
        let timeout = self
            .timeout
            .within(seconds(1)..=seconds(60), section, "timeout");
        let namespace = match self.namespace {
            Some(text) => section.keep("namespace", namespace(&text)),
            None => public_url.map(|url| url.authority().to_string()),
        };
        let ca_pem = self
            .ca_file
            .map(|file| section.keep("ca_file", authorities(Path::new(&file))));
        if matches!(self.kind, Kind::Memory) {
            if !raw.is_absent() {
                let remedy = "write kind = \"redis\", or remove the address";
                section.reject("kind", "memory stands beside an address", remedy);
            }
            return Some(StoreSettings::Memory);
        }
        let url = server(raw, secrets, section)?;
        if ca_pem.is_some() && !url.expose_secret().starts_with("rediss:") {
            let remedy = "write rediss:// in the address, or remove the key";
            section.reject("ca_file", "stands beside an address without TLS", remedy);
        }
        Some(StoreSettings::Redis(RedisSettings {
            url,
            ca_pem: ca_pem.flatten(),
            namespace: namespace?,
            connect_timeout: connect_timeout?,
            timeout: timeout?,
        }))
    }
}

impl Default for RawStore {
    fn default() -> Self {
        Self {
            kind: Kind::Memory,
            url: None,
            url_file: None,
            ca_file: None,
            namespace: None,
            connect_timeout: "3s".into(),
            timeout: "1s".into(),
        }
    }
}

/// The server's address, which is a secret only if there is a password in it.
fn server(
    raw: RawSecret,
    secrets: SecretReader,
    section: &mut Section<'_>,
) -> Option<SecretString> {
    if raw.is_absent() {
        if !section.is_settled("url") && !section.is_settled("url_file") {
            let remedy =
                "add url = \"redis://redis:6379\", or url_file if there is a password in it";
            section.reject("url", "missing", remedy);
        }
        return None;
    }
    let key = if raw.inline.is_some() {
        "url"
    } else {
        "url_file"
    };
    let open = raw
        .inline
        .as_ref()
        .filter(|text| raw.file.is_none() && !has_password(text.expose_secret()))
        .cloned();
    let text = match open {
        Some(text) => text,
        None => secrets.read(section, "url", raw)?,
    };
    let checked = check(text.expose_secret()).map(|()| text);
    section.keep(key, checked)
}

fn has_password(text: &str) -> bool {
    // What cannot be read as an address may still hold one.
    !Url::parse(text).is_ok_and(|url| url.has_host() && url.password().is_none())
}

/// The faults quote nothing of the address.
fn check(text: &str) -> Result<(), Fault> {
    let form = "write it as redis://host:6379, rediss://user:password@host:6379/0 or the like";
    let url = Url::parse(text).map_err(|_| Fault::new("not an address", form))?;
    if !matches!(url.scheme(), "redis" | "rediss") {
        return Err(Fault::new("not a redis or rediss address", form));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Fault::new("has no host", form));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::new(
            "has more than a host, a port and a database",
            form,
        ));
    }
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u8>().is_err() {
        return Err(Fault::new("has a path that is no database", form));
    }
    if url.password().is_none() && !url.username().is_empty() {
        return Err(Fault::new("has a user name without a password", form));
    }
    Ok(())
}

fn namespace(text: &str) -> Result<String, Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if (1..=255).contains(&text.len()) && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(Fault::new(
            format!("{text:?} is not a name for keys"),
            "write letters, digits, dots, dashes, underscores or colons",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_redis() {
        for good in [
            "redis://redis",
            "redis://:secret@redis:6379",
            "rediss://user:secret@redis.example.org:6380/3",
            "redis://[::1]:6379/0",
        ] {
            assert!(check(good).is_ok(), "{good}");
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
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_secret_if_there_is_a_password_in_it() {
        assert!(!has_password("redis://redis:6379"));
        assert!(has_password("redis://:secret@redis"));
        assert!(has_password("redis:secret@redis :"));
    }

    #[test]
    fn namespaces_are_part_of_keys() {
        assert_eq!(
            namespace("meet.example.org:8443").unwrap(),
            "meet.example.org:8443"
        );
        for bad in ["", "a b", "*", "{a}", "é"] {
            assert!(namespace(bad).is_err(), "{bad}");
        }
    }
}
