//! The gateway's parts together, from outside.

mod config;
