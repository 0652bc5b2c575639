//! The options of a site, and the configuration that they make.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path};

use devkit::provider::PushSupport;
use model::clock::{Clock, ClockControl};
use toml::{Table, Value, toml};

use super::{CLIENT_ID, ORIGIN};
use crate::support::signing_key::rsa_pem;

/// What a test changes of the default deployment; each method sets one option.
pub(crate) struct SiteOptions {
    issuer: Option<String>,
    client_secret: String,
    /// The private key of the client and its certificate, in place of the secret.
    client_key: Option<(String, String)>,
    provider: ProviderKind,
    pub(super) pushed_requests: PushSupport,
    jaas: bool,
    jicofo: bool,
    shard: Option<&'static str>,
    durable: bool,
    /// Sections and keys that are merged into the configuration last.
    sections: Table,
    pub(super) clock: Option<(Clock, ClockControl)>,
}

/// The provider of a deployment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ProviderKind {
    None,
    WithoutRefreshTokens,
    WithRefreshTokens,
}

/// The addresses of the stand-ins that the configuration names.
pub(super) struct Upstreams<'u> {
    pub(super) issuer: &'u str,
    pub(super) jitsi: SocketAddr,
}

// === impl SiteOptions ===

impl Default for SiteOptions {
    fn default() -> Self {
        Self {
            issuer: None,
            client_secret: CLIENT_SECRET.to_owned(),
            client_key: None,
            provider: ProviderKind::WithoutRefreshTokens,
            pushed_requests: PushSupport::None,
            jaas: false,
            jicofo: false,
            shard: None,
            durable: false,
            sections: DEFAULT_RULES.parse().unwrap(),
            clock: None,
        }
    }
}

impl SiteOptions {
    /// Sets `oidc.issuer` to another provider than the development one.
    pub(crate) fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// Sets the client secret that the gateway presents.
    pub(crate) fn client_secret(mut self, secret: &str) -> Self {
        secret.clone_into(&mut self.client_secret);
        self
    }

    /// Sets a private key of the client and its certificate, in place of the secret.
    pub(crate) fn client_key(mut self, key: &str, certificate: &str) -> Self {
        self.client_key = Some((key.to_owned(), certificate.to_owned()));
        self
    }

    /// Leaves `[oidc]` out.
    pub(crate) fn without_provider(mut self) -> Self {
        self.provider = ProviderKind::None;
        self
    }

    /// Configures `[jaas]` in place of `[upstream]` and `[token]`.
    pub(crate) fn jaas(mut self) -> Self {
        self.jaas = true;
        self
    }

    /// Sets `upstream.jicofo`.
    pub(crate) fn jicofo(mut self) -> Self {
        self.jicofo = true;
        self
    }

    /// Writes the upstream as one shard with a name.
    pub(crate) fn shard(mut self, name: &'static str) -> Self {
        self.shard = Some(name);
        self
    }

    /// Makes the provider give refresh tokens.
    pub(crate) fn refresh_tokens(mut self) -> Self {
        self.provider = ProviderKind::WithRefreshTokens;
        self
    }

    /// Makes the provider take pushed authorization requests.
    pub(crate) fn pushed_requests(mut self, support: PushSupport) -> Self {
        self.pushed_requests = support;
        self
    }

    pub(super) fn has_refresh_tokens(&self) -> bool {
        self.provider == ProviderKind::WithRefreshTokens
    }

    /// Replaces the default `[[room]]`; `text` may have further sections, which are merged.
    pub(crate) fn rules(mut self, text: &str) -> Self {
        self.sections.remove("room");
        merge(&mut self.sections, text.parse().unwrap());
        self
    }

    /// Adds keys to `[session]`.
    pub(crate) fn session(self, keys: &str) -> Self {
        self.section("session", keys)
    }

    /// Adds keys to `[listen]`.
    pub(crate) fn listen(self, keys: &str) -> Self {
        self.section("listen", keys)
    }

    /// Adds keys to `[limits]`.
    pub(crate) fn limits(self, keys: &str) -> Self {
        self.section("limits", keys)
    }

    /// Sets `store.directory` to `state` below the site's files.
    pub(crate) fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Sets the clock of the gateway, the provider and the meeting.
    pub(crate) fn clock(mut self, clock: Clock, control: ClockControl) -> Self {
        self.clock = Some((clock, control));
        self
    }

    fn section(mut self, name: &str, keys: &str) -> Self {
        let keys: Table = keys.parse().unwrap();
        merge(
            &mut self.sections,
            Table::from_iter([(name.to_owned(), keys.into())]),
        );
        self
    }

