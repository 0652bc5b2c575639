//! `[[integration]]`: other systems that send people, or use the API.

mod api_key;
mod signing;
mod unique;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use self::{
    api_key::RawApiKey,
    signing::{Algorithm, RawSigning},
    unique::Unique,
};
use super::room::pattern;
use crate::{
    problem::{Fault, Section},
    secret::{RawSecret, SecretReader},
    values::{DurationText, name, plain_url, seconds},
};
use model::{
    integration::{ApiKey, IntegrationSettings, ModeratorPolicy},
    policy::{Glob, TenantScope},
    token,
};

/// Another system (Odoo, Nextcloud, Moodle, …) that sends its people into rooms with tokens of its
/// own, or uses the API. Its tokens are verified and replaced; Prosody's secret stays here.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id", "rooms"]))]
pub(super) struct RawIntegration {
    /// Its name here, in rules (`integration:ID`), logs and people's ids: lower-case letters,
    /// digits and `-`.
    #[schemars(example = &"school")]
    id: Option<String>,
    /// The `iss` of its tokens, which it calls its app id; unless set, its `id`.
    #[schemars(example = &"moodle")]
    app_id: Option<String>,
    /// The secret that it signs with, shared with nobody else. Better kept in `secret_file`.
    #[schemars(with = "Option<String>")]
    secret: Option<SecretString>,
    /// The file of that secret.
    #[schemars(example = "config/moodle.secret")]
    secret_file: Option<String>,
    /// The file of its public keys, a JSON Web Key Set, if it signs with a private key.
    #[schemars(example = "config/moodle.jwks.json")]
    jwks_file: Option<String>,
    /// What it signs with; unless set, HS256 with a secret, RS256 and ES256 with keys.
    #[schemars(example = ["HS256"])]
    algorithms: Option<Vec<Algorithm>>,
    /// What the `aud` of its tokens has to name; unless set, it is not looked at.
    #[schemars(example = &"jitsi")]
    audience: Option<String>,
    /// Patterns for the names of its rooms, compared without case.
    #[schemars(example = ["school-*"])]
    rooms: Vec<String>,
    /// Take `*` as a pattern for its rooms: it then speaks for every room there is.
    insecure_all_rooms: bool,
    /// A pattern for the tenants of its rooms; empty for rooms without a tenant. Unless written,
    /// any and none. The `sub` of a token for a room with a tenant has to name that tenant.
    #[schemars(example = &"acme")]
    tenant: Option<String>,
    /// Whom it may make a moderator: `as-claimed` is whom its token calls one
    /// (`context.user.moderator`, or `affiliation` `owner`, `moderator` or `teacher`).
    moderators: RawModerators,
    /// The longest time that a token may still be valid for.
    max_lifetime: DurationText,
    /// Whether e-mail addresses in its tokens count as verified, for rules on addresses and for
    /// the owners of meetings.
    emails_verified: bool,
    /// Origins of the pages that may show its rooms in a frame.
    #[schemars(example = ["https://moodle.example.org"])]
    embed: Vec<String>,
    /// How many requests to the API each of its keys may make in a minute.
    #[schemars(range(min = 1, max = 100_000))]
    api_requests_per_minute: u32,
    /// Its keys to the API. Each needs one of `key_file`, `key` and `sha256`.
    api_key: Vec<RawApiKey>,
}

#[derive(Clone, Copy, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum RawModerators {
    AsClaimed,
    Always,
    Never,
}

/// Reads all integrations; `token` is ours, whose secret must be nobody else's.
pub(super) fn resolve(
    raw: Vec<RawIntegration>,
    token: Option<&token::TokenSettings>,
    secrets: SecretReader,
    root: &mut Section<'_>,
) -> Option<Vec<IntegrationSettings>> {
    let all: Vec<Option<IntegrationSettings>> = (1..)
        .zip(raw)
        .map(|(position, raw)| raw.resolve(secrets, &mut root.entry("integration", position)))
        .collect();
    let mut unique = Unique::beside(token);
    for (position, settings) in (1..).zip(&all) {
        if let Some(settings) = settings {
            unique.compare(settings, &mut root.entry("integration", position));
        }
    }
    all.into_iter().collect()
}

// === impl RawIntegration ===

