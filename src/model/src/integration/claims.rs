//! The claims of an integration's token, in the form of Jitsi's tokens (lib-jitsi-meet
//! `doc/tokens.md`), and their checks.

mod context;
mod explanation;

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use super::{EmbedError, IntegrationSettings, ModeratorPolicy, RoleClaim};
use crate::{
    clock::Timestamp,
    digest::sha256,
    identity::{
        Embedded, INTEGRATION_PREFIX, Identity, Standing, is_email, is_plain, parse_picture_url,
        sanitize_display_name,
    },
    jws::{TokenError, numeric_date},
    policy::TenantScope,
    room::{RoomKey, Tenant},
};

/// The claims that the gateway reads. Named fields make a duplicate claim an error; values of any
/// type leave the error message to the check of each claim. `null` counts as absent.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    aud: Value,
    exp: Value,
    nbf: Value,
    iat: Value,
    sub: Value,
    room: Value,
    moderator: Value,
    #[serde(deserialize_with = "context::object_or_text")]
    context: Option<Context>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Context {
    user: Option<User>,
    room: Option<RoomOptions>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    id: Value,
    name: Value,
    email: Value,
    avatar: Value,
    #[serde(rename = "avatarUrl")]
    avatar_url: Value,
    moderator: Value,
    affiliation: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RoomOptions {
    regex: Value,
}

/// The user of a token.
pub(super) struct Person {
    pub(super) identity: Identity,
    pub(super) standing: Standing,
    /// Whether the token says who the user is; else it may be of several people.
    pub(super) identified: bool,
}

// === impl Claims ===

impl Claims {
    /// Checks that `aud` contains the configured audience.
    pub(super) fn check_audience(&self, audience: Option<&str>) -> Result<(), EmbedError> {
        let Some(audience) = audience else {
            return Ok(());
        };
        let named = match &self.aud {
            Value::String(one) => one == audience,
            Value::Array(several) => several.iter().any(|one| one == audience),
            _ => false,
        };
        named.then_some(()).ok_or(TokenError::Audience.into())
    }

    /// Checks the validity period, and that it ends within `at_most`.
    pub(super) fn check_time(&self, now: Timestamp, at_most: Duration) -> Result<(), EmbedError> {
        let expires = numeric_date(&self.exp).ok_or(TokenError::NoExpiry)?;
        if expires <= now {
            return Err(TokenError::Expired.into());
        }
        if expires.since(now) > at_most + LEEWAY {
            return Err(EmbedError::LongLived);
        }
        let began = |claim: &Value| {
            claim.is_null() || numeric_date(claim).is_some_and(|time| time <= now.after(LEEWAY))
        };
        if !began(&self.nbf) {
            return Err(TokenError::NotYetValid.into());
        }
        if !began(&self.iat) {
            return Err(TokenError::IssuedInFuture.into());
        }
        Ok(())
    }

    /// The time of issue. A token that does not say it was issued as early as its expiry allows.
    pub(super) fn issued(&self, longest: Duration) -> Timestamp {
        let earliest = || numeric_date(&self.exp).map(|expires| expires.before(longest));
        numeric_date(&self.iat)
            .or_else(earliest)
            .unwrap_or(Timestamp::from_unix(0))
    }

    /// The one room of the token, which must be that of the page.
    pub(super) fn room(&self, page: &RoomKey, scope: &TenantScope) -> Result<RoomKey, EmbedError> {
        let name = match &self.room {
            Value::String(name) if !name.is_empty() => name,
            _ => return Err(EmbedError::NoRoom),
        };
        let options = self.context.as_ref().and_then(|all| all.room.as_ref());
        let is_pattern =
            options.is_some_and(|room| !matches!(&room.regex, Value::Null | Value::Bool(false)));
        if is_pattern || name.contains('*') {
            return Err(EmbedError::Pattern);
        }
        // `room` has no tenant. If the address has one, `sub` must name it, unless the integration has
        // this tenant alone: systems write the host there, whatever the path of the server.
        if let Some(tenant) = page.tenant().filter(|_| !scope.is_single()) {
            let named = self.sub.as_str().and_then(|sub| Tenant::parse(sub).ok());
            if named.as_ref() != Some(tenant) {
                return Err(EmbedError::OtherTenant);
            }
        }
        if page.is_named_by(name).map_err(EmbedError::Room)? {
            Ok(page.clone())
        } else {
            Err(EmbedError::OtherRoom)
        }
    }

    /// The user's identity, and the role that the integration claims.
    pub(super) fn person(
        &self,
        integration: &IntegrationSettings,
        token: &str,
    ) -> Result<Person, EmbedError> {
        let claims_role = |claim: &RoleClaim| self.names_moderator(*claim);
        let claimed = integration.moderator_claims.iter().any(claims_role);
        let nobody = User::default();
        let user = self.context.as_ref().and_then(|all| all.user.as_ref());
        let user = user.unwrap_or(&nobody);
        let host = match integration.moderators {
            ModeratorPolicy::AsClaimed => claimed,
            ModeratorPolicy::Always => true,
            ModeratorPolicy::Never => false,
        };
        let email = user.email.as_str().filter(|text| is_email(text));
        let avatar = [&user.avatar, &user.avatar_url];
        let mut avatar = avatar
            .into_iter()
            .filter_map(|value| parse_picture_url(value.as_str()?));
        let (id, identified) = user.unique_id(token, integration.stable_user_ids)?;
        let identity = Identity {
            subject: format!("{INTEGRATION_PREFIX}{}:{id}", integration.id),
            name: user.name.as_str().and_then(sanitize_display_name),
            email_verified: email.is_some() && integration.emails_verified,
            email: email.map(str::to_owned),
            // The page is served over HTTPS, so browsers block pictures over HTTP.
            avatar: avatar.find(|address| address.starts_with("https:")),
            ..Identity::default()
        };
        let standing = Standing::Embedded(Embedded {
            integration: integration.id.clone(),
            host,
        });
        Ok(Person {
            identity,
            standing,
            identified,
        })
    }

    /// Whether a claim makes the user a moderator, by the rules of Prosody's modules
    /// (jitsi-contrib/prosody-plugins).
    fn names_moderator(&self, claim: RoleClaim) -> bool {
        let user = self.context.as_ref().and_then(|all| all.user.as_ref());
        match claim {
            RoleClaim::UserModerator => user.is_some_and(|user| is_true(&user.moderator)),
            RoleClaim::UserAffiliation => {
                let affiliation = user.and_then(|user| user.affiliation.as_str());
                matches!(affiliation, Some("owner" | "moderator" | "teacher"))
            }
            RoleClaim::Moderator => is_true(&self.moderator),
        }
    }
}

// === impl User ===

impl User {
    /// The id of the user within the integration. `sub` is no such id: it is the deployment or tenant.
    /// Also says whether it is one person's, and not of all who show the token.
    fn unique_id(&self, token: &str, stable: bool) -> Result<(String, bool), EmbedError> {
        let id = match &self.id {
            Value::String(id) if stable && !id.is_empty() => id.clone(),
            Value::Number(id) if stable => id.to_string(),
            Value::String(_) | Value::Number(_) | Value::Null => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (name, email) = (text(&self.name), text(&self.email));
                return Ok(if email.is_empty() {
                    // A name does not identify a user: Odoo calls all guests "Guest".
                    (fingerprint(&[token]), false)
                } else {
                    (fingerprint(&[&email, &name]), true)
                });
            }
            _ => return Err(EmbedError::UserId),
        };
        if is_plain(&id, MAX_ID_CHARS) {
            Ok((id, true))
        } else {
            Err(EmbedError::UserId)
        }
    }
}

/// A flag as systems write it.
fn is_true(claim: &Value) -> bool {
    matches!(claim, Value::Bool(true)) || claim == "true"
}

/// An id derived from other attributes.
fn fingerprint(parts: &[&str]) -> String {
    let hash = sha256(parts.join("\0").as_bytes());
    let (short, _) = hash.split_at(FINGERPRINT_BYTES);
    format!("~{}", BASE64_URL_SAFE_NO_PAD.encode(short))
}

/// The tolerated difference between the integration's clock and the gateway's.
const LEEWAY: Duration = Duration::from_mins(1);

/// With the integration's id it stays within the limit of a member's subject.
const MAX_ID_CHARS: usize = 128;

/// 128 bits: no collision between users of one integration.
const FINGERPRINT_BYTES: usize = 16;
