//! The address of the provider's logout page.

use std::collections::HashMap;

use http::{StatusCode, header};
use model::clock::{Clock, Timestamp};
use serde_json::json;
use url::Url;

use crate::support::{
    browser::Browser,
    faulty_provider::{CLIENT_SECRET, FaultyProvider},
    provider_fault::ProviderFault,
    site::{ORIGIN, Site, SiteOptions},
};

#[tokio::test]
async fn the_address_of_the_logout_page_is_short_whatever_the_length_of_the_id_token() {
    let (clock, clock_control) = Clock::manual(Timestamp::from_unix(1_800_000_000));
    let provider = FaultyProvider::builder(&clock)
        .start(ProviderFault::None)
        .await;
    let options = SiteOptions::default()
        .issuer(provider.issuer())
        .client_secret(CLIENT_SECRET)
        .clock(clock, clock_control);
    let site = Site::with(options).await.ready().await;
    // 300 roles make an ID token of six kilobytes.
    for (roles, has_hint) in [(0, true), (300, false)] {
        let roles: Vec<_> = (0..roles).map(|n| format!("role-{n:08}")).collect();
        provider.behaviour().id_token = json!({ "roles": roles });
        let mut browser = site.browser();
        let url = browser.begin("/room").await;
        let callback = format!("/_gateway/callback?{}", provider.authorize(&url));
        let page = browser.navigate(&callback).await;
        assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/room"));

        let logout = Url::parse(&format!("{ORIGIN}/_gateway/logout")).unwrap();
        let answer = browser.load(&logout).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let location = answer.headers[header::LOCATION].to_str().unwrap();
        assert!(location.starts_with(provider.issuer()), "{location}");
        // Servers accept addresses of 4 KiB and more.
        assert!(location.len() < 4096, "{}", location.len());
        let parameters: HashMap<_, _> = Url::parse(location)
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect();
        assert_eq!(parameters["client_id"], "jitsi");
        let back = format!("{ORIGIN}/_gateway/signed-out");
        assert_eq!(parameters["post_logout_redirect_uri"], back);
        assert_eq!(parameters.contains_key("id_token_hint"), has_hint);
        // Here the session is over in either case.
        let page = browser.navigate("/room").await;
        assert_eq!(page.url.path(), "/_gateway/login");
    }
}

#[tokio::test]
async fn guests_are_not_sent_to_the_logout_page_of_a_provider_where_they_have_no_account() {
    let rules = "[[room]]\nmatch = \"*\"\nenter = \"guest\"\nstart = \"anyone\"\n";
    let site = Site::with(SiteOptions::default().rules(rules))
        .await
        .ready()
        .await;
    let logout = Url::parse(&format!("{ORIGIN}/_gateway/logout")).unwrap();
    let leave = async |browser: &mut Browser| {
        let answer = browser.load(&logout).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        answer.headers[header::LOCATION]
            .to_str()
            .unwrap()
            .to_owned()
    };
    let join = async |browser: &mut Browser, room: &str| {
        let form = [("room", room), ("name", "Zoë")];
        let joined = browser.submit("/_gateway/join", &form).await;
        assert_eq!(joined.status, StatusCode::SEE_OTHER);
    };
    let mut guest = site.browser();
    join(&mut guest, "team").await;
    assert!(
        !guest
            .navigate("/team")
            .await
            .text()
            .contains("/_gateway/join")
    );
    let left = leave(&mut guest).await;
    assert_eq!(left, "/_gateway/signed-out?guest=1&return_to=%2Fteam");
    let page = guest.navigate(&left).await.text();
    assert!(
        page.contains("<h1>You have left the meeting</h1>"),
        "{page}"
    );
    assert!(
        page.contains("href=\"/team\">Return to the meeting"),
        "{page}"
    );
    assert!(!page.contains("/_gateway/login"), "{page}");
    // The pass has ended.
    assert!(
        guest
            .navigate("/team")
            .await
            .text()
            .contains("/_gateway/join")
    );

    // Of two rooms, none is the one to return to.
    join(&mut guest, "team").await;
    join(&mut guest, "board").await;
    assert_eq!(leave(&mut guest).await, "/_gateway/signed-out?guest=1");

    // A member goes to the provider, also with the pass of a room, and so does an unknown browser.
    let mut max = site.signed_in("max").await;
    join(&mut max, "team").await;
    for browser in [&mut max, &mut site.browser()] {
        let location = leave(browser).await;
        assert!(location.starts_with(site.issuer()), "{location}");
    }
}
