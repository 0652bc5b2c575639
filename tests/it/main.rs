//! The gateway's parts together, from outside.

#[cfg(test)]
mod config;
