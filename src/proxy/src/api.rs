//! The HTTP API for other systems: its types, and the documents generated from them.
//!
//! Requests deserialize into the types of this module and answers serialize from them; [`openapi`] is
//! generated from the same types, so it cannot disagree with the code. A request passes:
//!
//! 1. [`ApiRoute::parse`]: method and path.
//! 2. [`parse_body`]: JSON into a [`MeetingRequest`] or a [`LinkRequest`].
//! 3. `check`: their values, giving a [`NewMeeting`] or a [`NewLink`](link::NewLink).
//!
//! `endpoints::api` authenticates the requests and carries them out.

mod fields;
mod idempotency_key;
mod json_body;
pub mod link;
mod markdown;
pub mod meeting;
mod openapi;
mod problem;
mod route;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    fields::ApiTime,
    idempotency_key::IdempotencyKey,
    json_body::{is_json, parse_body},
    link::{LinkAnswer, LinkRequest},
    markdown::markdown,
    meeting::{MeetingAnswer, MeetingOwner, MeetingRequest, NewMeeting},
    openapi::openapi,
    problem::{ApiError, PROBLEM_JSON, ProblemDetails},
    route::ApiRoute,
};

/// The state of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomAnswer {
    /// The canonical name of the room.
    pub room: String,
    /// Whether the meeting is in progress.
    pub open: bool,
    /// Whether an occupant who may start the meeting is present.
    pub host_present: bool,
    /// The number of occupants.
    pub people: u32,
}

/// Far above any body of this API.
pub const MAX_BODY_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
