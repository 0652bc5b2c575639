//! `[oidc.claims]`: which claims hold which property of a user.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{diagnostics::Section, values::parse_name};
use oidc::ClaimPaths;

/// The claims that hold the properties of a user: dotted paths, as `realm_access.roles`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawClaims {
    /// The user's stable id.
    id: String,
    /// The display name.
    name: String,
    /// The e-mail address.
    email: String,
    /// Whether the e-mail address is verified.
    email_verified: String,
    /// The URL of a picture.
    avatar: String,
    /// The groups: a list of strings, one string separated by spaces or commas, or an object whose
    /// keys are groups if their values are objects that are not empty (Zitadel's roles).
    groups: String,
}

// === impl RawClaims ===

impl RawClaims {
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<ClaimPaths> {
        let mut path = |key: &str, text: String| section.keep(key, parse_name(&text));
        let id = path("id", self.id);
        let display_name = path("name", self.name);
        let email = path("email", self.email);
        let email_verified = path("email_verified", self.email_verified);
        let avatar = path("avatar", self.avatar);
        let groups = path("groups", self.groups);
        Some(ClaimPaths {
            id: id?,
            name: display_name?,
            email: email?,
            email_verified: email_verified?,
            avatar: avatar?,
            groups: groups?,
        })
    }
}

/// The standard claims (OpenID Connect Core § 5.1); `groups` is not standardised.
impl Default for RawClaims {
    fn default() -> Self {
        Self {
            id: "sub".to_owned(),
            name: "name".to_owned(),
            email: "email".to_owned(),
            email_verified: "email_verified".to_owned(),
            avatar: "picture".to_owned(),
            groups: "groups".to_owned(),
        }
    }
}
