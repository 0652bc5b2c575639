//! `[tls.acme]`: a certificate from an authority.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustix::fs::{Access, access};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    diagnostics::Section,
    problem::Fault,
    public_url::PublicUrl,
    secret::{RawSecret, SecretReader},
    values::{parse_domain, parse_https_url, parse_name, read_ca_file},
};
use acme::{AcmeSettings, ChallengeKind, ExternalAccount};

/// A certificate that an authority issues and renews without an operator (ACME, RFC 8555). Beside `certificate` and
/// `key`, clients get it that ask for one of its names. Not for several replicas without a shared `storage`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline, extend("required" = ["accept_terms", "storage"]))]
pub(super) struct RawAcme {
    /// The directory of the authority. Default: that of Let's Encrypt.
    #[schemars(example = "https://acme-v02.api.letsencrypt.org/directory")]
    directory: Option<String>,
    /// Use Let's Encrypt's staging environment, whose limits are wider, and whose certificates browsers refuse.
    staging: bool,
    /// Whether you accept the authority's terms of service; has to be `true`.
    accept_terms: bool,
    /// E-mail addresses to which the authority may write.
    #[schemars(example = ["admin@example.org"])]
    contact: Vec<String>,
    /// The names of the certificate. Default: the host of `public_url`.
    #[schemars(example = ["meet.example.org"])]
    names: Option<Vec<String>>,
    /// The directory of account, key and certificate, which is created with mode 0700. Keep it: authorities limit
    /// how many certificates a name gets in a week.
    #[schemars(example = "/var/lib/jitsi-auth-gateway/acme")]
    storage: Option<String>,
    /// How the authority verifies that the names lead here: `tls-alpn-01` by a handshake at port 443, `http-01` by
    /// a request at port 80.
    challenge: RawChallenge,
    /// The profile of the certificate, if the authority has several.
    #[schemars(example = &"shortlived")]
    profile: Option<String>,
    /// A PEM file of certificate authorities that are trusted for the directory instead of the system's.
    #[schemars(example = "certs/internal-ca.crt")]
    ca_file: Option<String>,
    external_account: Option<RawExternalAccount>,
}

