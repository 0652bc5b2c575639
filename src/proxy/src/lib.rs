//! The request path of the gateway, from an accepted connection to its answer.
//!
//! A request passes these phases, in this order; each may answer early:
//!
//! | phase | module | result |
//! |---|---|---|
//! | accept | [`server`] | a connection on one worker; TLS, PROXY header, HTTP/1.1 or HTTP/2 |
//! | request context | `request_context` | client address, scheme, request id |
//! | route | [`model::route`] | one enum; paths and rooms are parsed here and handed down as values; then the `Host` is checked, except for the public keys |
//! | authenticate | `authenticate` (cookies), `credentials` (tokens in the query string) | for a room, a [`model::session::Visitor`]; elsewhere, a session or none |
//! | authorize | `authorize` | a [`model::policy::Grant`] or an `AccessError` |
//! | answer | `signalling`, `web`, `locations`, `endpoints` | Prosody, Jitsi's web server, the upstream of a location, or a page of the gateway |
//! | respond | `respond` | errors become a page, a BOSH body, a problem document or a status |
//!
//! Two answers come earlier: a challenge of ACME before routing, and the redirect to HTTPS behind it.
//!
//! `dispatch` has the order up to the `Host`, and each handler that of its route. A handler is a function of its module that coordinates several
//! parts. Such a part is a component: a type with the state that it needs and no more, which is tested
//! without a socket:
//!
//! | component | module | decides or keeps |
//! |---|---|---|
//! | `Authenticator` | `authenticate` | sessions and passes in cookies, and whether they are revoked |
//! | `TokenExchange` | `credentials` | the pass that a token in the query string stands for |
//! | `Authorizer` | `authorize` | the policy's answer in the situation of a room |
//! | `PassIssuer` | `passes` | passes of guests, holders of links, and users of integrations |
//! | `Invitations` | `invitations` | links: their addresses, uses and revocation |
//! | `Meetings` | `meetings` | rooms and links of members' meetings |
//! | `SignInFlow` | `endpoints::sign_in` | the state of sign-ins in cookies, and the relying parties |
//! | `ProviderSessions` | `provider_sessions` | the sessions at the provider that front-channel logouts may name |
//! | `IntegrationApi` | `endpoints::api` | the operations of the API |
//! | `EmbeddingSites` | `web::embedding` | the sites that may show a room in a frame |
//! | `Revalidations` | `revalidation` | what the provider said of sessions since the sign-in |
//! | `SessionRenewal` | `respond` | when a session's cookie is set again |
//! | `StoreClient` | `store_client` | calls to the store, on the control runtime |
//! | `StreamDirectory` | [`stream_directory`] | the open streams, for operators |
//! | `AssetCache` | `asset_cache` | Jitsi's public files that have a version or a lifetime |
//! | `ShardPools` | `shard_upstreams` | a worker's connections to the servers of the shards |
//!
//! [`Worker`] is the state of one thread: its connections, upstreams, counters, and the [`SharedState`]
//! that holds the components. Each phase and each group of handlers has an error type beside its
//! code; `RequestError` is their sum, and `respond` has the one table from error to answer.

pub mod admin;
pub mod api;
mod asset_cache;
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
pub mod limits;
mod locations;
mod meetings;
mod passes;
mod provider_sessions;
mod request_context;
pub mod reservation;
mod respond;
pub mod revalidation;
pub mod server;
mod service;
mod settings;
mod shard_upstreams;
mod signalling;
mod state;
mod store_client;
pub mod stream_directory;
mod table_memory;
#[cfg(test)]
mod testing;
pub mod upstream;
mod web;
mod worker;

pub use self::{
    asset_cache::{AssetCache, AssetCacheSettings, AssetCompressor},
    body::Body,
    server::{Connection, DrainSchedule},
    service::{Notifications, WorkerFactory},
    settings::{AppLinks, GuestSettings, MeetingBackend, ProxySettings, RecorderSettings},
    signalling::client_frames,
    state::{Control, ProxySetupError, ReloadableState, SharedState},
    worker::Worker,
};

pub(crate) use self::{request_context::RequestContext, respond::RequestError};
