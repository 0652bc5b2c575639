//! A directory that fails: sign-ins succeed, and known identities stay.

use std::time::Duration;

use oidc::RefreshGrant;
use secrecy::SecretString;

use super::Deployment;
use crate::support::{
    directory::DirectoryFault,
    faulty_provider::{REFRESH_TOKEN, SUBJECT},
};

const FAULTS: [DirectoryFault; 14] = [
    DirectoryFault::Status(400),
    DirectoryFault::Status(401),
    DirectoryFault::Status(403),
    DirectoryFault::Status(404),
    DirectoryFault::Status(429),
    DirectoryFault::Status(500),
    DirectoryFault::Status(503),
    DirectoryFault::Html,
    DirectoryFault::Truncated,
    DirectoryFault::Hang,
    DirectoryFault::Huge,
    DirectoryFault::Redirect,
    DirectoryFault::BreaksOff,
    DirectoryFault::NextPageAt(9),
];

#[tokio::test]
async fn a_sign_in_succeeds_without_groups_while_the_directory_fails() {
    for deployment in [Deployment::entra().await, Deployment::workspace(None).await] {
        deployment.directory.add("a@example.org", &["someone"]);
        for fault in FAULTS {
            deployment.directory.state().fault = fault;
            let groups = deployment.groups(&["staff@example.org"]).await;
            assert!(groups.is_empty(), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn an_earlier_answer_counts_for_an_hour_at_sign_ins() {
    let deployment = Deployment::entra().await;
    deployment.directory.add("staff", &[SUBJECT]);
    assert_eq!(deployment.groups(&["staff"]).await, ["staff"]);
    // Within a minute, the same answer saves a request.
    assert_eq!(deployment.groups(&["staff"]).await, ["staff"]);
    assert_eq!(deployment.directory.request_count(""), 1);
    deployment.directory.state().fault = DirectoryFault::Status(503);
    for (wait, groups) in [
        (Duration::from_secs(59), &["staff"][..]),
        (Duration::from_mins(58), &["staff"]),
        (Duration::from_mins(2), &[]),
    ] {
        deployment.pair.clock_control.advance(wait);
        assert_eq!(deployment.groups(&["staff"]).await, groups, "{wait:?}");
    }
    // Other rules need another answer.
    deployment.directory.state().fault = DirectoryFault::None;
    deployment.directory.add("board", &[SUBJECT]);
    assert_eq!(deployment.groups(&["staff"]).await, ["staff"]);
    assert_eq!(deployment.groups(&["board"]).await, ["board"]);
    // Groups that the person left are gone with the next answer.
    deployment.directory.add("board", &[]);
    deployment
        .pair
        .clock_control
        .advance(Duration::from_mins(2));
    assert!(deployment.groups(&["board"]).await.is_empty());
}

#[tokio::test]
async fn a_revalidation_takes_new_groups_and_no_identity_without_them() {
    let deployment = Deployment::entra().await;
    deployment.directory.add("staff", &[SUBJECT]);
    assert_eq!(deployment.groups(&["staff"]).await, ["staff"]);
    let policy = super::super::policy(&["group:staff"]);
    let token = SecretString::from(REFRESH_TOKEN);
    let grant = RefreshGrant {
        token: &token,
        subject: SUBJECT,
        nonce: super::super::NONCE,
    };
    let later = Duration::from_mins(10);
    for (fault, members, expected) in [
        (DirectoryFault::None, &[SUBJECT][..], Ok(1)),
        (
            DirectoryFault::Status(503),
            &[SUBJECT],
            Err("group_lookup_failed"),
        ),
        (DirectoryFault::Hang, &[SUBJECT], Err("group_lookup_failed")),
        (DirectoryFault::None, &[], Ok(0)),
    ] {
        deployment.pair.clock_control.advance(later);
        deployment.directory.add("staff", members);
        deployment.directory.state().fault = fault;
        let refreshed = deployment.pair.party.refresh(grant, &policy).await.unwrap();
        let groups = match refreshed.identity {
            Ok(identity) => Ok(identity.unwrap().groups.len()),
            Err(error) => Err(error.as_str()),
        };
        assert_eq!(groups, expected, "{fault:?}");
    }
}
