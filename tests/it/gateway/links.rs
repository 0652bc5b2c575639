//! Links: what their holders may, and no more.

use http::StatusCode;
use url::Url;

use crate::support::{
    browser::{Browser, Page},
    site::{ORIGIN, Site, Wishes},
};

/// Guests may enter, hosts open.
const RULES: &str = "[[room]]\nmatch = \"*\"\nenter = \"guest\"\nstart = \"host\"\n";

/// What a meeting's page passes on.
struct Meeting {
    room: String,
    host: String,
    guest: String,
}

async fn site() -> Site {
    let wishes = Wishes {
        rules: RULES,
        ..Wishes::default()
    };
    Site::with(wishes).await.ready().await
}

async fn make(browser: &mut Browser, name: &str) -> Meeting {
    let made = browser
        .submit("/_gateway/meetings", &[("name", name)])
        .await;
    let path = made.headers["location"].to_str().unwrap().to_owned();
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

/// Path and query of the links on a page, in their order.
fn invitations(page: &Page) -> Vec<String> {
    let text = page.text();
    let start = format!("value=\"{ORIGIN}");
    let values = text.split(&start).skip(1);
    let paths = values.filter_map(|rest| rest.split('"').next());
    let links = paths.filter(|path| path.contains("invite="));
    links.map(ToOwned::to_owned).collect()
}

/// Enters by a link, as somebody without an account.
async fn enter(browser: &mut Browser, link: &str, name: &str) -> Page {
    let url = Url::parse(ORIGIN).unwrap().join(link).unwrap();
    let page = browser.load(&url).await;
    assert!(page.text().contains("/_gateway/join"), "{page:?}");
    let (path, invite) = link.split_once("?invite=").unwrap();
    let room = path.trim_start_matches('/');
    let fields = [("room", room), ("invite", invite), ("name", name)];
    browser.submit("/_gateway/join", &fields).await
}

#[tokio::test]
async fn a_link_makes_no_other_links() {
    let site = site().await;
    let mut hanna = site.signed_in("hanna").await;
    let meeting = make(&mut hanna, "Plan").await;
    let path = format!("/_gateway/meeting?room={}", meeting.room);
    let file = format!("/_gateway/meeting.ics?room={}", meeting.room);
    // A link ends and can be revoked; what its holder could make of it would not end with it.
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
