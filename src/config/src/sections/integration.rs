//! `[[integration]]`: other systems that send users into rooms or use the API.

mod api_key;
mod preset;
mod rooms;
mod signing;
mod uniqueness;

use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

pub(super) use self::rooms::exclude_named_rooms;
use self::{
    api_key::RawApiKey,
    preset::{RawPreset, RawRoleClaim},
    rooms::RoomKeys,
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
    integration::{
        IntegrationSettings, ModeratorPolicy, NamedRooms, Preset, PresetAudience, RoleClaim,
    },
    policy::TenantScope,
    token,
};

/// Another system (Odoo, Nextcloud, Moodle, …) that sends its users into rooms with its own tokens,
/// or uses the API. The gateway verifies its tokens and replaces them; the system does not get
/// Prosody's secret.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawIntegration {
    /// The system, if its tokens are known: `odoo-o-meet`, `nextcloud`, `moodle`, `mattermost`,
    /// `rocketchat`, `zulip` or `workadventure`. Sets `id`, `rooms`, `max_lifetime`, `audience` and
    /// `moderator_claims`, which override it. [Pages on the systems](integrations/README.md).
    preset: Option<RawPreset>,
    /// The id in rules (`integration:ID`), logs and user ids: lower-case letters, digits and `-`.
    /// Default: the preset.
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
    /// The required audience (`aud`) of its tokens. Default: the preset's; without one the audience
    /// is not checked.
    #[schemars(example = &"jitsi")]
    audience: Option<String>,
    /// Patterns for the names of its rooms, matched without case. `*` requires a `tenant`. Default:
    /// the preset's.
    #[schemars(example = ["school-*"])]
    rooms: Option<Vec<String>>,
    /// Whether it also has the rooms that nothing else names: those that only a rule with
    /// `match = "*"` or a rule with `integration:ID` of this integration matches, and no pattern of
    /// another integration. For systems whose people choose the names. Default: what the preset
    /// needs, else `false`.
    unnamed_rooms: Option<bool>,
    /// Accept `*` as a pattern for its rooms. The integration can then admit users to every room.
    insecure_all_rooms: bool,
    /// A pattern for the tenants of its rooms; empty for rooms without a tenant. Default: rooms of
    /// any tenant and of none. For a room with a tenant, the token's `sub` has to be that tenant,
    /// unless this key is one tenant without `*` and `?`.
    #[schemars(example = &"acme")]
    tenant: Option<String>,
    /// Which of its users are moderators: `as-claimed` are those whose token claims it by one of
    /// `moderator_claims`.
    moderators: RawModerators,
    /// The claims by which its tokens name moderators: `context.user.moderator` and `moderator` are
    /// `true` or `"true"`, `context.user.affiliation` is `owner`, `moderator` or `teacher`.
    /// Default: all three, or the preset's.
    #[schemars(example = ["context.user.affiliation"])]
    moderator_claims: Option<Vec<RawRoleClaim>>,
    /// The longest remaining lifetime of an accepted token. Default: the preset's, else `1h`.
    #[schemars(with = "Option<DurationText>", example = "2h")]
    max_lifetime: Option<DurationText>,
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
        let preset = self.preset.map(Preset::from);
        let profile = preset.map(Preset::profile);
        let id = self
            .id
            .or_else(|| preset.map(|preset| preset.as_str().to_owned()));
        if id.is_none() && !section.is_reported("id") {
            section.reject("id", "missing", "add for example id = \"school\"");
        }
        let id = id.and_then(|text| section.keep("id", parse_id(&text)));
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
        let audience = match self.audience {
            Some(text) => section
                .keep("audience", parse_name(&text))
                .map(Some)
                .ok_or(Reported),
            None => Ok(match profile.map(|profile| profile.audience) {
                Some(PresetAudience::Fixed(audience)) => Some(audience.to_owned()),
                Some(PresetAudience::AppId) => app_id.clone(),
                Some(PresetAudience::Any) | None => None,
            }),
        };
        let tenant = resolve_tenant(self.tenant.as_deref(), prosody_verifies_tenants, section);
        let rooms = RoomKeys {
            rooms: self.rooms.as_deref(),
            unnamed_rooms: self.unnamed_rooms,
            preset: profile.as_ref(),
            allow_all: self.insecure_all_rooms,
            in_own_tenant: matches!(
                &tenant,
                Some(TenantScope::Matching(tenant)) if !tenant.matches_everything()
            ),
        };
        let rooms = rooms.resolve(section);
        let max_lifetime = match (self.max_lifetime, profile) {
            (Some(written), _) => written.within(MINUTE..=DAY, section, "max_lifetime"),
            (None, Some(profile)) => Some(profile.lifetime),
            (None, None) => Some(DEFAULT_LIFETIME),
        };
        let moderator_claims = match (self.moderator_claims, profile) {
            (Some(written), _) => written.into_iter().map(RoleClaim::from).collect(),
            (None, Some(profile)) => profile.moderator_claims.to_vec(),
            (None, None) => RoleClaim::ALL.to_vec(),
        };
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
        let rooms = rooms?;
        Some(IntegrationSettings {
            id: id?,
            app_id: app_id?,
            signing: signing.ok()?,
            audience: audience.ok()?,
            unnamed_rooms: rooms.unnamed.then(NamedRooms::default),
            rooms: rooms.patterns,
            tenant: tenant?,
            moderators: self.moderators.into(),
            moderator_claims,
            stable_user_ids: profile.is_none_or(|profile| profile.stable_user_ids),
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
            preset: None,
            id: None,
            app_id: None,
            secret: None,
            secret_file: None,
            jwks_file: None,
            algorithms: None,
            audience: None,
            rooms: None,
            unnamed_rooms: None,
            insecure_all_rooms: false,
            tenant: None,
            moderators: RawModerators::AsClaimed,
            moderator_claims: None,
            max_lifetime: None,
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

/// Longer than a meeting's link needs to be found, and short for a link that is passed on.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(1);
