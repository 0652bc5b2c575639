//! Links: roles, uses, revocation, and their relation to sessions.

use http::StatusCode;
use serde_json::json;
use url::Url;

use crate::support::{
    browser::{Browser, Page},
    school::{self, Link},
    site::{ORIGIN, Site, SiteOptions},
};

/// Guests may enter, hosts open rooms.
const RULES: &str = "[[room]]\nmatch = \"*\"\nenter = \"guest\"\nstart = \"host\"\n";

/// The links on a meeting's page.
struct Meeting {
    room: String,
    host: String,
    guest: String,
}

async fn site() -> Site {
    let options = SiteOptions::default().rules(RULES);
    Site::with(options).await.ready().await
}

async fn make(browser: &mut Browser, name: &str) -> Meeting {
    let created = browser
        .submit("/_gateway/meetings", &[("name", name)])
        .await;
    let path = created.headers["location"].to_str().unwrap().to_owned();
    let page = browser.navigate(&path).await;
    let (_, room) = path.split_once("room=").unwrap();
    let links = invitations(&page);
    assert_eq!(links.len(), 2, "{}", page.text());
    Meeting {
        room: room.to_owned(),
        guest: links[0].clone(),
        host: links[1].clone(),
    }
}

fn token_of(link: &str) -> &str {
    let (_, token) = link.split_once("?invite=").unwrap();
    token
}

/// Path and query of the links on a page, in order.
fn invitations(page: &Page) -> Vec<String> {
    let text = page.text();
    let start = format!("value=\"{ORIGIN}");
    let values = text.split(&start).skip(1);
    let paths = values.filter_map(|rest| rest.split('"').next());
    let links = paths.filter(|path| path.contains("invite="));
    links.map(ToOwned::to_owned).collect()
}

/// Opens a link with a display name, without an account.
pub(super) async fn enter(browser: &mut Browser, link: &str, name: &str) -> Page {
    let url = Url::parse(ORIGIN).unwrap().join(link).unwrap();
    let page = browser.load(&url).await;
    assert!(page.text().contains("/_gateway/join"), "{page:?}");
    let room = url.path().trim_start_matches('/');
    let fields = [("room", room), ("invite", token_of(link)), ("name", name)];
    browser.submit("/_gateway/join", &fields).await
}

#[tokio::test]
async fn a_host_link_grants_no_further_links() {
    let site = site().await;
    let mut hanna = site.signed_in("hanna").await;
    let meeting = make(&mut hanna, "Plan").await;
    let path = format!("/_gateway/meeting?room={}", meeting.room);
    let file = format!("/_gateway/meeting.ics?room={}", meeting.room);
    // Further links would outlast the expiry or revocation of this one.
    let mut stranger = site.browser();
    let entered = enter(&mut stranger, &meeting.host, "Zoë").await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER);
    let mut member = site.signed_in("max").await;
    assert_eq!(member.navigate(&meeting.host).await.status, StatusCode::OK);
    for (who, browser) in [("stranger", &mut stranger), ("member", &mut member)] {
        assert!(
            browser
                .socket(&format!("room={}", meeting.room))
                .await
                .is_ok()
        );
        for path in [&path, &file] {
            let page = browser.navigate(path).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{who} {path}");
            assert!(!page.text().contains("invite="), "{who} {path}");
        }
    }
    assert_eq!(invitations(&hanna.navigate(&path).await).len(), 2);
}

#[tokio::test]
async fn a_used_up_link_reopens_for_its_holder() {
    let site = Site::with(SiteOptions::default().rules(school::RULES));
    let site = site.await.ready().await;
    let Link { path: link, .. } = Link::make(&site, "host", json!({"uses": 1})).await;
    let mut mia = site.browser();
    let entered = enter(&mut mia, &link, "Mia").await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER);
    // Opened again, and the form submitted again after going back.
    let again = mia.navigate(&link).await;
    assert_eq!(
        (again.status, again.url.path()),
        (StatusCode::OK, "/school-7b")
    );
    assert!(!again.text().contains("/_gateway/join"), "{}", again.text());
    let form = [
        ("room", "school-7b"),
        ("invite", token_of(&link)),
        ("name", "Mia"),
    ];
    let posted = mia.submit("/_gateway/join", &form).await;
    assert_eq!(posted.status, StatusCode::SEE_OTHER);
    // Refused for others, before they state a name; cross-site forms consume no use.
    let mut other = site.browser();
    let late = other.navigate(&link).await;
    assert_eq!(late.status, StatusCode::GONE, "{}", late.text());
    assert!(!late.text().contains("/_gateway/join"), "{}", late.text());
    let form = form.map(|(field, value)| (field, if field == "name" { "Max" } else { value }));
    let posted = other.submit("/_gateway/join", &form).await;
    assert_eq!(posted.status, StatusCode::GONE, "{}", posted.text());
}

