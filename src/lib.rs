//! The front door of a Jitsi Meet deployment.

pub mod cli;
pub mod clock;
pub mod config;
pub mod identity;
pub mod oidc;
pub mod path;
pub mod policy;
pub mod random;
pub mod room;
pub mod seal;
pub mod server;
pub mod session;
pub mod telemetry;
pub mod token;
pub mod upstream;
