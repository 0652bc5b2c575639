//! Reads the configuration: one TOML file, overlaid by environment variables.
//!
//! 1. `provenance` parses the TOML into a tree whose values know their locations.
//! 2. `environment` overlays the variables.
//! 3. `schema_check` reports and removes everything that does not match the schema.
//! 4. serde reads the rest into raw sections, and each of `sections` resolves into the settings of
//!    the crate that it configures.
//!
//! All problems are reported at once, each with its location and remedy.

mod certificate_chain;
mod diagnostics;
mod environment;
mod fingerprint;
mod load;
mod location;
mod problem;
mod provenance;
mod public_url;
mod reference;
mod schema;
mod schema_check;
mod secret;
mod section_digests;
mod sections;
mod settings;
mod suggestion;
mod values;

pub use self::{
    certificate_chain::CertificateChain,
    environment::Environment,
    fingerprint::fingerprint,
    load::load,
    problem::{ConfigProblem, ConfigProblems},
    public_url::PublicUrl,
    reference::{RELOADABLE_SECTIONS, reference},
    schema::schema,
    section_digests::SectionDigests,
    settings::{BackendConfig, Config, FORGETS_REVOCATIONS, JitsiConfig},
};
