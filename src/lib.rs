//! The front door of a Jitsi Meet deployment.

pub mod bosh;
pub mod clock;
pub mod dev;
pub mod headers;
pub mod identity;
pub mod oidc;
pub mod path;
pub mod policy;
pub mod query;
pub mod random;
pub mod room;
pub mod route;
pub mod seal;
pub mod server;
pub mod session;
pub mod token;
pub mod upstream;
