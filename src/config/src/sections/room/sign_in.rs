//! `[room.sign_in]`: how people sign in for a room.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{diagnostics::Section, sections::oidc::RawParameters};
use model::authorization_parameters::AuthorizationParameters;

/// How people sign in who come to the room without a session. Whoever is signed in already is not
/// asked again, and may have come by other parameters.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSignIn {
    /// Additional parameters of the authorization request, in place of those of the same name in
    /// `[oidc.parameters]`.
    #[schemars(example = RawParameters::example_of_room())]
    parameters: RawParameters,
}

// === impl RawSignIn ===

impl RawSignIn {
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<AuthorizationParameters> {
        self.parameters.resolve(&mut section.table("parameters"))
    }
}
