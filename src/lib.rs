//! The program: command line, assembly of the crates, start and shutdown.

pub mod app;
pub mod cli;
pub mod lifecycle;
