use model::policy::{Condition, EntryRule, Glob, RequirementScope};
use oidc::ListedProvider;

use super::*;
use crate::fixtures::oidc_settings;

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

/// A policy with one rule for each list of classes, and these conditions to enter.
fn policy(classes: &[&[&str]], conditions: &[&str]) -> Policy {
    let conditions: Vec<Condition> = conditions
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let rules = classes.iter().map(|acr| Rule {
        requirement: Some(AuthenticationRequirement {
            acr: list(acr),
            amr: Vec::new(),
            max_age: None,
            leeway: std::time::Duration::ZERO,
            scope: RequirementScope::Members,
        }),
        ..Rule::new(Glob::folded("*"), EntryRule::Where(conditions.clone()))
    });
    Policy::new(rules.collect())
}

/// Severity, id, and the values that a finding is about.
fn found(supported: &SupportedValues, settings: &OidcSettings, policy: &Policy) -> Vec<String> {
    let mut report = DoctorReport::default();
    examine(supported, settings, policy, &mut report);
    let findings = report.findings().iter();
    findings
        .map(|finding| format!("{} {}", finding.severity.as_str(), finding.id()))
        .collect()
}

#[test]
fn classes_are_compared_with_a_list_that_is_there() {
    let settings = oidc_settings();
    for (listed, demanded, expected) in [
        (None, &["gold"][..], &[][..]),
        (Some(list(&["gold", "1"])), &["gold"], &[]),
        (Some(list(&["gold", "1"])), &[], &[]),
        (Some(list(&["silver"])), &["gold"], &["warning C6.acr"]),
        (
            Some(list(&["silver"])),
            &["gold", "silver"],
            &["warning C6.acr"],
        ),
        (Some(list(&[])), &["gold"], &["warning C6.acr"]),
    ] {
        let supported = SupportedValues {
            acr_values: listed,
            ..SupportedValues::default()
        };
        let policy = policy(&[demanded], &["group:staff"]);
        let found = found(&supported, &settings, &policy);
        assert_eq!(found, expected, "{supported:?} {demanded:?}");
    }
}

#[test]
fn the_warning_names_each_unlisted_class_once() {
    let policy = policy(&[&["gold", "silver"], &["gold"], &["bronze"]], &[]);
    let finding = unlisted_classes(&["silver".to_owned()], &oidc_settings(), &policy).unwrap();
    assert!(
        finding.meaning.contains(" bronze and gold, "),
        "{finding:?}"
    );
    assert_eq!(&*finding.got, "acr_values_supported: silver");
}

#[test]
fn of_several_providers_each_is_asked_for_its_own_rules() {
    let settings = OidcSettings {
        listed: Some(ListedProvider {
            id: "school".parse().unwrap(),
            name: "School".to_owned(),
            email_domains: Vec::new(),
        }),
        ..oidc_settings()
    };
    let supported = SupportedValues {
        acr_values: Some(list(&["silver"])),
        ..SupportedValues::default()
    };
    let restricted = |providers: &[&str], acr: &[&str]| {
        let mut rules = policy(&[acr], &["group:staff"]).rules().to_vec();
        rules[0].providers = providers.iter().map(|id| id.parse().unwrap()).collect();
        found(&supported, &settings, &Policy::new(rules))
    };
    assert_eq!(restricted(&[], &["gold"]), ["warning C6.acr"]);
    assert_eq!(restricted(&["school"], &["gold"]), ["warning C6.acr"]);
    assert_eq!(restricted(&["firm"], &["gold"]), [""; 0]);
    assert_eq!(restricted(&[], &["gold", "silver"]), [""; 0]);
}

#[test]
fn claims_of_conditions_are_compared_with_a_list_that_is_there() {
    let settings = oidc_settings();
    let nested = OidcSettings {
        claims: oidc::ClaimPaths {
            groups: "realm_access.roles".to_owned(),
            ..oidc_settings().claims
        },
        ..oidc_settings()
    };
    let advice = &["advice C6.claims"][..];
    for (listed, settings, conditions, expected) in [
        (None, &settings, &["group:staff"][..], &[][..]),
        (
            Some(list(&["sub", "groups"])),
            &settings,
            &["group:staff"],
            &[],
        ),
        (Some(list(&["sub"])), &settings, &["member"], &[]),
        (Some(list(&["sub"])), &settings, &["group:staff"], advice),
        (
            Some(list(&["sub", "group"])),
            &settings,
            &["group:staff"],
            advice,
        ),
        (
            Some(list(&["realm_access"])),
            &nested,
            &["group:staff"],
            &[],
        ),
        (Some(list(&["groups"])), &nested, &["group:staff"], advice),
        (
            Some(list(&["sub"])),
            &settings,
            &["claim:role=teacher"],
            advice,
        ),
        (
            Some(list(&["role"])),
            &settings,
            &["claim:role=teacher"],
            &[],
        ),
    ] {
        let supported = SupportedValues {
            claims: listed,
            ..SupportedValues::default()
        };
        let found = found(&supported, settings, &policy(&[&[]], conditions));
        assert_eq!(found, expected, "{supported:?} {conditions:?}");
    }
}

#[test]
fn the_advice_names_a_scope_that_was_not_asked_for() {
    let remedy = |scopes: &[&str]| {
        let settings = OidcSettings {
            scopes: list(scopes),
            ..oidc_settings()
        };
        let supported = SupportedValues {
            claims: Some(list(&["sub"])),
            scopes: Some(list(&["openid", "groups"])),
            ..SupportedValues::default()
        };
        let policy = policy(&[&[]], &["group:staff"]);
        let finding = unlisted_claims(&supported, &settings, &policy).unwrap();
        finding.remedy
    };
    assert!(remedy(&["openid"]).contains(r#"add "groups" to oidc.scopes"#));
    assert!(remedy(&["openid", "groups"]).contains("mapper"));
}
