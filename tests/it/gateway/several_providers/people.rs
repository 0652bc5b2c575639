//! The same `sub` at two providers is two people.

use std::time::Duration;

use http::StatusCode;

use toml::{Table, Value};

use super::{FOR_MEMBERS, Provider, Rig, SECRET, has_session, manual_clock, sign_in};
use crate::{
    documents::markdown::pages,
    support::{
        browser::encode,
        logs::Logs,
        site::{CLIENT_ID, Site, SiteOptions},
    },
};

const RULES: &str = r#"
[[room]]
match = "school-*"
enter = "provider:school"
sign_in.providers = ["school"]

[[room]]
match = "max"
enter = ["subject:school:max"]

[[room]]
match = "*"
enter = "member"
"#;

#[tokio::test]
async fn rules_tell_the_people_of_two_providers_apart() {
    let rig = Rig::start(RULES).await;
    let mut pupil = rig.signed_in(&rig.school, "max").await;
    let mut clerk = rig.signed_in(&rig.firm, "max").await;
    for room in ["school-1", "max"] {
        let query = format!("room={room}");
        assert!(pupil.socket(&query).await.is_ok(), "{room}");
        assert_eq!(
            clerk.socket(&query).await.unwrap_err(),
            StatusCode::FORBIDDEN,
            "{room}"
        );
    }
    assert!(clerk.socket("room=x").await.is_ok());
}

/// The first block of the document, with stand-ins for its providers.
fn documented(providers: &[&Provider]) -> String {
    let page = pages()
        .into_iter()
        .find(|page| page.path == "docs/several-providers.md");
    let blocks = page.unwrap().blocks;
    let block = blocks.iter().find(|block| block.language == "toml");
    let mut configuration: Table = block.unwrap().text.parse().unwrap();
    for entry in configuration["oidc"].as_array_mut().unwrap() {
        let table = entry.as_table_mut().unwrap();
        let id = table["id"].as_str().unwrap();
        let provider = providers.iter().find(|one| one.id == id).unwrap();
        let issuer = Value::from(provider.issuer.as_str());
        table.remove("client_secret_file");
        table.extend([
            ("issuer".to_owned(), issuer),
            ("client_id".to_owned(), CLIENT_ID.into()),
            ("client_secret".to_owned(), SECRET.into()),
            ("insecure_http_issuer".to_owned(), true.into()),
        ]);
    }
    toml::to_string(&configuration).unwrap()
}

#[tokio::test]
async fn the_configuration_of_the_document_does_as_it_says() {
    let (clock, control) = manual_clock();
    let school = Provider::start("school", &clock).await;
    let firm = Provider::start("firm", &clock).await;
    let options = SiteOptions::default().rules(&documented(&[&school, &firm]));
    let site = Site::with(options.clock(clock, control))
        .await
        .ready()
        .await;
    let (mut pupil, mut clerk) = (site.browser(), site.browser());
    sign_in(&mut pupil, &school, "max", "/x").await;
    sign_in(&mut clerk, &firm, "max", "/x").await;
    assert!(pupil.socket("room=class-1").await.is_ok());
    let refused = clerk.socket("room=class-1").await.unwrap_err();
    assert_eq!(refused, StatusCode::FORBIDDEN);
    assert!(clerk.socket("room=x").await.is_ok());
    let url = site
        .browser()
        .navigate("/class-1")
        .await
        .authorization_url();
    assert!(school.has(&url), "{url}");
    let typed = "/_gateway/login?return_to=%2Fx&email=ann%40school.example.org";
    let url = site.browser().navigate(typed).await.authorization_url();
    assert!(school.has(&url), "{url}");
    let page = site.browser().navigate("/x").await.text();
    assert!(
        page.contains("Example School") && page.contains("Example Ltd"),
        "{page}"
    );
}

