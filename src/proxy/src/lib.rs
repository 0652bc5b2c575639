//! The request path: listeners, admission, signalling, upstreams, the API and the admin listener.

pub mod admin;
pub mod api;
pub mod gateway;
pub mod reservation;
pub mod server;
pub mod upstream;
