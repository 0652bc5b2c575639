//! Additional parameters of authorization requests: of the configuration, of a room, and the language.

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use url::Url;

use crate::support::{
    browser::navigation,
    site::{ORIGIN, Site, SiteOptions},
};

const RULES: &str = r#"
    [oidc.parameters]
    hd = "example.org"
    kc_idp_hint = "google"

    [[room]]
    match = "partner-*"
    enter = "member"
    sign_in.parameters = { kc_idp_hint = "git hub & co" }

    [[room]]
    match = "*"
    enter = "member"
"#;

/// The values of a parameter.
fn values(url: &Url, name: &str) -> Vec<String> {
    let pairs = url.query_pairs().filter(|(other, _)| other == name);
    pairs.map(|(_, value)| value.into_owned()).collect()
}

#[tokio::test]
async fn a_room_names_its_own_parameters_and_strangers_name_none() {
    let options = SiteOptions::default().rules(RULES);
    let site = Site::with(options).await.ready().await;
    let outside = "/_gateway/login?return_to=%2Froom&hd=evil&kc_idp_hint=evil&scope=x&prompt=none\
                   &acr_values=0&max_age=1&request=x&ui_locales=tlh";
    for (path, hint) in [
        ("/room", "google"),
        ("/partner-1", "git hub & co"),
        ("/acme/Partner-1?lang=de", "git hub & co"),
        ("/", "google"),
        (outside, "google"),
    ] {
        let url = match path {
            "/" => site.browser().begin(path).await,
            path => site.browser().navigate(path).await.authorization_url(),
        };
        assert_eq!(values(&url, "kc_idp_hint"), [hint], "{path}");
        assert_eq!(values(&url, "hd"), ["example.org"], "{path}");
        assert_eq!(values(&url, "scope"), ["openid profile email"], "{path}");
        for name in ["prompt", "acr_values", "max_age", "request", "ui_locales"] {
            assert!(values(&url, name).is_empty(), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn the_provider_is_asked_for_the_language_of_our_page() {
    for (text, expected) in [
        ("", [("de-AT, en;q=0.5", vec!["de"]), ("fi", vec![])]),
        (
            "[oidc.parameters]\nui_locales = \"fr\"",
            [("de", vec!["fr"]), ("fi", vec!["fr"])],
        ),
    ] {
        let rules = format!("{text}\n[[room]]\nmatch = \"*\"\nenter = \"member\"");
        let options = SiteOptions::default().rules(&rules);
        let site = Site::with(options).await.ready().await;
        for (accepted, languages) in expected {
            let url = Url::parse(&format!("{ORIGIN}/_gateway/login?return_to=%2Froom")).unwrap();
            let mut headers = navigation();
            headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static(accepted));
            let mut browser = site.browser();
            let page = browser.send(Method::GET, &url, headers, Bytes::new()).await;
            let sent = values(&page.authorization_url(), "ui_locales");
            assert_eq!(sent, languages, "{accepted} {text}");
        }
    }
}