impl RawIntegration {
    fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<IntegrationSettings> {
        section.weaken("integration.insecure_all_rooms", self.insecure_all_rooms);
        let id = self.id.and_then(|text| section.keep("id", id(text)));
        let app_id = match self.app_id {
            Some(text) => section.keep("app_id", name(&text)),
            None => id.clone(),
        };
        let raw = RawSigning {
            secret: RawSecret {
                inline: self.secret,
                file: self.secret_file,
            },
            jwks_file: self.jwks_file,
            algorithms: self.algorithms,
        };
        let signs = !raw.is_absent();
        let signing = signs.then(|| raw.resolve(secrets, section));
        let audience = match self.audience {
            Some(text) => section.keep("audience", name(&text)).map(Some),
            None => Some(None),
        };
        let rooms = rooms(&self.rooms, self.insecure_all_rooms, section);
        let tenant = tenant(self.tenant.as_deref(), section);
        let max_lifetime =
            self.max_lifetime
                .within(seconds(60)..=seconds(24 * 3600), section, "max_lifetime");
        let embed = each(self.embed, "embed", section, |text| origin(&text));
        let per_minute = self.api_requests_per_minute;
        if !(1..=100_000).contains(&per_minute) {
            let remedy = "write a number from 1 to 100000";
            section.reject("api_requests_per_minute", "out of bounds", remedy);
        }
        let api_keys: Vec<Option<ApiKey>> = (1..)
            .zip(self.api_key)
            .map(|(position, key)| key.resolve(secrets, &mut section.entry("api_key", position)))
            .collect();
        if !signs && api_keys.is_empty() && !section.is_settled("") {
            let remedy = "add secret_file, jwks_file, or an [[integration.api_key]]";
            section.reject("", "can neither send people nor use the API", remedy);
        }
        Some(IntegrationSettings {
            id: id?,
            app_id: app_id?,
            signing: match signing {
                Some(signing) => Some(signing?),
                None => None,
            },
            audience: audience?,
            rooms: rooms?,
            tenant: tenant?,
            moderators: self.moderators.into(),
            max_lifetime: max_lifetime?,
            emails_verified: self.emails_verified,
            embed: embed?,
            api_keys: api_keys.into_iter().collect::<Option<_>>()?,
            api_requests_per_minute: per_minute,
        })
    }
}

impl Default for RawIntegration {
    fn default() -> Self {
        Self {
            id: None,
            app_id: None,
            secret: None,
            secret_file: None,
            jwks_file: None,
            algorithms: None,
            audience: None,
            rooms: Vec::new(),
            insecure_all_rooms: false,
            tenant: None,
            moderators: RawModerators::AsClaimed,
            max_lifetime: "1h".into(),
            emails_verified: false,
            embed: Vec::new(),
            api_requests_per_minute: 300,
            api_key: Vec::new(),
        }
    }
}

// === impl RawModerators ===

impl From<RawModerators> for ModeratorPolicy {
    fn from(raw: RawModerators) -> Self {
        match raw {
            RawModerators::AsClaimed => Self::AsClaimed,
            RawModerators::Always => Self::Always,
            RawModerators::Never => Self::Never,
        }
    }
}

fn id(text: String) -> Result<String, Fault> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=32).contains(&text.len()) && text.chars().all(plain) {
        Ok(text)
    } else {
        let remedy = "write up to 32 lower-case letters, digits and -";
        Err(Fault::new(format!("{text:?} is not an id"), remedy))
    }
}

fn rooms(texts: &[String], all: bool, section: &mut Section<'_>) -> Option<Vec<Glob>> {
    if texts.is_empty() && !section.is_settled("rooms") {
        let remedy = "write for example rooms = [\"school-*\"]";
        section.reject("rooms", "no pattern, so no room would be its own", remedy);
        return None;
    }
    each(texts.to_vec(), "rooms", section, |text| {
        pattern(&text)?;
        if !all && text.chars().all(|c| matches!(c, '*' | '?')) && text.contains('*') {
            let remedy = "write a beginning that only its rooms have, or set \
                          insecure_all_rooms = true";
            return Err(Fault::new("every room would be its own", remedy));
        }
        Ok(Glob::folded(&text))
    })
}

fn tenant(text: Option<&str>, section: &mut Section<'_>) -> Option<TenantScope> {
    match text {
        None => Some(TenantScope::Any),
        Some("") => Some(TenantScope::None),
        Some(text) => {
            let tenant = pattern(text).map(|()| TenantScope::matching(text));
            section.keep("tenant", tenant)
        }
    }
}

/// Reads every entry of a list, so that every mistake is found.
fn each<T>(
    texts: Vec<String>,
    key: &str,
    section: &mut Section<'_>,
    read: impl Fn(String) -> Result<T, Fault>,
) -> Option<Vec<T>> {
    let all: Vec<Option<T>> = (1..)
        .zip(texts)
        .map(|(position, text)| section.entry(key, position).keep("", read(text)))
        .collect();
    all.into_iter().collect()
}

/// An origin as a frame's `Content-Security-Policy` wants it.
pub(super) fn origin(text: &str) -> Result<String, Fault> {
    let form = "write it as https://moodle.example.org";
    let url: Url = plain_url(text, form)?;
    if url.scheme() != "https" {
        return Err(Fault::new("not an https address", form));
    }
    let plain = |host: &str| {
        host.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']'))
    };
    if !url.host_str().is_some_and(plain) {
        return Err(Fault::new("has no usable host", form));
    }
    if url.path() != "/" || url.query().is_some() {
        return Err(Fault::new("has more than a host and a port", form));
    }
    Ok(url.origin().ascii_serialization())
}
