//! A Google Workspace's groups, by the Directory API and a service account.

use std::time::Duration;

use serde_json::json;

use super::Deployment;
use crate::support::{directory::AccountKey, faulty_provider::SUBJECT, logs::Logs};

#[tokio::test]
async fn people_of_a_workspace_have_the_groups_that_rules_name() {
    for administrator in [None, Some("reader@example.org")] {
        let deployment = Deployment::workspace(administrator).await;
        for number in 0..5 {
            let group = format!("course-{number}@example.org");
            deployment.directory.add(&group, &[SUBJECT]);
        }
        deployment.directory.state().page = 2;
        deployment
            .directory
            .add("staff@example.org", &["course-3@example.org"]);
        deployment.directory.add("board@example.org", &["someone"]);
        let named = [
            "course-4@example.org",
            "staff@example.org",
            "board@example.org",
            "gone@example.org",
        ];
        let groups = deployment.groups(&named).await;
        assert_eq!(
            groups,
            ["course-4@example.org", "staff@example.org"],
            "{administrator:?}"
        );
        // Patterns apply to the groups that the person was added to.
        let groups = deployment.groups(&["course-*@example.org"]).await;
        assert_eq!(groups.len(), 5, "{groups:?}");
    }
}

#[tokio::test]
async fn people_outside_the_workspace_have_the_groups_that_they_were_added_to() {
    let deployment = Deployment::workspace(None).await;
    deployment.directory.add("staff@example.org", &[SUBJECT]);
    deployment.claims(json!({}));
    assert!(deployment.groups(&["staff@example.org"]).await.is_empty());
    assert_eq!(
        deployment.directory.request_count(""),
        0,
        "a private account"
    );
    deployment.claims(json!({ "hd": "other.example" }));
    deployment.directory.state().people.clear();
    deployment.directory.add("staff@example.org", &["someone"]);
    deployment.directory.add("guests@example.org", &[SUBJECT]);
    let named = ["staff@example.org", "guests@example.org"];
    assert_eq!(deployment.groups(&named).await, ["guests@example.org"]);
}

#[tokio::test]
async fn a_service_account_gets_an_access_token_for_each_hour() {
    let deployment = Deployment::workspace(None).await;
    deployment.directory.add("staff@example.org", &[SUBJECT]);
    for (wait, tokens) in [
        (Duration::ZERO, 1),
        (Duration::from_mins(2), 1),
        (Duration::from_mins(50), 1),
        (Duration::from_mins(10), 2),
    ] {
        deployment.pair.clock_control.advance(wait);
        let groups = deployment.groups(&["staff@example.org"]).await;
        assert_eq!(groups, ["staff@example.org"]);
        assert_eq!(
            deployment.directory.request_count("/token"),
            tokens,
            "{wait:?}"
        );
    }
    // A token that the directory does not accept is replaced at the next sign-in.
    deployment.directory.state().issued.clear();
    for tokens in [2, 3] {
        deployment
            .pair
            .clock_control
            .advance(Duration::from_mins(2));
        let groups = deployment.groups(&["staff@example.org"]).await;
        assert_eq!(
            groups,
            ["staff@example.org"],
            "an earlier answer, then a new one"
        );
        assert_eq!(deployment.directory.request_count("/token"), tokens);
    }
}

#[tokio::test]
async fn a_service_account_that_is_refused_is_named_and_ends_no_sign_in() {
    let logs = Logs::keep();
    let other_key = AccountKey::generate();
    for (change, reason) in [
        ("key", "invalid_grant"),
        ("email", "invalid_grant"),
        ("administrator", "unauthorized_client"),
    ] {
        let deployment = Deployment::workspace(Some("reader@example.org")).await;
        deployment.directory.add("staff@example.org", &[SUBJECT]);
        {
            let mut state = deployment.directory.state();
            match change {
                "key" => state.accounts[0].keys = other_key.public(),
                "email" => {
                    "other@project.iam.gserviceaccount.com"
                        .clone_into(&mut state.accounts[0].email);
                }
                _ => state.accounts[0].administrators.clear(),
            }
        }
        assert!(
            deployment.groups(&["staff@example.org"]).await.is_empty(),
            "{change}"
        );
        let told = format!("the service account got no access token ({reason})");
        assert!(!logs.lines_with(&told).is_empty(), "{change}");
    }
}
