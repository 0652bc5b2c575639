//! `[[integration]]`: other systems that send users into rooms or use the API.

mod api_key;
mod signing;
mod uniqueness;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use self::{
    api_key::RawApiKey,
    signing::{Algorithm, RawSigning},
    uniqueness::UniquenessCheck,
};
use super::Reported;
use crate::{
    diagnostics::Section,
    problem::Fault,
    secret::{RawSecret, SecretReader},
    values::{DAY, DurationText, MINUTE, check_pattern, parse_https_origin, parse_name},
};
use model::{
    integration::{IntegrationSettings, ModeratorPolicy},
    policy::{Glob, TenantScope},
    token,
};

/// Another system (Odoo, Nextcloud, Moodle, …) that sends its users into rooms with its own tokens,
/// or uses the API. The gateway verifies its tokens and replaces them; the system does not get
/// Prosody's secret.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id", "rooms"]))]
pub(super) struct RawIntegration {
    /// The id in rules (`integration:ID`), logs and user ids: lower-case letters, digits and `-`.
    #[schemars(example = &"school")]
    id: Option<String>,
    /// The `iss` of its tokens, which other systems call the app id. Default: the `id`.
    #[schemars(example = &"moodle")]
    app_id: Option<String>,
    /// The secret that signs its tokens, shared with no other system. Preferably in `secret_file`.
    #[schemars(with = "Option<String>")]
    secret: Option<SecretString>,
    /// The file of the secret.
    #[schemars(example = "config/moodle.secret")]
    secret_file: Option<String>,
    /// The file of its public keys, a JSON Web Key Set, if it signs with a private key.
    #[schemars(example = "config/moodle.jwks.json")]
    jwks_file: Option<String>,
    /// The accepted signature algorithms. Default: HS256 with a secret, RS256 and ES256 with keys.
    #[schemars(example = ["HS256"])]
    algorithms: Option<Vec<Algorithm>>,
    /// The required audience (`aud`) of its tokens. By default the audience is not checked.
    #[schemars(example = &"jitsi")]
    audience: Option<String>,
    /// Patterns for the names of its rooms, matched without case.
    #[schemars(example = ["school-*"])]
    rooms: Vec<String>,
    /// Accept `*` as a pattern for its rooms. The integration can then admit users to every room.
    insecure_all_rooms: bool,
    /// A pattern for the tenants of its rooms; empty for rooms without a tenant. Default: rooms of
    /// any tenant and of none. For a room with a tenant, the token's `sub` has to be that tenant.
    #[schemars(example = &"acme")]
    tenant: Option<String>,
    /// Which of its users are moderators: `as-claimed` are those whose token claims it
    /// (`context.user.moderator`, or `affiliation` `owner`, `moderator` or `teacher`).
    moderators: RawModerators,
    /// The longest remaining lifetime of an accepted token.
    max_lifetime: DurationText,
    /// Whether e-mail addresses in its tokens are treated as verified, for rules on addresses and
    /// for the owners of meetings.
    emails_verified: bool,
    /// Origins of the sites that may embed its rooms.
    #[schemars(example = ["https://moodle.example.org"])]
    embed: Vec<String>,
    /// The API rate limit per key, in requests per minute.
    #[schemars(range(min = 1, max = 100_000))]
    api_requests_per_minute: u32,
    /// Its API keys. Each requires one of `key_file`, `key` and `sha256`.
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

/// Resolves all integrations. None may use the secret of `token`.
pub(super) fn resolve(
    raw: Vec<RawIntegration>,
    token: Option<&token::TokenSettings>,
    prosody_verifies_tenants: bool,
    secrets: SecretReader,
    root: &mut Section<'_>,
) -> Option<Vec<IntegrationSettings>> {
    let mut uniqueness = UniquenessCheck::new(token);
    root.resolve_list("integration", raw, |raw, section| {
        let settings = raw.resolve(prosody_verifies_tenants, secrets, section)?;
        uniqueness.check(&settings, section);
        Some(settings)
    })
}

// === impl RawIntegration ===

impl RawIntegration {
    fn resolve(
        self,
        prosody_verifies_tenants: bool,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<IntegrationSettings> {
        section.note_insecure("integration.insecure_all_rooms", self.insecure_all_rooms);
        let id = section.parse("id", self.id, parse_id);
        let app_id = match self.app_id {
            Some(text) => section.keep("app_id", parse_name(&text)),
            None => id.clone(),
        };
        let signing = RawSigning {
            secret: RawSecret {
                inline: self.secret,
                file: self.secret_file,
            },
            jwks_file: self.jwks_file,
            algorithms: self.algorithms,
        };
        let signs_tokens = !signing.is_absent();
        let signing = signs_tokens
            .then(|| signing.resolve(secrets, section).ok_or(Reported))
            .transpose();
        let audience = self
            .audience
            .map(|text| section.keep("audience", parse_name(&text)).ok_or(Reported))
            .transpose();
        let rooms = resolve_rooms(&self.rooms, self.insecure_all_rooms, section);
        let tenant = resolve_tenant(self.tenant.as_deref(), prosody_verifies_tenants, section);
        let max_lifetime = self
            .max_lifetime
            .within(MINUTE..=DAY, section, "max_lifetime");
        let embed = section.parse_list("embed", self.embed, parse_https_origin);
        if !(1..=100_000).contains(&self.api_requests_per_minute) {
            let remedy = "write a number from 1 to 100000";
            section.reject("api_requests_per_minute", "out of range", remedy);
        }
        let has_api_key = !self.api_key.is_empty();
        let api_keys = section.resolve_list("api_key", self.api_key, |key, section| {
            key.resolve(secrets, section)
        });
        if !signs_tokens && !has_api_key && !section.is_reported("") {
            let remedy = "add secret_file, jwks_file, or an [[integration.api_key]]";
            section.reject("", "can neither send users nor use the API", remedy);
        }
        Some(IntegrationSettings {
            id: id?,
            app_id: app_id?,
            signing: signing.ok()?,
            audience: audience.ok()?,
            rooms: rooms?,
            tenant: tenant?,
            moderators: self.moderators.into(),
            max_lifetime: max_lifetime?,
            emails_verified: self.emails_verified,
            embed: embed?,
            api_keys: api_keys?,
            api_requests_per_minute: self.api_requests_per_minute,
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

fn parse_id(text: &str) -> Result<String, Fault> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=32).contains(&text.len()) && text.chars().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        let remedy = "write up to 32 lower-case letters, digits and -";
        Err(Fault::new(format!("{text:?} is not an id"), remedy))
    }
}

fn resolve_rooms(
    patterns: &[String],
    allow_all: bool,
    section: &mut Section<'_>,
) -> Option<Vec<Glob>> {
    if patterns.is_empty() && !section.is_reported("rooms") {
        let remedy = "write for example rooms = [\"school-*\"]";
        section.reject("rooms", "no pattern, so that it has no rooms", remedy);
        return None;
    }
    section.parse_list("rooms", patterns, |text| {
        check_pattern(text)?;
        let matches_all = text.contains('*') && text.chars().all(|c| matches!(c, '*' | '?'));
        if matches_all && !allow_all {
            let remedy = "write a prefix that only its rooms have, or set insecure_all_rooms = \
                          true";
            return Err(Fault::new("matches every room", remedy));
        }
        Ok(Glob::folded(text))
    })
}

/// The tenants of a rule or an integration.
///
/// Prosody compares the tenant of a token with the room only if its domain verification is on; else a
/// token for room `x` of one tenant opens `x` of every tenant, whatever the other's rule says.
pub(super) fn resolve_tenant(
    text: Option<&str>,
    prosody_verifies_tenants: bool,
    section: &mut Section<'_>,
) -> Option<TenantScope> {
    if text.is_some() && !prosody_verifies_tenants {
        let what = "Prosody does not tell tenants apart unless its domain verification is on";
        let remedy = "set enable_domain_verification = true there \
            (docker: JWT_ENABLE_DOMAIN_VERIFICATION=true) and then domain_verification = true \
            in [token], or remove the key";
        section.reject("tenant", what, remedy);
        return None;
    }
    match text {
        None => Some(TenantScope::Any),
        Some("") => Some(TenantScope::None),
        Some(text) => {
            let tenant = check_pattern(text).map(|()| TenantScope::matching(text));
            section.keep("tenant", tenant)
        }
    }
}
