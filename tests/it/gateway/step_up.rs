//! Rules that require a stronger or more recent sign-in than a session has.

use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::CREATE;
use crate::support::{
    browser::{Browser, Page},
    logs::Logs,
    site::{Site, SiteOptions},
};

const RULES: &str = r#"
    [[room]]
    match = "vault"
    enter = "member"
    require = { acr = ["gold"], max_age = "15m" }

    [[room]]
    match = "board"
    enter = "member"
    moderators = "group:staff"
    require = { acr = ["gold"], of = "hosts" }

    [[room]]
    match = "lab"
    enter = "member"
    require.amr = ["hwk"]

    [[room]]
    match = "*"
    enter = "member"
"#;

async fn site() -> Site {
    Site::with(SiteOptions::default().rules(RULES))
        .await
        .ready()
        .await
}

/// The parameters by which an authorization request asks for more than a sign-in.
fn asked(url: &Url) -> Vec<(String, String)> {
    let names = ["acr_values", "max_age", "prompt"];
    let pairs = url.query_pairs().into_owned();
    let mut asked: Vec<_> = pairs.filter(|(name, _)| names.contains(&&**name)).collect();
    asked.sort();
    asked
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    expected.iter().map(owned).collect()
}

/// The page names the request, by which the audit line tells the rule; the page does not.
fn assert_audits_refusal(logs: &Logs, page: &Page, room: &str, reason: &str) {
    let text = page.text();
    let (_, id) = text.split_once("<dt>Request ID</dt><dd><bdi>").unwrap();
    let (id, _) = id.split_once('<').unwrap();
    let (id, room) = (
        format!("\"request\":\"{id}\""),
        format!("\"room\":\"{room}\""),
    );
    let audit = logs.audit();
    let line = audit.lines().find(|line| {
        line.contains("\"event\":\"refused\"") && line.contains(&id) && line.contains(&room)
    });
    let line = line.unwrap_or_else(|| panic!("no {id} in {audit}"));
    assert!(line.contains(reason), "{line}");
    assert!(!text.contains("<dt>Rule"), "{text}");
    assert!(!text.to_lowercase().contains("rule 1"), "{text}");
}

#[tokio::test]
async fn a_refusal_names_its_rule_in_the_audit_log_and_not_on_the_page() {
    let logs = Logs::keep();
    let rules = "[[room]]\nmatch = \"board\"\nenter = [\"group:staff\"]\n";
    let site = Site::with(SiteOptions::default().rules(rules));
    let site = site.await.ready().await;
    let mut max = site.signed_in("max").await;
    let page = max.navigate("/board").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_audits_refusal(&logs, &page, "board", "rule 1 lets other people in");
    assert!(page.text().contains("href=\"/_gateway/logout\""));
}

const VAULT: &[(&str, &str)] = &[("acr_values", "gold"), ("max_age", "900")];

/// Whether neither transport admits to the room.
async fn is_kept_out(browser: &mut Browser, room: &str) -> bool {
    let query = format!("room={room}");
    let bosh = browser.bosh(&query, CREATE).await.text();
    let socket = browser.socket(&query).await;
    assert_eq!(bosh.contains("policy-violation"), socket.is_err(), "{bosh}");
    socket.is_err_and(|status| status == StatusCode::FORBIDDEN)
}

#[tokio::test]
async fn a_person_is_led_through_a_stronger_sign_in_and_again_when_it_is_old() {
    let site = site().await;
    site.provider.set_classes(&["silver", "gold"]);
    let mut max = site.signed_in("max").await;
    assert!(is_kept_out(&mut max, "vault").await);
    assert!(!is_kept_out(&mut max, "other").await);
    // By the room's page, which leads to the login.
    let url = max.navigate("/vault?lang=de").await.authorization_url();
    assert_eq!(asked(&url), pairs(VAULT));
    let page = max.finish("max", &url).await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/vault"));
    assert_eq!(page.url.query(), Some("lang=de"));
    assert!(!is_kept_out(&mut max, "vault").await);
    // A minute is for the difference of the clocks.
    site.clock_control.advance(Duration::from_secs(961));
    assert!(is_kept_out(&mut max, "vault").await);
    let url = max.begin("/vault").await;
    assert_eq!(asked(&url), pairs(VAULT));
    let page = max.finish("max", &url).await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/vault"));
}

#[tokio::test]
async fn a_sign_in_without_what_was_asked_for_ends_with_a_page_and_no_loop() {
    let logs = Logs::keep();
    let site = site().await;
    let mut max = site.signed_in("max").await;
    let url = max.begin("/vault").await;
    for page in [max.finish("max", &url).await, max.navigate("/vault").await] {
        let text = page.text();
        assert_audits_refusal(&logs, &page, "vault", "rule 1 requires a stronger");
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{text}");
        assert_eq!(page.url.path(), "/vault");
        assert!(text.contains("acr gold, max_age 900 s"), "{text}");
        assert!(text.contains("stronger or more recent"), "{text}");
        assert!(
            text.contains("/_gateway/login?return_to=%2Fvault"),
            "{text}"
        );
    }
    assert!(is_kept_out(&mut max, "vault").await);
    assert_eq!(max.navigate("/other").await.status, StatusCode::OK);
    // The page's button asks once more, and so does another visit later.
    site.provider.set_classes(&["gold"]);
    let again = max
        .navigate("/_gateway/login?return_to=%2Fvault&switch=1")
        .await
        .authorization_url();
    let with_choice = [VAULT, &[("prompt", "select_account")]].concat();
    assert_eq!(asked(&again), pairs(&with_choice));
    site.clock_control.advance(Duration::from_secs(61));
    let later = max.navigate("/vault").await.authorization_url();
    assert_eq!(asked(&later), pairs(VAULT));
    let page = max.finish("max", &later).await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/vault"));
}

#[tokio::test]
async fn whom_a_rule_concerns_is_asked_at_the_first_sign_in_or_after_it() {
    let site = site().await;
    site.provider.set_classes(&["gold"]);
    // All members: one sign-in is enough.
    let mut max = site.browser();
    let url = max.begin("/vault").await;
    assert_eq!(asked(&url), pairs(VAULT));
    assert_eq!(max.finish("max", &url).await.url.path(), "/vault");
    // Hosts only: who is one is known after the sign-in.
    let mut mia = site.browser();
    let url = mia.begin("/board").await;
    assert!(asked(&url).is_empty());
    let page = mia.finish("mia", &url).await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/board"));
    let mut hanna = site.browser();
    let url = hanna.begin("/board").await;
    assert!(asked(&url).is_empty());
    let page = hanna.finish("hanna", &url).await;
    assert_eq!(page.url.path(), "/_gateway/login", "{page:?}");
    assert!(is_kept_out(&mut hanna, "board").await);
    let url = page.authorization_url();
    assert_eq!(asked(&url), pairs(&[("acr_values", "gold")]));
    let page = hanna.finish("hanna", &url).await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/board"));
    // A method needs a new authentication.
    let url = hanna.begin("/lab").await;
    assert_eq!(asked(&url), pairs(&[("prompt", "login")]));
    let page = hanna.finish("hanna", &url).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.text().contains("amr hwk"), "{}", page.text());
}
