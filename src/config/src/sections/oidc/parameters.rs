//! `[oidc.parameters]` and `sign_in.parameters` of `[[room]]`: additional parameters of the authorization
//! request.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{diagnostics::Section, problem::Fault};
use model::authorization_parameters::AuthorizationParameters;

/// Names and values.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct RawParameters(BTreeMap<String, String>);

// === impl RawParameters ===

impl RawParameters {
    pub(crate) fn example() -> Self {
        Self::of("domain_hint", "example.org")
    }

    pub(crate) fn example_of_room() -> Self {
        Self::of("kc_idp_hint", "google")
    }

    fn of(name: &str, value: &str) -> Self {
        Self([(name.to_owned(), value.to_owned())].into())
    }

    /// Checks every parameter, so that each fault is reported.
    pub(crate) fn resolve(self, section: &mut Section<'_>) -> Option<AuthorizationParameters> {
        let mut parameters = AuthorizationParameters::default();
        let mut are_valid = true;
        if self.0.len() > MAX_PARAMETERS {
            let remedy = format!("write at most {MAX_PARAMETERS}");
            section.reject("", "too many parameters", remedy);
            are_valid = false;
        }
        for (name, value) in &self.0 {
            let set = parameters.set(name, value);
            let set = set.map_err(|error| Fault::from_error(&error, "remove it"));
            are_valid &= section.keep(name, set).is_some();
        }
        are_valid.then_some(parameters)
    }
}

/// The address of the authorization request has to fit into what providers accept, about 8 KiB.
const MAX_PARAMETERS: usize = 16;
