//! Integrations: other systems that send their people into rooms with tokens of their own.
//!
//! Such a system signs with a key that only it and the gateway know of; [`Integrations::verify`]
//! turns its token into [`EmbeddedUser`]: one person in one room for a limited time. What Prosody gets is
//! minted anew from that, so Prosody's own secret is in no other system.

mod api_key;
mod claims;
mod error;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret, SecretString};

use self::claims::Claims;
pub use self::{
    api_key::{ApiKey, ApiKeyError, Bearer},
    error::EmbedError,
};
use crate::{
    clock::Timestamp,
    identity::{Identity, Standing},
    jws::{self, Jws, KeySet, KeySetError},
    policy::{Glob, TenantScope},
    room::RoomKey,
};

/// One `[[integration]]` of the configuration.
#[derive(Clone, Debug)]
pub struct IntegrationSettings {
    /// Its name, in logs, subjects and rules.
    pub id: String,
    /// The `iss` of its tokens.
    pub app_id: String,
    /// What its tokens are signed with; `None` if it only uses the API.
    pub signing: Option<VerificationSettings>,
    /// What `aud` has to name, if anything.
    pub audience: Option<String>,
    /// Its rooms, by their readable canonical name.
    pub rooms: Vec<Glob>,
    /// The tenants of its rooms.
    pub tenant: TenantScope,
    /// Whom it may call a moderator.
    pub moderators: ModeratorPolicy,
    /// The longest time from now to `exp`.
    pub max_lifetime: Duration,
    /// Whether the e-mail addresses in its tokens count as verified.
    pub emails_verified: bool,
    /// Origins of the pages that may frame its rooms.
    pub embed: Vec<String>,
    /// Keys to the API.
    pub api_keys: Vec<ApiKey>,
    /// How many requests a minute each key may make.
    pub api_requests_per_minute: u32,
}

/// What the tokens of an integration are signed with.
#[derive(Clone, Debug)]
pub enum VerificationSettings {
    /// A secret shared with it.
    Secret {
        /// Of HS256, HS384, HS512.
        algorithms: Vec<Algorithm>,
        /// The shared secret.
        secret: SecretString,
    },
    /// Its private key, whose public half we have.
    Keys {
        /// RS…, PS…, ES… or `EdDSA`.
        algorithms: Vec<Algorithm>,
        /// A JSON Web Key Set.
        document: Vec<u8>,
    },
}

/// Whom an integration may call a moderator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModeratorPolicy {
    /// Whom the token calls one.
    #[default]
    AsClaimed,
    /// Everybody whom it vouches for.
    Always,
    /// Nobody.
    Never,
}

/// All integrations.
#[derive(Debug, Default)]
pub struct Integrations(Vec<Integration>);

/// One other system, and what it may do.
pub struct Integration {
    settings: IntegrationSettings,
    verifier: Option<Verifier>,
    rates: Vec<api_key::Rate>,
}

/// What a good token says: who may be in which room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedUser<'i> {
    /// The name of the integration.
    pub integration: &'i str,
    /// The person, by a subject that no member can have.
    pub identity: Identity,
    /// [`Standing::Embedded`].
    pub standing: Standing,
    /// The room, which is the one that was asked for.
    pub room: RoomKey,
}

/// A request to the API with a good key.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'i> {
    /// Whose key it is.
    pub integration: &'i Integration,
    /// The name of the key.
    pub key: &'i str,
    rate: &'i api_key::Rate,
}

enum Verifier {
    Secret(Vec<Algorithm>, DecodingKey),
    Keys(Vec<Algorithm>, KeySet),
}

// === impl Integrations ===

impl Integrations {
    /// Prepares the keys of integrations whose `app_id`s differ.
    pub fn new(settings: Vec<IntegrationSettings>) -> Result<Self, KeySetError> {
        let integrations = settings.into_iter().map(Integration::new);
        integrations.collect::<Result<_, _>>().map(Self)
    }

