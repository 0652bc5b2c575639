//! The configuration of one integration.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use secrecy::SecretString;

use super::{ApiKey, NamedRooms, RoleClaim};
use crate::policy::{Glob, TenantScope};

/// One `[[integration]]` of the configuration.
#[derive(Clone, Debug)]
pub struct IntegrationSettings {
    /// The id in logs, subjects and rules.
    pub id: String,
    /// The `iss` of its tokens.
    pub app_id: String,
    /// The key of its tokens; `None` if it only uses the API.
    pub signing: Option<VerificationSettings>,
    /// The required `aud` of its tokens; `None` accepts any.
    pub audience: Option<String>,
    /// Its rooms, by their percent-decoded canonical name.
    pub rooms: Vec<Glob>,
    /// For an integration that also has the rooms that nothing names: those that something does.
    pub unnamed_rooms: Option<NamedRooms>,
    /// The tenants of its rooms.
    pub tenant: TenantScope,
    /// Its right to claim moderators.
    pub moderators: ModeratorPolicy,
    /// The claims by which its tokens name moderators.
    pub moderator_claims: Vec<RoleClaim>,
    /// Whether `context.user.id` is one person's for good.
    pub stable_user_ids: bool,
    /// The longest accepted time from now to `exp`.
    pub max_lifetime: Duration,
    /// Whether the e-mail addresses in its tokens count as verified.
    pub emails_verified: bool,
    /// The origins of pages that may frame its rooms.
    pub embed: Vec<String>,
    /// Its keys to the API.
    pub api_keys: Vec<ApiKey>,
    /// The rate limit of each key.
    pub api_requests_per_minute: u32,
}

// === impl IntegrationSettings ===

impl IntegrationSettings {
    /// Its rooms in words.
    pub(super) fn describe_rooms(&self) -> String {
        let patterns = self.rooms.iter().map(ToString::to_string);
        let unnamed = self.unnamed_rooms.is_some();
        let unnamed = unnamed.then(|| "a room that no rule or other integration names".to_owned());
        patterns.chain(unnamed).collect::<Vec<_>>().join(" or ")
    }
}

/// The key that verifies an integration's tokens.
#[derive(Clone, Debug)]
pub enum VerificationSettings {
    /// A secret shared with the integration.
    Secret {
        /// Of HS256, HS384, HS512.
        algorithms: Vec<Algorithm>,
        /// The shared secret.
        secret: SecretString,
    },
    /// The integration's public keys.
    Keys {
        /// RS…, PS…, ES… or `EdDSA`.
        algorithms: Vec<Algorithm>,
        /// A JSON Web Key Set (RFC 7517 § 5) as JSON.
        document: Vec<u8>,
    },
}

/// Which users of an integration are moderators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModeratorPolicy {
    /// Those whose token claims it.
    #[default]
    AsClaimed,
    /// All of its users.
    Always,
    /// None of its users.
    Never,
}
