//! Composes the first configuration of a deployment.
//!
//! 1. A [`Deployment`] has the answers: address, platform, provider, who enters and who moderates.
//!    An `.env` of docker-jitsi-meet ([`JitsiEnv`]) answers some of them.
//! 2. [`Deployment::compose`] turns them into [`Setup`]: files, values for the provider, and the
//!    next steps. It is pure but for the randomness of new secrets, which is a parameter.
//! 3. [`NewFile::write_all`] writes the files, and never overwrites one.

mod deployment;
mod jitsi_env;
mod new_file;
mod platform;
mod provider;
mod quoted;
mod setup;

pub use self::{
    deployment::{Deployment, InvalidAnswer, RoomEntry},
    jitsi_env::{EnvError, JitsiEnv},
    new_file::{NewFile, WriteError},
    platform::Platform,
    provider::Provider,
    setup::{Setup, Target},
};
