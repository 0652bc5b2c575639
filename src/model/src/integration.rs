//! Integrations: other systems whose tokens admit their users to rooms.
//!
//! An integration signs with a key that only it and the gateway know; [`Integrations::verify`] turns
//! its token into an [`EmbeddedUser`]: one person in one room for a limited time. Prosody gets a
//! token that the gateway mints, so no other system has Prosody's secret.

mod api_key;
mod claims;
mod error;
mod named_rooms;
mod preset;
mod rate_limit;
mod refused_token;
mod role_claim;
mod settings;
mod verifier;

use std::{fmt, time::Duration};

pub use self::{
    api_key::{ApiKey, ApiKeyError, Bearer},
    error::EmbedError,
    named_rooms::NamedRooms,
    preset::{Preset, PresetAudience, PresetProfile, RoomNames},
    refused_token::{Evidence, RefusedToken},
    role_claim::RoleClaim,
    settings::{IntegrationSettings, ModeratorPolicy, VerificationSettings},
};
use self::{claims::Claims, rate_limit::RateLimit, verifier::Verifier};
use crate::{
    clock::Timestamp,
    identity::{Identity, Standing},
    jws::{self, KeySetError},
    room::RoomKey,
};

/// All integrations of the deployment.
#[derive(Debug, Default)]
pub struct Integrations(Vec<Integration>);

/// One integration with its keys and rate limits.
pub struct Integration {
    settings: IntegrationSettings,
    verifier: Option<Verifier>,
    limits: Vec<RateLimit>,
}

/// A user whose token an integration signed for one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedUser<'i> {
    /// The id of the integration.
    pub integration: &'i str,
    /// The user's attributes, with a subject that no member can have.
    pub identity: Identity,
    /// [`Standing::Embedded`].
    pub standing: Standing,
    /// The room of the token, equal to that of the page.
    pub room: RoomKey,
    /// When the integration issued the token.
    pub issued: Timestamp,
    /// Whether the token says who the user is. If not, each browser that presents
    /// it is another user, because some systems put one token into a link for many.
    pub identified: bool,
}

/// The sender of an API request with a valid key.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'i> {
    /// The owner of the key.
    pub integration: &'i Integration,
    /// The name of the key.
    pub key: &'i str,
    limit: &'i RateLimit,
}

// === impl Integrations ===

impl Integrations {
    /// Prepares the keys of integrations with distinct `app_id`s.
    ///
    /// # Errors
    ///
    /// [`KeySetError`], for an unusable key set.
    pub fn new(settings: Vec<IntegrationSettings>) -> Result<Self, KeySetError> {
        let integrations = settings.into_iter().map(Integration::new);
        integrations.collect::<Result<_, _>>().map(Self)
    }

    /// Verifies a token for the room of the page whose address contains it.
    ///
    /// # Errors
    ///
    /// [`RefusedToken`].
    pub fn verify(
        &self,
        token: &str,
        page: &RoomKey,
        now: Timestamp,
    ) -> Result<EmbeddedUser<'_>, RefusedToken> {
        self.verify_at(token, page, Some(now))
    }

    /// Verifies all but the validity period, for a user whom the token admitted earlier.
    ///
    /// # Errors
    ///
    /// [`RefusedToken`].
    pub fn verify_untimed(
        &self,
        token: &str,
        page: &RoomKey,
    ) -> Result<EmbeddedUser<'_>, RefusedToken> {
        self.verify_at(token, page, None)
    }

    fn verify_at(
        &self,
        token: &str,
        page: &RoomKey,
        now: Option<Timestamp>,
    ) -> Result<EmbeddedUser<'_>, RefusedToken> {
        let mut evidence = Evidence {
            room: page.to_string(),
            ..Evidence::default()
        };
        self.verify_with(token, page, now, &mut evidence)
            .map_err(|error| RefusedToken {
                error,
                evidence: Some(Box::new(evidence)),
            })
    }

    fn verify_with(
        &self,
        token: &str,
        page: &RoomKey,
        now: Option<Timestamp>,
        evidence: &mut Evidence,
    ) -> Result<EmbeddedUser<'_>, EmbedError> {
        // Before anything is decoded, because anyone can send a token in an address.
        if token.len() > MAX_TOKEN_BYTES {
            return Err(EmbedError::TooLong);
        }
        let issuer = jws::claimed_issuer(token)?;
        let named = issuer.as_deref().unwrap_or_default();
        let mut issuers = self.0.iter();
        let Some(integration) =
            issuers.find(|one| issuer.is_some() && one.settings.app_id == named)
        else {
            let known = self.0.iter().map(|one| one.settings.app_id.as_str());
            evidence.set("iss", named, known.collect::<Vec<_>>().join(" or "));
            return Err(EmbedError::UnknownIssuer);
        };
        evidence.integration = Some(integration.id().to_owned());
        integration.verify(token, page, now, evidence)
    }

    /// Whether an integration still issues tokens for the room. Passes outlive tokens, and a reload
    /// may remove the integration or its room patterns.
    pub fn covers(&self, id: &str, room: &RoomKey) -> bool {
        let mut all = self.0.iter();
        all.any(|one| one.id() == id && one.verifier.is_some() && one.has_room(room))
    }

    /// Finds the owner of an API key.
    pub fn caller(&self, bearer: &Bearer) -> Option<Caller<'_>> {
        let mut caller = None;
        // No early return: the duration must not depend on which key is equal.
        for integration in &self.0 {
            let keys = integration.settings.api_keys.iter();
            for (key, limit) in keys.zip(&integration.limits) {
                if key.matches(bearer) {
                    caller = Some(Caller {
                        integration,
                        key: key.id(),
                        limit,
                    });
                }
            }
        }
        caller
    }

    /// Iterates over the integrations in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Integration> {
        self.0.iter()
    }

    /// Whether no integration is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any integration has an API key.
    pub fn has_api(&self) -> bool {
        let mut all = self.0.iter();
        all.any(|integration| !integration.settings.api_keys.is_empty())
    }

    /// The origins of pages that may frame the room, or any room if there is none.
    pub fn embed_origins<'s>(&'s self, room: Option<&'s RoomKey>) -> impl Iterator<Item = &'s str> {
        self.0
            .iter()
            .filter(move |integration| room.is_none_or(|room| integration.has_room(room)))
            .flat_map(|integration| &integration.settings.embed)
            .map(String::as_str)
    }
}

