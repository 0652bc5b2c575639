//! The API for other systems: what can be asked for, what is answered, and the document that
//! describes both.
//!
//! The types here are the API: requests are read into them, answers are written from them, and
//! [`document`] is generated from them. What becomes of a request is the gateway's.

mod meeting;

pub use self::meeting::{MeetingAnswer, MeetingRequest, Owner};
