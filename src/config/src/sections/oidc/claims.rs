//! `[oidc.claims]`: which claims hold which property of a user.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{diagnostics::Section, values::parse_name};
use oidc::ClaimPaths;

/// The claims that hold the properties of a user: dotted paths, as `realm_access.roles`. Names may
/// have dots themselves: at each level the longest name that is there counts, as in
/// `resource_access.meet.example.org.roles`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawClaims {
    /// The user's stable id.
    id: String,
    /// The display name. If the standard claim `name` is missing, `given_name` and `family_name`
    /// are used.
    name: String,
    /// The display name, if there is none at `name`: the first of these that there is.
    name_fallbacks: Vec<String>,
    /// The e-mail address.
    email: String,
    /// Whether the e-mail address is verified.
    email_verified: String,
    /// The URL of a picture.
    avatar: String,
    /// The region of the person, such as `eu-central-1`, by which Jicofo selects a bridge: a text, or a list
    /// whose first value counts. The region that a trusted proxy states (`listen.region_header`) takes
    /// precedence, `listen.region` counts for everybody else. Other values are ignored.
    #[schemars(example = &"region")]
    region: Option<String>,
    /// The groups: a list of strings or of objects with a `name`, `display`, `displayName`, `value`
    /// or `id`, one string separated by spaces or commas, or an object whose keys are groups if
    /// their values are objects that are not empty (Zitadel's roles).
    groups: String,
}

// === impl RawClaims ===

impl RawClaims {
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<ClaimPaths> {
        let mut path = |key: &str, text: String| section.keep(key, parse_name(&text));
        let id = path("id", self.id);
        let display_name = path("name", self.name);
        let name_fallbacks: Option<Vec<_>> = self
            .name_fallbacks
            .into_iter()
            .map(|text| path("name_fallbacks", text))
            .collect();
        let email = path("email", self.email);
        let email_verified = path("email_verified", self.email_verified);
        let avatar = path("avatar", self.avatar);
        let region = self.region.map(|text| path("region", text));
        let groups = path("groups", self.groups);
        Some(ClaimPaths {
            id: id?,
            name: display_name?,
            name_fallbacks: name_fallbacks?,
            email: email?,
            email_verified: email_verified?,
            avatar: avatar?,
            region: region.map_or(Some(None), |region| region.map(Some))?,
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
            name_fallbacks: vec!["preferred_username".to_owned(), "nickname".to_owned()],
            email: "email".to_owned(),
            email_verified: "email_verified".to_owned(),
            avatar: "picture".to_owned(),
            region: None,
            groups: "groups".to_owned(),
        }
    }
}
