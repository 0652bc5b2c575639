//! Metrics, traces and logs.

mod error_chain;
pub mod logs;
pub mod metrics;
pub mod traces;

pub use self::error_chain::error_chain;