#[tokio::test]
async fn a_guest_link_does_not_demote_a_host() {
    let site = site().await;
    let mut hanna = site.signed_in("hanna").await;
    let meeting = make(&mut hanna, "Plan").await;
    let mut zoe = site.browser();
    enter(&mut zoe, &meeting.host, "Zoë").await;
    // A host opens the guest link, on purpose or by a page of another site.
    assert_eq!(zoe.navigate(&meeting.guest).await.url.query(), None);
    assert!(zoe.socket(&format!("room={}", meeting.room)).await.is_ok());
    let guest = [
        ("room", &*meeting.room),
        ("invite", token_of(&meeting.guest)),
        ("name", "Z"),
    ];
    zoe.submit("/_gateway/join", &guest).await;
    // The room is empty, so a guest would wait.
    assert!(zoe.socket(&format!("room={}", meeting.room)).await.is_ok());
}

#[tokio::test]
async fn sign_out_removes_all_passes() {
    let site = Site::with(
        SiteOptions::default().rules("[[room]]\nmatch = \"*\"\nenter = [\"owner\", \"link\"]\n"),
    );
    let site = site.await.ready().await;
    let mut hanna = site.signed_in("hanna").await;
    let meeting = make(&mut hanna, "Plan").await;
    let query = format!("room={}", meeting.room);
    let mut max = site.signed_in("max").await;
    assert_eq!(max.navigate(&meeting.host).await.status, StatusCode::OK);
    assert!(max.socket(&query).await.is_ok());
    let before = max.clone();
    max.navigate("/_gateway/logout").await;
    // The browser has no access, and copies of its cookies are refused.
    let kept = max.cookie_values();
    assert!(
        kept.iter().all(|value| !value.starts_with("AX")),
        "{kept:?}"
    );
    for mut browser in [max, before] {
        let refused = browser.socket(&query).await.unwrap_err();
        assert_eq!(refused, StatusCode::FORBIDDEN);
    }

    // The next account in this browser has no access from the link.
    let mut shared = site.signed_in("max").await;
    assert_eq!(shared.navigate(&meeting.host).await.status, StatusCode::OK);
    assert!(shared.socket(&query).await.is_ok());
    let url = shared
        .navigate("/_gateway/login?return_to=/robots.txt&switch=1")
        .await
        .authorization_url();
    shared.finish("mia", &url).await;
    let refused = shared.socket(&query).await.unwrap_err();
    assert_eq!(refused, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn sign_in_keeps_the_opened_link() {
    let site = site().await;
    let mut hanna = site.signed_in("hanna").await;
    let meeting = make(&mut hanna, "Plan").await;
    let mut max = site.browser();
    enter(&mut max, &meeting.host, "Max").await;
    max.sign_in("max", "/robots.txt").await;
    assert!(max.socket(&format!("room={}", meeting.room)).await.is_ok());
}

#[tokio::test]
async fn claims_of_links_and_guests_match_no_account_rule() {
    let rules = school::RULES.replace(
        "start = \"host\"",
        "start = \"host\"\nmoderators = [\"email:mia@example.org\", \"email-domain:example.org\", \
         \"subject:hanna\", \"group:staff\"]",
    );
    let site = Site::with(SiteOptions::default().rules(&rules));
    let site = site.await.ready().await;
    let claims = json!({"name": "hanna", "email": "mia@example.org"});
    let link = Link::make(&site, "guest", claims).await;
    let refused = StatusCode::FORBIDDEN;
    let mut mia = site.browser();
    let page = mia.navigate(&link.path).await;
    assert!(
        page.text().contains("/_gateway/events"),
        "she waits: {page:?}"
    );
    assert_eq!(mia.socket("room=school-7b").await.unwrap_err(), refused);
    let mut guest = site.browser();
    for name in [
        "hanna",
        "mia@example.org",
        "recorder",
        "guest:x",
        "integration:school:t1",
    ] {
        let form = [("room", "school-7b"), ("name", name)];
        let entered = guest.submit("/_gateway/join", &form).await;
        assert_eq!(entered.status, StatusCode::SEE_OTHER, "{name}");
        assert_eq!(
            guest.socket("room=school-7b").await.unwrap_err(),
            refused,
            "{name}"
        );
    }
}