// === impl Integration ===

impl Integration {
    fn new(settings: IntegrationSettings) -> Result<Self, KeySetError> {
        let verifier = settings.signing.as_ref().map(Verifier::new).transpose()?;
        let limit = |_| RateLimit::per_minute(settings.api_requests_per_minute);
        Ok(Self {
            limits: settings.api_keys.iter().map(limit).collect(),
            verifier,
            settings,
        })
    }

    /// The id in the configuration.
    pub fn id(&self) -> &str {
        &self.settings.id
    }

    /// Whether the room matches the integration's patterns and tenants, or is one that nothing
    /// names.
    pub fn has_room(&self, room: &RoomKey) -> bool {
        let name = room.readable();
        let (settings, mut patterns) = (&self.settings, self.settings.rooms.iter());
        settings.tenant.includes(room)
            && (patterns.any(|pattern| pattern.matches(&name))
                || settings
                    .unnamed_rooms
                    .as_ref()
                    .is_some_and(|named| !named.contains(room)))
    }

    /// The patterns of its rooms, for error messages to the operator of the other system.
    pub fn describe_rooms(&self) -> String {
        self.settings.describe_rooms()
    }

    /// The literal prefixes of patterns that end in their only `*`, for names of new rooms.
    pub fn room_prefixes(&self) -> impl Iterator<Item = String> {
        self.settings.rooms.iter().filter_map(|pattern| {
            let pattern = pattern.to_string();
            let beginning = pattern.strip_suffix('*')?;
            (!beginning.contains(['*', '?'])).then(|| beginning.to_owned())
        })
    }

    fn verify(
        &self,
        token: &str,
        page: &RoomKey,
        now: Option<Timestamp>,
        evidence: &mut Evidence,
    ) -> Result<EmbeddedUser<'_>, EmbedError> {
        let verifier = self.verifier.as_ref().ok_or(EmbedError::UnknownIssuer)?;
        let claims = verifier.open(token)?;
        let checked = self.check(&claims, page, now);
        let person = checked.and_then(|room| {
            let issued = claims.issued(self.settings.max_lifetime);
            Ok((room, issued, claims.person(&self.settings, token)?))
        });
        let (room, issued, person) =
            person.inspect_err(|error| claims.explain(*error, &self.settings, now, evidence))?;
        Ok(EmbeddedUser {
            integration: &self.settings.id,
            identity: person.identity,
            standing: person.standing,
            room,
            issued,
            identified: person.identified,
        })
    }

    /// The room of a token whose signature is valid.
    fn check(
        &self,
        claims: &Claims,
        page: &RoomKey,
        now: Option<Timestamp>,
    ) -> Result<RoomKey, EmbedError> {
        claims.check_audience(self.settings.audience.as_deref())?;
        if let Some(now) = now {
            claims.check_time(now, self.settings.max_lifetime)?;
        }
        let room = claims.room(page, &self.settings.tenant)?;
        if self.has_room(&room) {
            Ok(room)
        } else {
            Err(EmbedError::ForeignRoom)
        }
    }
}

impl fmt::Debug for Integration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Integration")
            .field(&self.settings.id)
            .finish()
    }
}

// === impl Caller ===

impl Caller<'_> {
    /// Takes one request from the key's rate limit.
    ///
    /// # Errors
    ///
    /// The time until the next request is allowed.
    pub fn take(&self, now: Timestamp) -> Result<(), Duration> {
        self.limit.take(now)
    }
}

/// Jitsi's own servers accept no longer request heads, and the token is part of an address.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests;
