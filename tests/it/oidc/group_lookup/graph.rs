//! Entra ID's overage of groups, by Microsoft Graph.

use serde_json::json;

use super::Deployment;
use crate::support::{directory::DirectoryFault, faulty_provider::ACCESS_TOKEN};

#[tokio::test]
async fn people_of_too_many_groups_have_those_of_the_directory() {
    let deployment = Deployment::entra().await;
    for number in 0..250 {
        deployment
            .directory
            .add(&format!("group-{number:03}"), &[PERSON]);
    }
    deployment.directory.add("staff", &["group-007"]);
    deployment.directory.add("company", &["staff"]);
    deployment.directory.add("board", &["somebody-else"]);
    for page in [usize::MAX, 100] {
        deployment.directory.state().page = page;
        let named = ["group-249", "staff", "company", "board"];
        let mut groups = deployment.groups(&named).await;
        groups.sort_unstable();
        assert_eq!(groups, ["company", "group-249", "staff"], "{page}");
        let pattern = deployment.groups(&["group-24*"]).await;
        assert_eq!(pattern.len(), 10, "{pattern:?}");
        deployment.pair.clock_control.advance(A_WHILE);
    }
    // One page, and three, for each of the two policies.
    assert_eq!(deployment.directory.request_count("transitiveMemberOf"), 8);
}

#[tokio::test]
async fn the_directory_is_asked_only_for_groups_that_a_rule_names_and_the_token_lacks() {
    let deployment = Deployment::entra().await;
    deployment.directory.add("staff", &[PERSON]);
    let overage = json!({ "_claim_names": { "groups": "src1" } });
    for (claims, named, groups, requests) in [
        (overage.clone(), &[][..], &[][..], 0),
        (json!({}), &["staff"], &[], 0),
        (json!({ "groups": ["staff"] }), &["staff"], &["staff"], 0),
        (
            json!({ "groups": [], "_claim_names": { "groups": "src1" } }),
            &["staff"],
            &[],
            0,
        ),
        (json!({ "hasgroups": true }), &["staff"], &["staff"], 1),
        (overage, &["staff"], &["staff"], 1),
    ] {
        let before = deployment.directory.request_count("");
        deployment.pair.clock_control.advance(A_WHILE);
        deployment.claims(claims.clone());
        assert_eq!(deployment.groups(named).await, groups, "{claims}");
        let asked = deployment.directory.request_count("") - before;
        assert_eq!(asked, requests, "{claims}");
    }
}

#[tokio::test]
async fn an_access_token_stays_at_the_directory() {
    let deployment = Deployment::entra().await;
    let other = Deployment::entra().await.directory;
    deployment.directory.add("a", &[PERSON]);
    deployment.directory.add("b", &[PERSON]);
    deployment.directory.state().page = 1;
    deployment.directory.state().fault = DirectoryFault::NextPageAt(other.address.port());
    // The first page has no group that a rule names.
    assert!(deployment.groups(&["b"]).await.is_empty());
    assert_eq!(deployment.directory.request_count("transitiveMemberOf"), 1);
    assert_eq!(other.request_count(""), 0);
}

#[tokio::test]
async fn a_missing_permission_ends_no_sign_in() {
    let deployment = Deployment::entra().await;
    deployment.directory.add("staff", &[PERSON]);
    let token = deployment
        .directory
        .state()
        .access_tokens
        .remove(ACCESS_TOKEN);
    assert!(deployment.groups(&["staff"]).await.is_empty(), "401");
    let without_scope = (token.unwrap().0, false);
    deployment
        .directory
        .state()
        .access_tokens
        .insert(ACCESS_TOKEN.to_owned(), without_scope);
    assert!(deployment.groups(&["staff"]).await.is_empty(), "403");
}

const PERSON: &str = crate::support::faulty_provider::SUBJECT;

/// Longer than an answer saves a request.
const A_WHILE: std::time::Duration = std::time::Duration::from_mins(2);
