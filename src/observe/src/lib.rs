//! Metrics, traces and logs.

mod error_chain;
pub mod metrics;
pub mod telemetry;
pub mod traces;

pub use self::error_chain::error_chain;
