//! The API for other systems: what can be asked for, what is answered, and the document that
//! describes both.
//!
//! The types here are the API: requests are read into them, answers are written from them, and
//! [`document`] is generated from them. A request becomes a [`Call`] and, with its body checked, a
//! [`Meeting`] or a [`Link`](link::Link); what comes of it is the gateway's.

mod call;
mod document;
mod fields;
pub mod link;
pub mod meeting;
mod problem;
mod reference;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    call::{Call, IdempotencyKey, is_json, read_body},
    document::document,
    fields::Time,
    link::{LinkAnswer, LinkRequest},
    meeting::{Meeting, MeetingAnswer, MeetingRequest, Owner},
    problem::{ApiError, PROBLEM_JSON, Problem},
    reference::reference,
};

/// How a room is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomAnswer {
    /// The room, by its canonical name.
    pub room: String,
    /// Whether the meeting goes on.
    pub open: bool,
    /// Whether somebody who may start it is there.
    pub host_present: bool,
    /// How many people are there.
    pub people: u32,
}

/// No body of this API is nearly as long.
pub const MAX_BODY_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
