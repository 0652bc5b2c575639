//! Whether the provider's discovery document lists what the rules name: authentication context classes and claims.

use model::policy::{AuthenticationRequirement, Policy, Rule};
use oidc::{OidcSettings, SupportedValues};

use crate::{Check, DoctorReport, Finding, FindingKind};

/// Runs the check C6.
pub(super) fn examine(
    supported: &SupportedValues,
    settings: &OidcSettings,
    policy: &Policy,
    report: &mut DoctorReport,
) {
    report.pass(Check::ProviderRules);
    let listed = supported.acr_values.as_deref();
    if let Some(finding) = listed.and_then(|listed| unlisted_classes(listed, settings, policy)) {
        report.fail(finding);
    }
    if let Some(finding) = unlisted_claims(supported, settings, policy) {
        report.advise(finding);
    }
}

/// Authentication context classes that rules demand and the provider does not list.
fn unlisted_classes(
    listed: &[String],
    settings: &OidcSettings,
    policy: &Policy,
) -> Option<Finding> {
    let rules = policy.rules().iter();
    let own = rules.filter(|rule| is_possible(rule, settings));
    let requirements = own.filter_map(|rule| rule.requirement.as_ref());
    let mut unlisted: Vec<&str> = requirements
        .flat_map(|requirement| unlisted_of(requirement, listed, settings))
        .collect();
    unlisted.sort_unstable();
    unlisted.dedup();
    if unlisted.is_empty() {
        return None;
    }
    Some(
        Finding::warning(FindingKind::ProviderAcr)
            .with_exchange(
                DESCRIPTION,
                format!("acr_values_supported: {}", listed.join(" ")),
            )
            .with_remedy(
                format!(
                    "require.acr of a rule names {}, which the provider does not list, so people may \
                     never fulfil it",
                    unlisted.join(" and ")
                ),
                "write a value that the provider lists, or make the provider offer it (in Keycloak \
                 ACR to LoA mapping of the client or realm)",
            ),
    )
}

/// The values of a requirement that are not listed. Where people can choose another provider, one that is listed
/// suffices: the others may be those of the other provider.
fn unlisted_of<'r>(
    requirement: &'r AuthenticationRequirement,
    listed: &[String],
    settings: &OidcSettings,
) -> Vec<&'r str> {
    let values = requirement
        .acr
        .iter()
        .filter(|value| !listed.contains(value));
    let unlisted: Vec<&str> = values.map(String::as_str).collect();
    let suffices = settings.listed.is_some() && unlisted.len() < requirement.acr.len();
    if suffices { Vec::new() } else { unlisted }
}

/// Whether sign-ins for a rule's rooms can be at this provider.
fn is_possible(rule: &Rule, settings: &OidcSettings) -> bool {
    let own = settings.listed.as_ref().map(|listed| &listed.id);
    own.is_none_or(|id| rule.providers.is_empty() || rule.providers.contains(id))
}

/// Claims that conditions need and the provider does not list. The list may be incomplete (OpenID Connect Discovery
/// 1.0 § 3), so that is advice.
fn unlisted_claims(
    supported: &SupportedValues,
    settings: &OidcSettings,
    policy: &Policy,
) -> Option<Finding> {
    let listed = supported.claims.as_deref()?;
    let groups = policy.uses_groups().then_some(&*settings.claims.groups);
    let named = groups.into_iter().chain(policy.claim_paths());
    let mut unlisted: Vec<&str> = named
        .filter(|path| !listed.iter().any(|claim| is_of(path, claim)))
        .collect();
    unlisted.sort_unstable();
    unlisted.dedup();
    if unlisted.is_empty() {
        return None;
    }
    let names = unlisted.join(", ");
    let offered = supported.scopes.iter().flatten();
    let scope = offered.filter(|scope| {
        unlisted.iter().any(|path| is_of(path, scope)) && !settings.scopes.contains(scope)
    });
    let remedy = match scope.into_iter().next() {
        Some(scope) => format!("add {scope:?} to oidc.scopes, which the provider offers"),
        None => "make the provider send it in the ID token (in Keycloak by a mapper), or correct \
                 its name in the rules and in [oidc.claims]"
            .to_owned(),
    };
    Some(
        Finding::advice(FindingKind::ProviderClaims)
            .with_exchange(DESCRIPTION, format!("no {names} in claims_supported"))
            .with_remedy(
                format!(
                    "conditions of rules name {names}; where the provider does not send it, they are \
                     not met, and the gateway logs that once after a sign-in"
                ),
                remedy,
            ),
    )
}

/// Whether a path is that of a claim, or of a part of it.
fn is_of(path: &str, claim: &str) -> bool {
    let rest = path.strip_prefix(claim);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

const DESCRIPTION: &str = "a request for the discovery document";

#[cfg(test)]
mod tests;
