//! Sessions without a refresh token are renewed by the browser, if `oidc.silent_renewal` is set.

use std::time::Duration;

use devkit::provider::DevAccount;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{revalidation::is_open, revocation::closed_with};
use crate::support::{
    browser::{Browser, Page},
    logs::Logs,
    site::{ORIGIN, Site, SiteOptions},
};

/// More than the default of `oidc.revalidate`.
const DUE: Duration = Duration::from_secs(601);

const RULES: &str = r#"
[oidc]
silent_renewal = true
[[room]]
match = "board"
enter = ["group:board"]
[[room]]
match = "*"
enter = "member"
"#;

async fn site() -> Site {
    let options = SiteOptions::default().rules(RULES);
    Site::with(options).await.ready().await
}

/// Opens a page, and goes to the provider and back if the page of the way does; returns the page and the address of the
/// authorization request.
async fn open(browser: &mut Browser, path: &str) -> (Page, Option<Url>) {
    let page = browser.navigate(path).await;
    if page.url.path() != "/_gateway/login" {
        return (page, None);
    }
    let address = page.authorization_url();
    (browser.follow(address.clone()).await, Some(address))
}

fn query<'a>(address: &'a Url, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    let mut pairs = address.query_pairs();
    pairs.find(|(own, _)| own == name).map(|(_, value)| value)
}

#[tokio::test]
async fn a_page_renews_the_session_with_the_claims_of_now() {
    let site = site().await;
    let board = |groups: &[&str]| DevAccount::new("bea", "Bea Board", groups);
    site.provider.set_account(board(&["board"]));
    let mut bea = site.signed_in("bea").await;
    let session = bea.cookie("__Host-gateway-session").unwrap().to_owned();
    site.provider.set_account(board(&[]));
    site.clock_control.advance(DUE);
    let (page, address) = open(&mut bea, "/board?lang=de").await;
    let address = address.unwrap();
    assert_eq!(query(&address, "prompt").unwrap(), "none");
    assert!(query(&address, "id_token_hint").unwrap().split('.').count() == 3);
    assert_eq!(
        (page.status, page.url.path()),
        (StatusCode::FORBIDDEN, "/board")
    );
    assert_ne!(bea.cookie("__Host-gateway-session"), Some(&*session));
    // It is as good as a sign-in of now.
    let (page, address) = open(&mut bea, "/x?lang=de").await;
    assert_eq!((page.status, address), (StatusCode::OK, None));
    assert_eq!(page.url.query(), Some("lang=de"));
}

#[tokio::test]
async fn a_person_whom_the_provider_does_not_know_any_more_is_out() {
    let logs = Logs::keep();
    let site = site().await;
    let mut max = site.signed_in("max").await;
    // The meeting began before the session was renewed.
    let mut socket = max.socket("room=x").await.unwrap();
    site.clock_control.advance(DUE);
    let (_, address) = open(&mut max, "/x").await;
    assert!(address.is_some());
    let mut later = max.socket("room=x").await.unwrap();
    assert!(is_open(&mut socket).await);
    site.provider.remove_account("max");
    site.clock_control.advance(DUE);
    let (page, _) = open(&mut max, "/x").await;
    // On the way to the provider, which asks who it is.
    assert_eq!(page.url.path(), "/_gateway/login");
    assert_eq!(query(&page.authorization_url(), "prompt"), None);
    for socket in [&mut socket, &mut later] {
        assert_eq!(closed_with(socket).await, 1008);
    }
    assert_eq!(
        max.socket("room=x").await.unwrap_err(),
        StatusCode::FORBIDDEN
    );
    let audit = logs.audit();
    let refused = "\"event\":\"revalidation_refused\",\"reason\":\"sign_in_required\"";
    assert!(audit.contains(refused));
}

#[tokio::test]
async fn a_refusal_that_comes_late_ends_no_newer_session() {
    let site = site().await;
    let mut max = site.signed_in("max").await;
    site.clock_control.advance(DUE);
    let slow = max.navigate("/x?tab=slow").await.authorization_url();
    max.sign_in("max", "/x").await;
    let mut socket = max.socket("room=x").await.unwrap();
    let mut callback = Url::parse(&format!("{ORIGIN}/_gateway/callback")).unwrap();
    callback.query_pairs_mut().extend_pairs([
        ("error", "login_required"),
        ("state", &query(&slow, "state").unwrap()),
        ("iss", site.issuer()),
    ]);
    let page = max.follow(callback).await;
    assert_eq!(
        (page.status, page.url.query()),
        (StatusCode::OK, Some("tab=slow"))
    );
    assert!(is_open(&mut socket).await);
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_ends_no_session() {
    let site = site().await;
    let mut max = site.signed_in("max").await;
    let mut socket = max.socket("room=x").await.unwrap();
    site.provider.set_overloaded(true);
    site.clock_control.advance(DUE);
    let (page, address) = open(&mut max, "/x").await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/x"));
    assert!(address.is_some());
    // The next page does not ask again at once; its cookie ends after a minute.
    let postponed = max.cookie("__Host-gateway-postponed");
    assert!(postponed.is_some());
    let (page, address) = open(&mut max, "/x").await;
    assert_eq!((page.status, address), (StatusCode::OK, None));
    assert!(is_open(&mut socket).await);
    site.provider.set_overloaded(false);
    max.forget("__Host-gateway-postponed");
    let (page, address) = open(&mut max, "/x").await;
    assert!(page.status == StatusCode::OK && address.is_some());
    assert!(is_open(&mut socket).await);
}

#[tokio::test]
async fn only_a_page_that_is_due_goes_to_the_provider() {
    let site = site().await;
    let mut max = site.signed_in("max").await;
    // A link of another site cannot renew, and so cannot end, a session before its time.
    let early = max.navigate("/_gateway/login?return_to=%2Fx&renew=1").await;
    assert_eq!(early.url.path(), "/x");
    site.clock_control.advance(DUE);
    let url = Url::parse(&format!("{ORIGIN}/x")).unwrap();
    for (method, destination, expected) in [
        (Method::GET, "document", StatusCode::SEE_OTHER),
        (Method::HEAD, "document", StatusCode::OK),
        (Method::GET, "iframe", StatusCode::OK),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("sec-fetch-dest", HeaderValue::from_static(destination));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
        let page = max
            .send(method.clone(), &url, headers, bytes::Bytes::new())
            .await;
        assert_eq!(page.status, expected, "{method} {destination}");
    }
    // A socket is admitted without it.
    assert!(max.socket("room=x").await.is_ok());
}

#[tokio::test]
async fn without_the_option_a_session_goes_on() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    site.clock_control.advance(DUE);
    let (page, address) = open(&mut max, "/x").await;
    assert_eq!((page.status, address), (StatusCode::OK, None));
}
