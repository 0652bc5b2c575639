//! The page that asks which provider.

use http::StatusCode;

use super::{Rig, has_session};
use crate::support::browser::{Browser, Page, encode};

const RULES: &str = r#"
[[room]]
match = "school-*"
enter = "member"
sign_in.providers = ["school"]

[[room]]
match = "*"
enter = "member"
"#;

/// The ids of the offered providers, in the order of the page.
fn offered(page: &Page) -> Vec<String> {
    let text = page.text();
    let links = text.split("href=\"/_gateway/login?").skip(1);
    let id = |link: &str| {
        let query = link.split('"').next().unwrap().replace("&#38;", "&");
        let mut pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        pairs.find(|(name, _)| name == "provider").unwrap().1
    };
    links.map(id).collect()
}

/// Follows the link of a provider.
async fn click(browser: &mut Browser, page: &Page, provider: &str) -> Page {
    let text = page.text();
    let mut links = text
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    let end = format!("provider={provider}");
    let link = links
        .find(|link| link.ends_with(&end))
        .unwrap()
        .replace("&#38;", "&");
    browser.navigate(&link).await
}

#[tokio::test]
async fn a_person_chooses_a_provider_and_the_choice_is_suggested_next_time() {
    let rig = Rig::with("name = \"Example <School>\"", RULES).await;
    let mut browser = rig.site.browser();
    let page = browser.navigate("/room?lang=de").await;
    assert_eq!(
        (page.status, page.url.path()),
        (StatusCode::OK, "/_gateway/login")
    );
    assert_eq!(offered(&page), ["school", "firm"]);
    assert!(
        page.text().contains("Example &#60;School&#62;"),
        "{}",
        page.text()
    );
    // The name of a provider without one is its host.
    assert!(
        page.text().contains("<bdi>127.0.0.1</bdi>"),
        "{}",
        page.text()
    );

    let chosen = click(&mut browser, &page, "firm").await;
    assert!(
        browser.cookie("__Host-gateway-provider").is_none(),
        "not before the sign-in"
    );
    let mut url = chosen.authorization_url();
    assert!(rig.firm.has(&url));
    url.query_pairs_mut().append_pair("login_hint", "max");
    let back = browser.follow(url).await;
    assert_eq!(
        (back.url.path(), back.url.query()),
        ("/room", Some("lang=de"))
    );
    assert_eq!(browser.cookie("__Host-gateway-provider"), Some("firm"));

    browser.navigate("/_gateway/logout").await;
    assert!(!has_session(&mut browser).await);
    let page = browser.navigate("/room").await;
    assert_eq!(
        offered(&page),
        ["firm", "school"],
        "the others are not hidden"
    );
    assert!(page.text().contains("You signed in here last time."));
    // A value that is no provider's id suggests none.
    browser.set_cookie("__Host-gateway-provider", "\"><script>");
    let page = browser.navigate("/room").await;
    assert_eq!(offered(&page), ["school", "firm"]);
    assert!(!page.text().contains("last time"));
}

#[tokio::test]
async fn a_rule_with_one_provider_leaves_the_question_out() {
    let rig = Rig::start(RULES).await;
    for address in [
        "/school-1",
        "/_gateway/login?return_to=%2Fschool-1&provider=firm",
    ] {
        let url = rig
            .site
            .browser()
            .navigate(address)
            .await
            .authorization_url();
        assert!(rig.school.has(&url), "{address} {url}");
    }
    let page = rig
        .site
        .browser()
        .navigate("/_gateway/login?provider=other")
        .await;
    assert_eq!(offered(&page), ["school", "firm"]);
}

#[tokio::test]
async fn a_typed_address_chooses_the_provider_of_its_domain() {
    let rig = Rig::with("email_domains = [\"@School.example.org\"]", RULES).await;
    let address = |email: &str| {
        format!(
            "/_gateway/login?return_to=%2Froom&switch=1&email={}",
            encode(email)
        )
    };
    let mut browser = rig.site.browser();
    let page = browser.navigate("/room").await;
    assert!(page.text().contains("name=\"email\""));
    assert!(
        page.text()
            .contains("<input type=\"hidden\" name=\"return_to\" value=\"/room\">")
    );
    let url = browser
        .navigate(&address(" Ann@SCHOOL.example.org"))
        .await
        .authorization_url();
    assert!(rig.school.has(&url));
    let sent: Vec<_> = url.query_pairs().into_owned().collect();
    let has = |name: &str, value: &str| sent.contains(&(name.to_owned(), value.to_owned()));
    assert!(has("login_hint", "Ann@SCHOOL.example.org"), "{url}");
    assert!(has("prompt", "select_account"), "{url}");
    for other in [
        "ann@example.org",
        "ann@evil-school.example.org",
        "school.example.org",
        "",
    ] {
        let page = browser.navigate(&address(other)).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{other}");
        assert!(page.text().contains("aria-invalid=\"true\""), "{other}");
        assert_eq!(offered(&page), ["school", "firm"], "{other}");
        // The address is not in the links.
        assert!(!page.text().contains("email="), "{other} {}", page.text());
    }
    // Without domains there is nothing to decide by.
    let rig = Rig::start(RULES).await;
    let page = rig.site.browser().navigate("/room").await;
    assert!(!page.text().contains("name=\"email\""));
}

#[tokio::test]
async fn the_way_back_to_an_app_survives_the_choice() {
    let rig = Rig::start(RULES).await;
    let mut browser = rig.site.browser();
    let state =
        r#"{"room":"room","roomSafe":"room","android":true,"config.startWithAudioMuted":true}"#;
    let page = browser
        .navigate(&format!("/_gateway/login?state={}", encode(state)))
        .await;
    let mut url = click(&mut browser, &page, "firm").await.authorization_url();
    url.query_pairs_mut().append_pair("login_hint", "max");
    let back = browser.follow(url).await;
    assert!(
        back.text().contains("intent://meet.example.org/room?jwt="),
        "{}",
        back.text()
    );
}
