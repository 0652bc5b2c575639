//! The modules of the OpenID Foundation's certification plans for relying parties, and what decides each of them here.
//!
//! Plans and modules are those of the conformance suite, `openid/client` (`OIDCCClientBasicTestPlan`,
//! `OIDCCClientConfigTestPlan`, `OIDCCClientFormPostBasicTestPlan`, and the plans in `logout`).

use std::fs;

use super::Pair;
use crate::support::provider_fault::{METADATA_FAULTS, ProviderFault, SIGN_IN_FAULTS};

/// What decides a module.
enum Decision {
    /// The provider has this fault, and the table of faults has the reason of the refusal.
    Fault(ProviderFault),
    /// A test of this file below `tests/it` takes the module's steps.
    Test(&'static str, &'static str),
    /// The module is about something that the gateway does not do.
    Unused(&'static str),
}

use Decision::{Fault, Test, Unused};

const SIGN_IN: &str = "oidc/sign_in.rs";
const OUTAGES: &str = "oidc/outages.rs";
const LOGOUT: &str = "oidc/logout.rs";

const BASIC: &[(&str, Decision)] = &[
    (
        "test",
        Test(
            SIGN_IN,
            "the_authorization_request_has_exactly_the_expected_parameters",
        ),
    ),
    ("test-invalid-iss", Fault(ProviderFault::InvalidIss)),
    ("test-missing-sub", Fault(ProviderFault::MissingSub)),
    ("test-invalid-aud", Fault(ProviderFault::InvalidAud)),
    ("test-missing-iat", Fault(ProviderFault::MissingIat)),
    (
        "test-kid-absent-single-jwks",
        Test(
            "oidc/conformance_plans.rs",
            "a_token_without_kid_is_verified_by_the_only_key",
        ),
    ),
    (
        "test-kid-absent-multiple-jwks",
        Fault(ProviderFault::KidAbsentMultipleJwks),
    ),
    (
        "test-idtoken-sig-rs256",
        Test(SIGN_IN, "a_sign_in_succeeds_with_each_signature_algorithm"),
    ),
    ("test-idtoken-sig-none", Fault(ProviderFault::SigNone)),
    ("test-invalid-sig-rs256", Fault(ProviderFault::InvalidSig)),
    (
        "test-userinfo-invalid-sub",
        Fault(ProviderFault::UserinfoInvalidSub),
    ),
    ("test-nonce-invalid", Fault(ProviderFault::NonceInvalid)),
    (
        "test-scope-userinfo-claims",
        Test(
            SIGN_IN,
            "userinfo_adds_claims_and_does_not_override_the_id_token",
        ),
    ),
    (
        "test-client-secret-basic",
        Test(SIGN_IN, "the_client_secret_is_sent_as_configured"),
    ),
];

const CONFIG: &[(&str, Decision)] = &[
    (
        "test-discovery-openid-config",
        Test(
            "oidc/network.rs",
            "an_internal_url_is_used_by_the_gateway_and_not_shown_to_browsers",
        ),
    ),
    (
        "test-discovery-jwks-uri-keys",
        Test(OUTAGES, "a_rotated_key_is_fetched_at_its_first_token"),
    ),
    (
        "test-discovery-issuer-mismatch",
        Fault(ProviderFault::DiscoveryIssuerMismatch),
    ),
    ("test-idtoken-sig-none", Fault(ProviderFault::SigNone)),
    (
        "test-signing-key-rotation-just-before-signing",
        Test(OUTAGES, "a_rotated_key_is_fetched_at_its_first_token"),
    ),
    (
        "test-signing-key-rotation",
        Test(OUTAGES, "a_key_replaced_under_the_same_id_is_refetched"),
    ),
];

/// The answer comes by a form, which is made the same callback; the modules are those of the basic plan.
const FORM_POST: &[(&str, Decision)] = &[(
    "test, and the others as in the basic plan",
    Test(
        "gateway/sign_in.rs",
        "a_posted_answer_of_the_provider_signs_in",
    ),
)];

const NO_STATE: &str =
    "the request has no state: the page after a sign-out is the same for everyone";

const RP_INITIATED: &[(&str, Decision)] = &[
    (
        "test-rp-init-logout",
        Test(
            SIGN_IN,
            "the_logout_request_has_exactly_the_expected_parameters",
        ),
    ),
    ("test-rp-init-logout-other-state", Unused(NO_STATE)),
    ("test-rp-init-logout-no-state", Unused(NO_STATE)),
];

const REFUSED: &str = "each_deviation_from_the_specification_is_refused";
const UNSIGNED: &str = "tokens_without_a_valid_signature_are_refused";

const BACK_CHANNEL: &[(&str, Decision)] = &[
    (
        "test-rp-backchannel-rpinitlogout",
        Test(
            "gateway/revocation.rs",
            "back_channel_logout_closes_all_sessions_of_the_subject",
        ),
    ),
    (
        "test-rp-backchannel-rpinitlogout-alg-none",
        Test(LOGOUT, UNSIGNED),
    ),
    (
        "test-rp-backchannel-rpinitlogout-no-event",
        Test(LOGOUT, REFUSED),
    ),
    (
        "test-rp-backchannel-rpinitlogout-with-nonce",
        Test(LOGOUT, REFUSED),
    ),
    (
        "test-rp-backchannel-rpinitlogout-wrong-alg",
        Test(LOGOUT, UNSIGNED),
    ),
    (
        "test-rp-backchannel-rpinitlogout-wrong-aud",
        Test(LOGOUT, REFUSED),
    ),
    (
        "test-rp-backchannel-rpinitlogout-wrong-event",
        Test(LOGOUT, REFUSED),
    ),
    (
        "test-rp-backchannel-rpinitlogout-wrong-iss",
        Test(LOGOUT, REFUSED),
    ),
];

const FRONT_CHANNEL: &[(&str, Decision)] = &[(
    "test-rp-frontchannel-rpinitlogout",
    Test(
        "gateway/frontchannel_logout.rs",
        "a_frame_ends_exactly_the_session_that_it_names",
    ),
)];

const PLANS: &[(&str, &[(&str, Decision)])] = &[
    ("Basic", BASIC),
    ("Config", CONFIG),
    ("Form Post", FORM_POST),
    ("RP-Initiated Logout", RP_INITIATED),
    ("Back-Channel Logout", BACK_CHANNEL),
    ("Front-Channel Logout", FRONT_CHANNEL),
];

#[test]
fn each_module_of_the_certification_plans_is_decided() {
    let mut modules = 0;
    for (plan, decisions) in PLANS {
        for (module, decision) in *decisions {
            println!("{plan}: oidcc-client-{module}: {}", decision.described());
            modules += 1;
        }
    }
    println!("{modules} modules of {} plans", PLANS.len());
}

#[tokio::test]
async fn a_token_without_kid_is_verified_by_the_only_key() {
    let pair = Pair::start(ProviderFault::KidAbsentSingleJwks)
        .await
        .ready()
        .await;
    pair.sign_in().await.unwrap();
}

// === impl Decision ===

impl Decision {
    /// The decision in words; fails if what it names is not there.
    fn described(&self) -> String {
        match self {
            Fault(fault) => {
                let faults = SIGN_IN_FAULTS.iter().chain(METADATA_FAULTS);
                let (_, reason) = faults
                    .clone()
                    .find(|(known, _)| known == fault)
                    .unwrap_or_else(|| panic!("{fault:?} is in no table"));
                format!("refused, {reason}")
            }
            Test(file, name) => {
                let path = format!("{}/tests/it/{file}", env!("CARGO_MANIFEST_DIR"));
                let text = fs::read_to_string(path).unwrap();
                assert!(text.contains(&format!("fn {name}(")), "{file}: {name}");
                format!("{name} in {file}")
            }
            Unused(reason) => format!("not used, {reason}"),
        }
    }
}
