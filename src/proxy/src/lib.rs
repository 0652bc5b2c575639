//! The request path of the gateway, from an accepted connection to its answer.
//!
//! A request passes these phases, in this order; each may answer early:
//!
//! | phase | module | result |
//! |---|---|---|
//! | accept | [`server`] | a connection on one worker; TLS, PROXY header, HTTP/1.1 or HTTP/2 |
//! | request context | `request_context` | client address, scheme, request id; the host is checked |
//! | route | [`model::route`] | one enum; paths and rooms are parsed here and handed down as values |
//! | authenticate | `authenticate`, `credentials` | a [`model::session::Visitor`] |
//! | authorize | `authorize` | a grant or a denial |
//! | answer | `signalling`, `web`, `endpoints` | Prosody, Jitsi's web server, or a page of the gateway |
//! | respond | `respond` | errors become a page, a BOSH body, a problem document or a status |
//!
//! `dispatch` is that order in code. [`Worker`] is one thread's share of the state, [`SharedState`]
//! what all workers read.

pub mod admin;
pub mod api;
mod audit;
mod authenticate;
mod authorize;
mod body;
mod connections;
mod credentials;
mod dispatch;
mod endpoints;
mod instrumentation;
mod invitations;
mod meetings;
mod passes;
mod request_context;
pub mod reservation;
mod respond;
pub mod server;
mod service;
mod settings;
mod shard_upstreams;
mod signalling;
mod state;
mod store_client;
#[cfg(test)]
mod testing;
pub mod upstream;
mod web;
mod worker;

pub use self::{
    body::Body,
    server::{Connection, DrainSchedule},
    service::{Notifications, WorkerFactory},
    settings::{GuestSettings, MeetingBackend, ProxySettings},
    state::{Control, ProxySetupError, Rules, SharedState},
    worker::Worker,
};

pub(crate) use self::{request_context::RequestContext, respond::RequestError};