    /// Whom the token vouches for in the room of the page that came with it.
    pub fn verify(
        &self,
        token: &str,
        page: &RoomKey,
        now: Timestamp,
    ) -> Result<EmbeddedUser<'_>, EmbedError> {
        self.verify_at(token, page, Some(now))
    }

    /// The same for somebody who came in by the token in its time, and shows it again.
    pub fn verify_untimed(
        &self,
        token: &str,
        page: &RoomKey,
    ) -> Result<EmbeddedUser<'_>, EmbedError> {
        self.verify_at(token, page, None)
    }

    fn verify_at(
        &self,
        token: &str,
        page: &RoomKey,
        now: Option<Timestamp>,
    ) -> Result<EmbeddedUser<'_>, EmbedError> {
        // Before anything is decoded: it came in an address.
        if token.len() > MAX_TOKEN_BYTES {
            return Err(EmbedError::TooLong);
        }
        let issuer = jws::claimed_issuer(token)?.ok_or(EmbedError::UnknownIssuer)?;
        let mut issuers = self.0.iter();
        let integration = issuers
            .find(|integration| integration.settings.app_id == issuer)
            .ok_or(EmbedError::UnknownIssuer)?;
        integration.verify(token, page, now)
    }

    /// Whether an integration may still vouch for people in a room: passes outlive tokens, and the
    /// configuration may change meanwhile.
    pub fn may_vouch(&self, id: &str, room: &RoomKey) -> bool {
        let mut all = self.0.iter();
        all.any(|one| one.id() == id && one.verifier.is_some() && one.has_room(room))
    }

    /// Whose key to the API this is.
    pub fn caller(&self, bearer: &Bearer) -> Option<Caller<'_>> {
        let mut caller = None;
        // All are compared, so that the time tells nothing of which fits.
        for integration in &self.0 {
            let keys = integration.settings.api_keys.iter();
            for (key, rate) in keys.zip(&integration.rates) {
                if key.is(bearer) {
                    caller = Some(Caller {
                        integration,
                        key: key.id(),
                        rate,
                    });
                }
            }
        }
        caller
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Integration> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anybody has a key to the API.
    pub fn has_api(&self) -> bool {
        let mut all = self.0.iter();
        all.any(|integration| !integration.settings.api_keys.is_empty())
    }

    /// Origins of the pages that may frame this room, or any room at all if none is named.
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
        let rate = |_| api_key::Rate::per_minute(settings.api_requests_per_minute);
        Ok(Self {
            rates: settings.api_keys.iter().map(rate).collect(),
            verifier,
            settings,
        })
    }

    /// Its name in the configuration.
    pub fn id(&self) -> &str {
        &self.settings.id
    }

    /// Whether the room is one of its own.
    pub fn has_room(&self, room: &RoomKey) -> bool {
        let name = room.readable();
        self.settings.tenant.includes(room)
            && self.settings.rooms.iter().any(|own| own.matches(&name))
    }

    /// What the names of its rooms begin with, where anything may follow.
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
    ) -> Result<EmbeddedUser<'_>, EmbedError> {
        let verifier = self.verifier.as_ref().ok_or(EmbedError::UnknownIssuer)?;
        let claims = verifier.open(token)?;
        claims.addressed_to(self.settings.audience.as_deref())?;
        if let Some(now) = now {
            claims.live_at(now, self.settings.max_lifetime)?;
        }
        let room = claims.room(page)?;
        if !self.has_room(&room) {
            return Err(EmbedError::ForeignRoom);
        }
        let (identity, standing) = claims.person(&self.settings, token)?;
        Ok(EmbeddedUser {
            integration: &self.settings.id,
            identity,
            standing,
            room,
        })
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
    /// Takes one request out of what the key may make; else how long to wait for the next.
    pub fn take(&self, now: Timestamp) -> Result<(), Duration> {
        self.rate.take(now)
    }
}

// === impl Verifier ===

impl Verifier {
    fn new(settings: &VerificationSettings) -> Result<Self, KeySetError> {
        Ok(match settings {
            VerificationSettings::Secret { algorithms, secret } => {
                let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
                Self::Secret(algorithms.clone(), key)
            }
            VerificationSettings::Keys {
                algorithms,
                document,
            } => Self::Keys(algorithms.clone(), KeySet::parse(document)?),
        })
    }

    fn open(&self, token: &str) -> Result<Claims, EmbedError> {
        let (jws, claims) = match self {
            Self::Secret(algorithms, key) => {
                let jws = Jws::parse_shared(token, algorithms)?;
                let claims = jws.verified_by(key)?;
                (jws, claims)
            }
            Self::Keys(algorithms, keys) => {
                let jws = Jws::parse(token, algorithms)?;
                let claims = keys.open(&jws)?;
                (jws, claims)
            }
        };
        // One key may sign for other purposes, too, and says so (RFC 8725 § 3.11).
        match jws.typ() {
            Some(typ) if !typ.eq_ignore_ascii_case("JWT") => Err(EmbedError::Kind),
            _ => Ok(claims),
        }
    }
}

/// It travels in an address, and Jitsi's own servers take no longer ones.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
