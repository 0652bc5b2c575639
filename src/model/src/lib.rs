//! Values and pure decisions: no sockets, no files, no async.

pub mod bosh;
pub mod caching;
pub mod calendar;
pub mod clock;
pub mod conference_request;
pub mod digest;
pub mod headers;
pub mod identity;
pub mod integration;
pub mod invitation;
pub mod jaas;
pub mod jws;
pub mod negotiation;
pub mod owner;
pub mod path;
pub mod policy;
pub mod query;
pub mod random;
pub mod room;
pub mod route;
pub mod seal;
pub mod session;
pub mod shard;
pub mod time_format;
pub mod token;
pub mod xml;
