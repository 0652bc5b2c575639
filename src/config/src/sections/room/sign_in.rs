//! `[room.sign_in]`: how people sign in for a room.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    diagnostics::Section,
    sections::oidc::{NamedProviders, RawParameters},
};
use model::{authorization_parameters::AuthorizationParameters, provider::ProviderId};

/// How people sign in who come to the room without a session. A person who is signed in already is not
/// asked again, and may have come by other parameters, or from another provider; a condition
/// `provider:ID` admits people of one provider only.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSignIn {
    /// The ids of the providers (`[[oidc]]`) that can be chosen; with one, the page that asks which is
    /// left out. Default: all.
    #[schemars(example = ["school"])]
    providers: Vec<String>,
    /// Additional parameters of the authorization request, in place of those of the same name in
    /// `[oidc.parameters]`.
    #[schemars(example = RawParameters::example_of_room())]
    parameters: RawParameters,
}

/// How people sign in for the rooms of a rule.
pub(super) struct RoomSignIn {
    pub(super) providers: Vec<ProviderId>,
    pub(super) parameters: AuthorizationParameters,
}

// === impl RawSignIn ===

impl RawSignIn {
    pub(super) fn resolve(
        self,
        providers: NamedProviders<'_>,
        section: &mut Section<'_>,
    ) -> Option<RoomSignIn> {
        let providers =
            section.parse_list("providers", self.providers, |text| providers.parse(text));
        let parameters = self.parameters.resolve(&mut section.table("parameters"));
        Some(RoomSignIn {
            providers: providers?,
            parameters: parameters?,
        })
    }
}
