//! Meetings: a room with an owner, and links into it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ApiError, Time,
    fields::{email, end, words},
};
use model::{
    clock::Timestamp,
    identity::{is_plain, is_reserved_subject},
    integration::Integration,
    owner::{self, OwnerTags},
    random::Random,
    room::{RoomError, RoomKey, Tenant},
};

/// A meeting to be created.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeetingRequest {
    /// Who is its host, after signing in; whoever has the host link is one, too.
    pub owner: Owner,
    /// Words for the room's name; unless given, some are made up.
    #[schemars(length(min = 1, max = 80), example = &"school-parents-7b")]
    pub slug: Option<String>,
    /// The room's tenant.
    #[schemars(length(min = 1, max = 63), example = &"acme")]
    pub tenant: Option<String>,
    /// When the links begin to open the room; unless given, at once.
    pub not_before: Option<Time>,
    /// When the links end, at most a year ahead; unless given, a week after they begin.
    pub expires_at: Option<Time>,
    /// Whether to make a guest link.
    #[serde(default)]
    pub guests: bool,
    /// What the calendar entry is called.
    #[schemars(length(min = 1, max = 200), example = &"Parents' evening 7b")]
    pub title: Option<String>,
    /// How long the calendar entry is, in minutes; unless given, an hour.
    #[schemars(range(min = 5, max = 1440), example = &60)]
    pub minutes: Option<u32>,
}

/// The owner of a meeting, in one of two ways.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Owner {
    /// Whoever signs in and has this e-mail address, verified.
    Email(#[schemars(email, length(max = 254), example = &"hanna@example.org")] String),
    /// Whoever signs in and is called this by the provider.
    Subject(#[schemars(length(min = 1, max = 255), example = &"248289761001")] String),
}

/// A meeting that was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MeetingAnswer {
    /// The room, by its canonical name.
    pub room: String,
    /// The address for everybody.
    #[schemars(url)]
    pub url: String,
    /// The address that makes whoever opens it a host.
    #[schemars(url)]
    pub host_url: String,
    /// The host link's name, by which it is revoked.
    pub host_link_id: String,
    /// The address that lets whoever opens it in without an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", url)]
    pub guest_url: Option<String>,
    /// The guest link's name, by which it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub guest_link_id: Option<String>,
    /// A calendar entry for this one meeting.
    #[schemars(url)]
    pub ics_url: String,
    /// When the links end.
    pub expires_at: Time,
}

/// A meeting to be created, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// Who is its host.
    pub owner: Owner,
    /// Words for the room's name.
    pub wish: Option<String>,
    /// The room's tenant.
    pub tenant: Option<Tenant>,
    /// When the links begin.
    pub begins: Option<Timestamp>,
    /// When they end.
    pub expires: Timestamp,
    /// Whether there is one for guests.
    pub guests: bool,
    /// What the calendar entry is called.
    pub title: Option<String>,
    /// How long it is.
    pub minutes: u32,
}

// === impl MeetingRequest ===

impl MeetingRequest {
    /// What is asked for.
    pub fn check(self, now: Timestamp) -> Result<Meeting, ApiError> {
        match &self.owner {
            Owner::Email(address) => email(address, "/owner/email")?,
            Owner::Subject(subject) if is_plain(subject, 255) && !is_reserved_subject(subject) => {}
            Owner::Subject(_) => {
                let what = "not an id that somebody who signs in can have";
                return Err(ApiError::invalid("/owner/subject", what));
            }
        }
        let tenant = self.tenant.as_deref().map(Tenant::parse).transpose();
        let tenant = tenant.map_err(|error| ApiError::invalid("/tenant", error.to_string()))?;
        let begins = self.not_before.map(|Time(time)| time);
        let expires = match self.expires_at {
            Some(Time(time)) => time,
            None => begins.unwrap_or(now).max(now).after(UNLESS_SAID),
        };
        end(expires, "/expires_at", now)?;
        if begins.is_some_and(|begins| begins >= expires) {
            return Err(ApiError::invalid("/not_before", "not before expires_at"));
        }
        let minutes = self.minutes.unwrap_or(60);
        if !(5..=1440).contains(&minutes) {
            return Err(ApiError::invalid("/minutes", "not between 5 and 1440"));
        }
        Ok(Meeting {
            owner: self.owner,
            wish: words(self.slug, "/slug", 80)?,
            tenant,
            begins,
            expires,
            guests: self.guests,
            title: words(self.title, "/title", 200)?,
            minutes,
        })
    }
}

// === impl Meeting ===

impl Meeting {
    /// A room for the meeting, whose name tells its owner, and which is one of the integration's.
    pub fn room(
        &self,
        owners: &OwnerTags,
        integration: &Integration,
        random: &Random,
    ) -> Result<RoomKey, ApiError> {
        let owner = match &self.owner {
            Owner::Email(address) => owner::RoomOwner::Email(address),
            Owner::Subject(subject) => owner::RoomOwner::Subject(subject),
        };
        let named = |wish: Option<&str>| owners.name(self.tenant.as_ref(), wish, &owner, random);
        let slug = |error: RoomError| ApiError::invalid("/slug", error.to_string());
        let room = named(self.wish.as_deref()).map_err(slug)?;
        if integration.has_room(&room) {
            return Ok(room);
        }
        if self.wish.is_some() {
            return Err(ApiError::ForeignRoom);
        }
        // What was made up, behind what the integration's rooms begin with.
        let (words, _) = room.node().rsplit_once('-').unwrap_or_default();
        integration
            .room_prefixes()
            .filter_map(|beginning| named(Some(&format!("{beginning}{words}"))).ok())
            .find(|room| integration.has_room(room))
            .ok_or(ApiError::ForeignRoom)
    }
}

/// As long as people plan ahead without a calendar.
const UNLESS_SAID: Duration = Duration::from_hours(7 * 24);
