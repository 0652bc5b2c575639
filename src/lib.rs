//! The program around the crates of this workspace: command line, assembly, start and stop.

pub mod app;
pub mod cli;
pub mod lifecycle;