    /// Writes the files that the configuration names, and returns the configuration.
    pub(super) fn configuration(&self, files: &Path, upstreams: &Upstreams<'_>) -> Table {
        let pair = rcgen::generate_simple_self_signed(["meet.example.org".to_owned()]).unwrap();
        let certificate = write(files, "tls.crt", &pair.cert.pem());
        let key = write(files, "tls.key", &pair.signing_key.serialize_pem());
        let session_key = write(files, "session.secret", SESSION_KEY);
        let mut configuration = toml! {
            [listen]
            https = "127.0.0.1:0"
            http = "127.0.0.1:0"
            admin = "127.0.0.1:0"
            workers = 2
            grace = "20s"
        };
        configuration.insert("public_url".to_owned(), ORIGIN.into());
        let tls = Table::from_iter([
            ("certificate".to_owned(), certificate.into()),
            ("key".to_owned(), key.into()),
        ]);
        configuration.insert("tls".to_owned(), tls.into());
        let session = Table::from_iter([("key_file".to_owned(), session_key.into())]);
        configuration.insert("session".to_owned(), session.into());
        if self.provider != ProviderKind::None {
            let issuer = self.issuer.as_deref().unwrap_or(upstreams.issuer);
            configuration.insert("oidc".to_owned(), self.oidc(files, issuer).into());
        }
        let meetings = if self.jaas {
            jaas(files)
        } else {
            let mut jitsi = jitsi(files, upstreams.jitsi, self.jicofo);
            if let Some(name) = self.shard {
                make_shard(&mut jitsi, name);
            }
            jitsi
        };
        merge(&mut configuration, meetings);
        if self.durable {
            let directory = files.join("state").display().to_string();
            let store = Table::from_iter([("directory".to_owned(), directory.into())]);
            configuration.insert("store".to_owned(), store.into());
        }
        merge(&mut configuration, self.sections.clone());
        configuration
    }

    fn oidc(&self, files: &Path, issuer: &str) -> Table {
        let mut oidc = toml! {
            insecure_http_issuer = true
            timeout = "2s"
        };
        oidc.insert("issuer".to_owned(), issuer.into());
        oidc.insert("client_id".to_owned(), CLIENT_ID.into());
        let mut insert = |name: &str, text: String| oidc.insert(name.to_owned(), text.into());
        if let Some((key, certificate)) = &self.client_key {
            insert("client_auth", "private_key_jwt".to_owned());
            insert("client_key_file", write(files, "client.key", key));
            insert(
                "client_certificate_file",
                write(files, "client.crt", certificate),
            );
        } else {
            let secret = write(files, "client.secret", &self.client_secret);
            insert("client_secret_file", secret);
        }
        oidc
    }
}

fn jaas(files: &Path) -> Table {
    let mut jaas = toml! { key_id = "4f4910" };
    jaas.insert("app_id".to_owned(), JAAS_APP.into());
    let key = write(files, "jaas.key", rsa_pem());
    jaas.insert("key_file".to_owned(), key.into());
    Table::from_iter([("jaas".to_owned(), jaas.into())])
}

fn jitsi(files: &Path, address: SocketAddr, has_jicofo: bool) -> Table {
    let url = format!("http://{address}");
    let mut upstream = Table::from_iter([
        ("web".to_owned(), url.clone().into()),
        ("xmpp".to_owned(), url.clone().into()),
        ("xmpp_domain".to_owned(), "meet.jitsi".into()),
    ]);
    if has_jicofo {
        upstream.insert("jicofo".to_owned(), url.into());
    }
    let secret = write(files, "app.secret", APP_SECRET);
    let token = Table::from_iter([
        ("app_id".to_owned(), "gateway".into()),
        ("secret_file".to_owned(), secret.into()),
        ("domain_verification".to_owned(), true.into()),
    ]);
    let mut sections = toml! {
        [probe]
        enabled = false
    };
    sections.insert("upstream".to_owned(), upstream.into());
    sections.insert("token".to_owned(), token.into());
    sections
}

/// Moves the addresses of the upstream to a shard.
fn make_shard(jitsi: &mut Table, name: &str) {
    let upstream = jitsi["upstream"].as_table_mut().unwrap();
    let mut shard = Table::from_iter([("name".to_owned(), name.into())]);
    for key in ["web", "xmpp", "jicofo"] {
        shard.extend(upstream.remove(key).map(|url| (key.to_owned(), url)));
    }
    jitsi.insert("shard".to_owned(), Value::Array(vec![shard.into()]));
}

/// Merges tables key by key; any other value of `more` replaces the one of `into`.
fn merge(into: &mut Table, more: Table) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Writes a file with the mode that the gateway demands of secrets, and returns its path.
pub(super) fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// The client secret that the development provider knows.
pub(super) const CLIENT_SECRET: &str = "client secret of a test, long enough";
pub(super) const APP_SECRET: &str = "secret shared with Prosody in tests, long enough";
const JAAS_APP: &str = "vpaas-magic-cookie-0123456789abcdef";
const SESSION_KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
const DEFAULT_RULES: &str = r#"
[[room]]
match = "*"
enter = "member"
moderators = ["group:staff"]
"#;
