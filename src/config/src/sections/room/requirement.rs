//! `[room.require]`: how strongly and how recently people have to be signed in.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    diagnostics::Section,
    problem::Fault,
    sections::Reported,
    values::{DAY, DurationText, MINUTE},
};
use model::{
    authentication_context::{MAX_ACR_BYTES, MAX_METHOD_BYTES},
    policy::{AuthenticationRequirement, RequirementScope},
};

/// How strongly and how recently people with an account at the provider have to have authenticated.
/// Who does not fulfil it is led through a sign-in that asks for it. Guests, holders of a link without
/// an account, and users of integrations are not concerned.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRequirement {
    /// The accepted authentication context classes (`acr`), the preferred first. The gateway asks for
    /// them with `acr_values`.
    #[schemars(example = ["gold"])]
    acr: Vec<String>,
    /// Authentication methods (`amr`), of which one has to be used.
    #[schemars(example = ["mfa", "hwk"])]
    amr: Vec<String>,
    /// The longest time from the authentication to entering the room. Occupants stay.
    #[schemars(example = &"15m")]
    max_age: Option<DurationText>,
    /// Whom it concerns: `"members"`, all who are signed in, or `"hosts"`, those among them who would
    /// be hosts or moderators.
    of: RawScope,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum RawScope {
    #[default]
    Members,
    Hosts,
}

// === impl RawRequirement ===

impl RawRequirement {
    /// The requirement; `leeway` is the provider's, `None` if there is no provider.
    pub(super) fn resolve(
        self,
        leeway: Option<Duration>,
        section: &mut Section<'_>,
    ) -> Result<AuthenticationRequirement, Reported> {
        let acr = section.parse_list("acr", self.acr, |text| parse_value(text, MAX_ACR_BYTES));
        let amr = section.parse_list("amr", self.amr, |text| parse_value(text, MAX_METHOD_BYTES));
        let max_age = self.max_age.map(|text| {
            text.within(MINUTE..=7 * DAY, section, "max_age")
                .ok_or(Reported)
        });
        let requirement = AuthenticationRequirement {
            acr: acr.ok_or(Reported)?,
            amr: amr.ok_or(Reported)?,
            max_age: max_age.transpose()?,
            leeway: leeway.unwrap_or_default(),
            scope: match self.of {
                RawScope::Members => RequirementScope::Members,
                RawScope::Hosts => RequirementScope::Hosts,
            },
        };
        let is_void = requirement.acr.is_empty()
            && requirement.amr.is_empty()
            && requirement.max_age.is_none();
        if is_void {
            let remedy = "add acr, amr or max_age, or remove the table";
            section.reject("", "requires nothing", remedy);
            return Err(Reported);
        }
        if leeway.is_none() {
            let what = "no visitor could fulfil it: there is no [oidc]";
            section.reject("", what, "add [oidc], or remove the table");
            return Err(Reported);
        }
        Ok(requirement)
    }
}

/// A value is one word of `acr_values`, and has to fit into the session's cookie.
fn parse_value(text: &str, most: usize) -> Result<String, Fault> {
    let is_word = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_word && (1..=most).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        let remedy = "write each value as its own list entry, as the provider writes it";
        Err(Fault::new(format!("{text:?} is not a value"), remedy))
    }
}