/// The account at an authority that requires one (external account binding).
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline, extend("required" = ["id", "key_file"]))]
struct RawExternalAccount {
    /// The key identifier that the authority gave.
    #[schemars(example = &"kid-1")]
    id: Option<String>,
    /// The file of the HMAC key that the authority gave, in Base64url.
    #[schemars(example = "config/acme.secret")]
    key_file: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum RawChallenge {
    #[default]
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    #[serde(rename = "http-01")]
    Http01,
}

// === impl RawAcme ===

impl RawAcme {
    pub(super) fn resolve(
        self,
        public_url: Option<&PublicUrl>,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<AcmeSettings> {
        if !self.accept_terms && !section.is_reported("accept_terms") {
            let remedy = "read the authority's terms of service (Let's Encrypt's are at \
                          https://letsencrypt.org/repository/), and write accept_terms = true";
            section.reject("accept_terms", "not true", remedy);
        }
        if self.staging && self.directory.is_some() {
            let remedy = "remove one of the two";
            section.reject("staging", "conflicts with directory", remedy);
        }
        let directory =
            self.directory
                .as_deref()
                .unwrap_or(if self.staging { STAGING } else { PRODUCTION });
        let directory = section.parse("directory", Some(directory), parse_directory);
        let contact = section.parse_list("contact", self.contact, parse_contact);
        let names = match self.names {
            Some(names) if names.is_empty() => {
                section.reject("names", "empty", "remove the key, or write the names");
                None
            }
            Some(names) => section.parse_list("names", names, parse_certificate_name),
            None => match public_url {
                Some(url) => {
                    let host = parse_certificate_name(url.authority().host());
                    section.keep("names", host).map(|name| vec![name])
                }
                None => None,
            },
        };
        if self.storage.is_none() {
            let remedy = "add for example storage = \"/var/lib/jitsi-auth-gateway/acme\"";
            section.require("storage", remedy);
        }
        let storage = section.parse("storage", self.storage, parse_storage);
        let profile = section.parse("profile", self.profile, parse_name);
        let ca_pem = section.parse("ca_file", self.ca_file, read_ca_file);
        let external_account = match self.external_account {
            Some(external) => {
                Some(external.resolve(secrets, &mut section.table("external_account"))?)
            }
            None => None,
        };
        Some(AcmeSettings {
            directory: directory?,
            contact: contact?,
            names: names?,
            external_account,
            storage: storage?,
            challenge: match self.challenge {
                RawChallenge::TlsAlpn01 => ChallengeKind::TlsAlpn01,
                RawChallenge::Http01 => ChallengeKind::Http01,
            },
            profile,
            ca_pem,
            pacing: acme::AcmePacing::default(),
        })
    }
}

// === impl RawExternalAccount ===

impl RawExternalAccount {
    fn resolve(self, secrets: SecretReader, section: &mut Section<'_>) -> Option<ExternalAccount> {
        if self.id.is_none() {
            section.require("id", "write the key identifier that the authority gave");
        }
        if self.key_file.is_none() {
            section.require(
                "key_file",
                "name the file of the key that the authority gave",
            );
        }
        let id = section.parse("id", self.id, parse_name);
        let key = RawSecret {
            inline: None,
            file: self.key_file,
        };
        let key = secrets.read(section, "key", key)?;
        let decoded = section.keep("key_file", decode_key(key.expose_secret()));
        Some(ExternalAccount {
            id: id?,
            key: decoded?.to_vec().into(),
        })
    }
}

/// What an operator should know of valid settings, in one line each.
pub(super) fn acme_warnings(settings: &AcmeSettings, public_url: &PublicUrl) -> Vec<String> {
    let mut warnings = Vec::new();
    let (challenge, port) = match settings.challenge {
        ChallengeKind::TlsAlpn01 => ("tls-alpn-01", 443),
        ChallengeKind::Http01 => ("http-01", 80),
    };
    let authority = public_url.authority();
    if let (ChallengeKind::TlsAlpn01, Some(other)) = (settings.challenge, authority.port_u16()) {
        warnings.push(format!(
            "tls.acme.challenge: {challenge} is verified at port {port}, and public_url has port {other}; port \
             {port} has to lead to listen.https, too"
        ));
    }
    let host = authority.host().to_ascii_lowercase();
    if !settings.names.contains(&host) {
        warnings.push(format!(
            "tls.acme.names: {host}, the host of public_url, is not among them"
        ));
    }
    if let Some(path) = first_unwritable(&settings.storage) {
        warnings.push(format!(
            "tls.acme.storage: this account cannot write to {}; the gateway's account has to",
            path.display()
        ));
    }
    warnings
}

/// The nearest directory that exists, if it is not writable.
fn first_unwritable(storage: &Path) -> Option<&Path> {
    let nearest = storage.ancestors().find(|path| path.exists())?;
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    access(nearest, wanted).is_err().then_some(nearest)
}

fn parse_directory(text: &str) -> Result<Url, Fault> {
    parse_https_url(text, "write it as https://acme.example.org/directory")
}

fn parse_contact(text: &str) -> Result<String, Fault> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is_address = address.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && host.contains('.') && parse_domain(host).is_ok()
    });
    if is_address && address.chars().all(|c| c.is_ascii_graphic()) {
        Ok(format!("mailto:{address}"))
    } else {
        let what = format!("{text:?} is not an e-mail address");
        Err(Fault::new(what, "write it as admin@example.org"))
    }
}

fn parse_certificate_name(text: &str) -> Result<String, Fault> {
    if text.starts_with("*.") {
        let what = format!("{text:?} has a wildcard, which needs a challenge by DNS");
        return Err(Fault::new(
            what,
            "write each name, or use certificate and key",
        ));
    }
    let host = text.trim_matches(['[', ']']);
    if host.parse::<IpAddr>().is_ok() {
        let what = format!("{text:?} is an address, not a name");
        return Err(Fault::new(what, "write a DNS name"));
    }
    parse_domain(text)
}

fn parse_storage(text: &str) -> Result<PathBuf, Fault> {
    let path = PathBuf::from(text);
    if text.trim().is_empty() {
        return Err(Fault::new("empty", "write the path of a directory"));
    }
    if path.exists() && !path.is_dir() {
        let what = format!("{text} is not a directory");
        return Err(Fault::new(what, "write the path of a directory"));
    }
    Ok(path)
}

fn decode_key(text: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let text = text.trim().trim_end_matches('=');
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(key) if key.len() >= SHORTEST_KEY => Ok(Zeroizing::new(key)),
        _ => Err(Fault::new(
            "not a key in Base64url",
            "write the HMAC key as the authority gave it",
        )),
    }
}

const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Authorities give 32 bytes; fewer than 16 are a mistake in copying.
const SHORTEST_KEY: usize = 16;
