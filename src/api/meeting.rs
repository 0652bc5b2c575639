//! Creating a meeting.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A meeting to be created.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeetingRequest {
    /// Who is its host; whoever has the host link is one, too.
    pub owner: Owner,
    /// Words for the room's name; unless given, some are made up.
    pub slug: Option<String>,
    /// The room's tenant.
    pub tenant: Option<String>,
    /// When the links begin to open the room.
    pub not_before: Option<String>,
    /// When the links end.
    pub expires_at: Option<String>,
    /// Whether to make a guest link.
    #[serde(default)]
    pub guests: bool,
    /// What the calendar entry is called.
    pub title: Option<String>,
    /// How long the calendar entry is.
    pub minutes: Option<u32>,
}

/// The owner of a meeting, in one of two ways.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Owner {
    /// Whoever signs in with this verified e-mail address.
    Email(String),
    /// Whoever the provider calls this.
    Subject(String),
}

/// A meeting that was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MeetingAnswer {
    /// The room, by its canonical name.
    pub room: String,
    /// The address for everybody.
    pub url: String,
    /// The address that makes whoever opens it a host.
    pub host_url: String,
    /// The address that lets whoever opens it in without an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_url: Option<String>,
    /// A calendar entry for this one meeting.
    pub ics_url: String,
    /// When the links end.
    pub expires_at: String,
}
