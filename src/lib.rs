//! The front door of a Jitsi Meet deployment.

pub mod admin;
pub mod app;
pub mod bosh;
pub mod clock;
pub mod gateway;
pub mod headers;
pub mod identity;
pub mod metrics;
pub mod oidc;
pub mod page;
pub mod pages;
pub mod path;
pub mod policy;
pub mod query;
pub mod random;
pub mod revocation;
pub mod room;
pub mod route;
pub mod seal;
pub mod server;
pub mod session;
pub mod token;
pub mod upstream;