#[tokio::test]
async fn a_meeting_belongs_to_the_person_of_one_provider() {
    let rig = Rig::start(FOR_MEMBERS).await;
    let mut pupil = rig.signed_in(&rig.school, "max").await;
    let mut clerk = rig.signed_in(&rig.firm, "max").await;
    let made = pupil
        .submit("/_gateway/meetings", &[("name", "Plan")])
        .await;
    let meeting = made.headers[http::header::LOCATION]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        pupil.navigate(&meeting).await.status,
        StatusCode::OK,
        "{meeting}"
    );
    assert_eq!(clerk.navigate(&meeting).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn revocations_and_audit_lines_name_the_person_of_one_provider() {
    let logs = Logs::keep();
    let rig = Rig::start(FOR_MEMBERS).await;
    let mut pupil = rig.signed_in(&rig.school, "max").await;
    let mut clerk = rig.signed_in(&rig.firm, "max").await;
    for subject in ["school:max", "firm:max"] {
        let named = format!("\"subject\":\"{subject}\"");
        assert!(logs.audit().contains(&named), "{subject}");
    }
    for (subject, of_pupil, of_clerk) in [("max", true, true), ("school:max", false, true)] {
        let body = format!("{{\"subject\": \"{subject}\"}}");
        assert_eq!(rig.site.order("/revoke", &body, &[]).await, StatusCode::OK);
        assert_eq!(has_session(&mut pupil).await, of_pupil, "{subject}");
        assert_eq!(has_session(&mut clerk).await, of_clerk, "{subject}");
    }
}

#[tokio::test]
async fn signing_in_with_the_other_provider_ends_the_session_of_the_first() {
    let rig = Rig::start(FOR_MEMBERS).await;
    let mut max = rig.signed_in(&rig.school, "max").await;
    let mut before = max.clone();
    let switch = format!(
        "/_gateway/login?switch=1&provider=firm&return_to={}",
        encode("/x")
    );
    let mut url = max.navigate(&switch).await.authorization_url();
    assert!(rig.firm.has(&url));
    url.query_pairs_mut().append_pair("login_hint", "max");
    assert_eq!(max.follow(url).await.url.path(), "/x");
    assert!(has_session(&mut max).await);
    assert!(!has_session(&mut before).await);
}

#[tokio::test]
async fn a_session_is_revalidated_by_its_own_provider() {
    let rig = Rig::start(FOR_MEMBERS).await;
    let mut pupil = rig.signed_in(&rig.school, "max").await;
    let mut clerk = rig.signed_in(&rig.firm, "max").await;
    let (_of_pupil, _of_clerk) = (
        pupil.socket("room=x").await.unwrap(),
        clerk.socket("room=x").await.unwrap(),
    );
    rig.firm.state.remove_account("max");
    // Past the time at which a session in use is asked for.
    rig.site.clock_control.advance(Duration::from_secs(505));
    for (provider, result) in [("firm", "ended"), ("school", "unchanged")] {
        let line = format!(
            "jitsi_auth_gateway_session_revalidations_total{{provider=\"{provider}\",result=\"{result}\"}} 1\n"
        );
        rig.site
            .wait_for(&line, async || rig.site.metrics().await.contains(&line))
            .await;
    }
    assert!(has_session(&mut pupil).await);
    assert!(!has_session(&mut clerk).await);
}

#[tokio::test]
async fn a_step_up_goes_to_the_provider_of_the_session() {
    let rules = format!(
        "[[room]]\nmatch = \"vault\"\nenter = \"member\"\nrequire.acr = [\"gold\"]\n{FOR_MEMBERS}"
    );
    let rig = Rig::start(&rules).await;
    rig.firm.state.set_classes(&["gold"]);
    let mut clerk = rig.signed_in(&rig.firm, "max").await;
    let url = clerk.navigate("/vault").await.authorization_url();
    assert!(rig.firm.has(&url), "{url}");
    // Another provider, which the address names, would authenticate another person.
    let named = clerk
        .navigate("/_gateway/login?return_to=%2Fvault&provider=school")
        .await;
    assert!(rig.firm.has(&named.authorization_url()));
    let page = sign_in(&mut clerk, &rig.firm, "max", "/vault").await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/vault"));
}
