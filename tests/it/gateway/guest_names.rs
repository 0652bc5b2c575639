//! The name that a guest entered last, which the browser remembers for the next form.

use http::StatusCode;

use crate::support::{
    browser::{Browser, Page},
    site::{Site, SiteOptions},
};

const NAME: &str = "__Host-gateway-name";

async fn site() -> Site {
    let rules = "[[room]]\nmatch = \"*\"\nenter = \"guest\"\nstart = \"anyone\"\n";
    Site::with(SiteOptions::default().rules(rules))
        .await
        .ready()
        .await
}

async fn join(browser: &mut Browser, room: &str, name: &str, remember: bool) -> Page {
    let mut fields = vec![("room", room), ("name", name)];
    fields.extend(remember.then_some(("remember", "1")));
    browser.submit("/_gateway/join", &fields).await
}

/// The text that the field for the name begins with.
async fn initial_name(browser: &mut Browser, room: &str) -> Option<String> {
    let page = browser.navigate(room).await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    let (_, field) = text.split_once("<input id=\"name\"").unwrap();
    let (field, _) = field.split_once('>').unwrap();
    let (_, value) = field.split_once(" value=\"")?;
    Some(value.split_once('"').unwrap().0.to_owned())
}

#[tokio::test]
async fn the_next_form_begins_with_the_name_that_was_to_be_remembered() {
    let site = site().await;
    let mut guest = site.browser();
    assert_eq!(initial_name(&mut guest, "/a").await, None);
    let entered = join(&mut guest, "a", "Zoë <b>", true).await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER);
    assert_eq!(guest.cookie(NAME), Some("Zo%C3%AB%20%3Cb%3E"));
    let initial = initial_name(&mut guest, "/b").await;
    assert_eq!(initial.as_deref(), Some("Zoë &#60;b&#62;"));
    // The name alone admits no guest, and the gateway does not forward it to Jitsi's web server.
    let next = guest.navigate("/b").await;
    assert!(next.text().contains("/_gateway/join"), "{next:?}");
    // Without the box, the browser forgets the name.
    join(&mut guest, "b", "Zoë", false).await;
    assert_eq!(guest.cookie(NAME).unwrap_or_default(), "");
    assert_eq!(initial_name(&mut guest, "/c").await, None);
    let page = guest.navigate("/c").await.text();
    assert!(
        page.contains("name=\"remember\" value=\"1\" checked"),
        "{page}"
    );
}

#[tokio::test]
async fn a_sign_out_and_an_empty_field_forget_the_name() {
    let site = site().await;
    for forgets_by_field in [true, false] {
        let mut guest = site.browser();
        join(&mut guest, "a", "Zoë", true).await;
        assert_eq!(initial_name(&mut guest, "/b").await.as_deref(), Some("Zoë"));
        if forgets_by_field {
            let page = join(&mut guest, "b", " ", true).await;
            assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        } else {
            guest.navigate("/_gateway/logout").await;
        }
        assert_eq!(initial_name(&mut guest, "/b").await, None);
    }
}

#[tokio::test]
async fn a_cookie_that_no_form_could_have_stored_is_ignored() {
    let site = site().await;
    let long = "x".repeat(61);
    for planted in ["a%0Ab", "a%E2%80%AEb", "%ff", "%20", &*long, "\"><script>"] {
        let mut guest = site.browser();
        guest.set_cookie(NAME, planted);
        let initial = initial_name(&mut guest, "/a").await;
        let escaped = (planted == "\"><script>").then_some("&#34;&#62;&#60;script&#62;");
        assert_eq!(initial.as_deref(), escaped, "{planted}");
    }
}

#[tokio::test]
async fn the_name_of_a_member_is_not_remembered() {
    let site = site().await;
    let mut max = site.signed_in("max").await;
    join(&mut max, "a", "Max Member", true).await;
    assert_eq!(max.cookie(NAME), None);
}
