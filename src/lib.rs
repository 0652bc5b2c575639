//! The front door of a Jitsi Meet deployment.

pub mod clock;
pub mod identity;
pub mod path;
pub mod policy;
pub mod random;
pub mod room;
pub mod seal;
pub mod session;
