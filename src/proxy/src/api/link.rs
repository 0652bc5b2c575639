//! Links: who holds one enters the room, as a host or a guest.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ApiError, Time,
    fields::{email, end, words},
};
use model::{
    clock::Timestamp,
    integration::Integration,
    random::Random,
    room::{MAX_NODE_BYTES, RoomKey},
};

/// A link to be made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// The room, by its name, or `tenant/name`.
    #[schemars(length(min = 1, max = 512), example = &"school-7b")]
    pub room: String,
    /// What the link makes of its holder.
    pub role: LinkRole,
    /// The holder's name, if the link is for one person.
    #[schemars(length(min = 1, max = 128), example = &"Mia")]
    pub name: Option<String>,
    /// The holder's e-mail address, if the link is for one person.
    #[schemars(email, length(max = 254), example = &"mia@example.org")]
    pub email: Option<String>,
    /// How long the link is good for; a day, unless this or `expires_at` is given.
    #[schemars(range(min = 60, max = 31_536_000), example = &3600)]
    pub ttl_seconds: Option<u32>,
    /// When the link ends, no more than a year ahead; with `ttl_seconds`, whichever comes first.
    pub expires_at: Option<Time>,
    /// How often the link can be used; unless given, any number of times.
    #[schemars(range(min = 1, max = 10_000), example = &1)]
    pub uses: Option<u32>,
}

/// What a link makes of its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LinkRole {
    /// A host, who is moderator.
    Host,
    /// Somebody who enters without an account.
    Guest,
}

/// A link that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkAnswer {
    /// The link's name, by which it is revoked.
    pub id: String,
    /// The address to give to its holder.
    #[schemars(url)]
    pub url: String,
    /// When it ends.
    pub expires_at: Time,
}

/// A link to be made, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The room, which is one of the integration's.
    pub room: RoomKey,
    /// Whether the holder is a host.
    pub host: bool,
    /// The holder's name.
    pub name: Option<String>,
    /// The holder's address.
    pub email: Option<String>,
    /// When it ends.
    pub expires: Timestamp,
    /// How often it can be used.
    pub uses: Option<u32>,
}

// === impl LinkRequest ===

impl LinkRequest {
    /// What is asked for, if this integration may.
    pub fn check(self, integration: &Integration, now: Timestamp) -> Result<Link, ApiError> {
        let room = room(&self.room)?;
        if !integration.has_room(&room) {
            return Err(ApiError::ForeignRoom);
        }
        if let Some(address) = &self.email {
            email(address, "/email")?;
        }
        let lifetime = self
            .ttl_seconds
            .map(|seconds| Duration::from_secs(seconds.into()));
        if lifetime.is_some_and(|lifetime| !(SHORTEST..=LONGEST).contains(&lifetime)) {
            let what = "not between a minute and a year";
            return Err(ApiError::invalid("/ttl_seconds", what));
        }
        let told = self.expires_at.map(|Time(time)| time);
        if let Some(time) = told {
            end(time, "/expires_at", now)?;
        }
        let spent = lifetime.map(|lifetime| now.after(lifetime));
        let ends = [told, spent].into_iter().flatten().min();
        let expires = ends.unwrap_or_else(|| now.after(UNLESS_SAID));
        if self
            .uses
            .is_some_and(|uses| !(1..=MOST_USES).contains(&uses))
        {
            return Err(ApiError::invalid("/uses", "not between 1 and 10000"));
        }
        Ok(Link {
            room,
            host: self.role == LinkRole::Host,
            name: words(self.name, "/name", 128)?,
            email: self.email,
            expires,
            uses: self.uses,
        })
    }
}

fn room(text: &str) -> Result<RoomKey, ApiError> {
    if text.chars().count() > MAX_NODE_BYTES {
        return Err(ApiError::invalid("/room", "too long"));
    }
    RoomKey::from_text(text).map_err(|error| ApiError::invalid("/room", error.to_string()))
}

/// A name for a link of this integration: random, and telling whose it is, so that no other
/// integration can revoke it.
pub fn new_id(integration: &Integration, random: &Random) -> String {
    format!("{}{OWNED}{}", integration.id(), random.text::<12>())
}

/// Whether a link of this name is the integration's.
pub fn is_of(integration: &Integration, id: &str) -> bool {
    let random = id
        .strip_prefix(integration.id())
        .and_then(|rest| rest.strip_prefix(OWNED));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    random.is_some_and(|random| random.len() == 16 && random.chars().all(plain))
}

/// Between integration and random part; in neither of them.
const OWNED: char = '.';

const UNLESS_SAID: Duration = Duration::from_hours(24);

/// Shorter ones end before they arrive.
const SHORTEST: Duration = Duration::from_mins(1);

/// A year: less than revocations are remembered.
pub(super) const LONGEST: Duration = Duration::from_hours(365 * 24);

const MOST_USES: u32 = 10_000;
