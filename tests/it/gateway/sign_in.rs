//! Sign-in and sign-out: from a room to the provider and back to the same room.

use std::{collections::HashSet, time::Duration};

use http::{StatusCode, header};

use super::{revalidation::is_open, revocation::closed_with};

use crate::support::{
    browser::encode,
    site::{ORIGIN, Site, SiteOptions},
};

const SESSION: &str = "__Host-gateway-session";

#[tokio::test]
async fn a_room_page_redirects_to_the_provider_once_and_back() {
    let site = Site::start().await.ready().await;
    let mut browser = site.browser();
    let url = format!("{ORIGIN}/acme/Team%20Call%C3%A9?lang=de#config.startWithAudioMuted=true");
    let page = browser.follow(url.parse().unwrap()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.url.fragment(), Some("config.startWithAudioMuted=true"));
    let back = browser.finish("hanna", &page.authorization_url()).await;
    assert_eq!(
        back.url.as_str(),
        &format!("{ORIGIN}/acme/Team%20Call%C3%A9?lang=de")
    );
    assert_eq!(back.status, StatusCode::OK);
    let text = back.text();
    assert!(
        text.contains("history.replaceState"),
        "the page is completed"
    );
    assert!(!text.contains(browser.cookie("__Host-gateway-session").unwrap()));
    assert_eq!(back.headers[header::CACHE_CONTROL], "no-store");
    // The session exists, so there is no second redirect.
    assert_eq!(browser.navigate("/other").await.url.path(), "/other");
}

/// Ten tabs have 3,628,800 orders; these differ in the first and last.
const ORDERS: &[[usize; 10]] = &[
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    [5, 0, 9, 3, 7, 1, 8, 2, 6, 4],
    [4, 6, 2, 8, 1, 7, 3, 9, 0, 5],
    [1, 0, 3, 2, 5, 4, 7, 6, 9, 8],
    [8, 3, 0, 6, 9, 2, 5, 7, 4, 1],
];

#[tokio::test]
async fn ten_parallel_sign_ins_each_return_to_their_room() {
    let site = Site::start().await.ready().await;
    for order in ORDERS {
        let mut browser = site.browser();
        let mut urls = Vec::new();
        for tab in 0..10 {
            urls.push(browser.begin(&format!("/Room%20{tab}")).await);
        }
        for &tab in order {
            let page = browser.finish("max", &urls[tab]).await;
            assert_eq!(page.url.path(), format!("/Room%20{tab}"), "{order:?}");
            assert_eq!(page.status, StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn an_abandoned_sign_in_does_not_affect_others() {
    let site = Site::start().await.ready().await;
    for abandoned in 0..10 {
        let mut browser = site.browser();
        let mut urls = Vec::new();
        for tab in 0..10 {
            urls.push(browser.begin(&format!("/Room%20{tab}")).await);
        }
        for tab in (0..10).filter(|tab| *tab != abandoned) {
            let page = browser.finish("max", &urls[tab]).await;
            assert_eq!(page.url.path(), format!("/Room%20{tab}"));
        }
    }
}

#[tokio::test]
async fn a_callback_works_once_and_in_its_own_browser() {
    let site = Site::start().await.ready().await;
    let mut mine = site.browser();
    let url = mine.begin("/room").await;
    let mut other = site.browser();
    let page = other.finish("hanna", &url).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(other.cookie("__Host-gateway-session").is_none());
    assert!(
        page.text().contains("no sign-in in progress"),
        "{}",
        page.text()
    );

    let page = mine.finish("hanna", &url).await;
    assert_eq!(page.url.path(), "/room");
    // The same callback again, as after going back, with a session.
    let again = mine.navigate("/_gateway/callback?state=x.y&code=z").await;
    assert_eq!(again.url.path(), "/");
}

#[tokio::test]
async fn a_sign_in_buys_one_request_to_the_token_endpoint() {
    let site = Site::start().await.ready().await;
    let mut browser = site.browser();
    let url = browser.begin("/room").await;
    let state = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1;
    let requests = async || {
        let metrics = site.metrics().await;
        let ours = metrics.lines().filter(|line| {
            line.starts_with("jitsi_auth_gateway_provider_requests_total{request=\"tokens\"")
        });
        let counts = ours.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
        counts.sum::<u64>()
    };
    assert_eq!(requests().await, 0);
    let address = format!(
        "{ORIGIN}/_gateway/callback?state={state}&code=made-up&iss={}",
        site.issuer()
    );
    for _ in 0..20 {
        let page = browser.load(&address.parse().unwrap()).await;
        assert!(
            page.text()
                .contains("href=\"/_gateway/login?return_to=%2Froom"),
            "{}",
            page.text()
        );
    }
    assert_eq!(requests().await, 1);
}

#[tokio::test]
async fn a_repeated_callback_leads_to_the_room_without_another_sign_in() {
    let site = Site::start().await.ready().await;
    let mut mine = site.browser();
    let url = mine.begin("/acme/room?lang=de").await;
    let state = url.query_pairs().find(|(name, _)| name == "state");
    let callback = format!("/_gateway/callback?state={}&code=z", state.unwrap().1);
    let page = mine.finish("hanna", &url).await;
    assert_eq!(page.url.path(), "/acme/room");
    let session = mine.cookie("__Host-gateway-session").unwrap().to_owned();
    let again = mine.navigate(&callback).await;
    assert_eq!(
        again.url.as_str(),
        "https://meet.example.org/acme/room?lang=de"
    );
    assert_eq!(mine.cookie("__Host-gateway-session"), Some(&*session));
    // Without the session it is over.
    mine.navigate("/_gateway/logout").await;
    let over = format!("{ORIGIN}{callback}").parse().unwrap();
    assert_eq!(mine.load(&over).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_posted_answer_of_the_provider_signs_in() {
    let rules =
        "[oidc]\nresponse_mode = \"form_post\"\n[[room]]\nmatch = \"*\"\nenter = \"member\"\n";
    let options = SiteOptions::default().rules(rules);
    let site = Site::with(options).await.ready().await;
    let mut max = site.browser();
    let mut address = max.begin("/x").await;
    assert!(
        address
            .query_pairs()
            .any(|(name, mode)| name == "response_mode" && mode == "form_post")
    );
    address.query_pairs_mut().append_pair("login_hint", "max");
    let answer = max.load(&address).await;
    let location = answer.headers[header::LOCATION].to_str().unwrap();
    let callback = address.join(location).unwrap();
    // The provider's page posts the same parameters. A browser sends a form of another site without the cookies.
    let fields: Vec<_> = callback.query_pairs().collect();
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let posted = site.browser().submit(callback.path(), &fields).await;
    assert_eq!(posted.status, StatusCode::SEE_OTHER);
    let target = callback.join(posted.headers[header::LOCATION].to_str().unwrap());
    let page = max.follow(target.unwrap()).await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/x"));
    assert!(max.cookie("__Host-gateway-session").is_some());
}

#[tokio::test]
async fn an_expired_callback_leaves_an_existing_session_untouched() {
    let site = Site::start().await.ready().await;
    let mut browser = site.browser();
    let slow = browser.begin("/room").await;
    browser.sign_in("max", "/robots.txt").await;
    site.clock_control.advance(Duration::from_mins(16));
    let page = browser.finish("max", &slow).await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/room"));
}

#[tokio::test]
async fn a_callback_after_the_time_limit_leads_to_the_room() {
    let site = Site::start().await.ready().await;
    let mut browser = site.browser();
    let slow = browser.begin("/acme/room?lang=de").await;
    site.clock_control.advance(Duration::from_mins(16));
    let page = browser.finish("max", &slow).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let again = "/_gateway/login?return_to=%2Facme%2Froom%3Flang%3Dde";
    assert!(
        page.text().contains(&format!("href=\"{again}\"")),
        "{}",
        page.text()
    );
    assert!(browser.cookie(SESSION).is_none());
    let page = browser.sign_in("max", "/acme/room?lang=de").await;
    assert_eq!(page.url.path(), "/acme/room");
}

#[tokio::test]
async fn sessions_that_followed_each_other_in_one_browser_end_together() {
    let site = Site::start().await.ready().await;
    let mut elsewhere = site.signed_in("max").await;
    let mut of_elsewhere = elsewhere.socket("room=x").await.unwrap();
    let mut browser = site.browser();
    let tabs = [
        browser.begin("/a").await,
        browser.begin("/b").await,
        browser.begin("/c").await,
    ];
    let (mut saved, mut sockets) = (Vec::new(), Vec::new());
    for tab in &tabs {
        browser.finish("max", tab).await;
        sockets.push(browser.socket("room=x").await.unwrap());
        saved.push(browser.clone());
    }
    // Each tab has a session of its own, and stays in its meeting.
    let values: HashSet<_> = saved.iter().map(|tab| tab.cookie(SESSION)).collect();
    assert_eq!(values.len(), tabs.len());
    for socket in &mut sockets {
        assert!(is_open(socket).await);
    }
    browser.navigate("/_gateway/logout").await;
    for socket in &mut sockets {
        assert_eq!(closed_with(socket).await, 1008);
    }
    for tab in &mut saved {
        let refused = tab.socket("room=x").await.unwrap_err();
        assert_eq!(refused, StatusCode::FORBIDDEN);
        assert_eq!(tab.navigate("/x").await.url.path(), "/_gateway/login");
    }
    // Another device of that person.
    assert!(is_open(&mut of_elsewhere).await);
}

#[tokio::test]
async fn a_third_party_initiates_a_sign_in_at_the_configured_provider() {
    let site = Site::start().await.ready().await;
    let initiated = |issuer: &str| {
        let target = encode(&format!("{ORIGIN}/acme/x?lang=de"));
        let issuer = encode(issuer);
        format!("/_gateway/login?iss={issuer}&login_hint=mia&target_link_uri={target}")
    };
    let mut browser = site.browser();
    let page = browser.navigate(&initiated("https://evil.example")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(!page.text().contains("code_challenge"));
    let page = browser.navigate(&initiated(site.issuer())).await;
    let url = page.authorization_url();
    let hint = url.query_pairs().find(|(name, _)| name == "login_hint");
    assert_eq!(hint.unwrap().1, "mia");
    let back = browser.follow(url).await;
    assert_eq!(back.url.as_str(), format!("{ORIGIN}/acme/x?lang=de"));
    // A person with a session goes on without the provider.
    let page = browser.navigate(&initiated(site.issuer())).await;
    assert_eq!(page.url.path(), "/acme/x");
}

#[tokio::test]
async fn invalid_callbacks_are_refused_with_a_page() {
    let site = Site::start().await.ready().await;
    for query in [
        "",
        "&",
        "code=x",
        "state=x",
        "state=a&state=b&code=c",
        "state=a&code=b&error=c",
    ] {
        let page = site
            .browser()
            .navigate(&format!("/_gateway/callback?{query}"))
            .await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(page.text().contains("Request ID"), "{query}");
    }
}

#[tokio::test]
async fn return_addresses_of_other_sites_are_ignored() {
    let site = Site::start().await.ready().await;
    for target in [
        "https://evil.test",
        "//evil.test",
        "/\\evil.test",
        "/%09/evil.test",
        "/./\\evil",
    ] {
        let mut browser = site.browser();
        let url = browser.begin(target).await;
        let page = browser.finish("max", &url).await;
        assert_eq!(
            (page.url.host_str(), page.url.path()),
            (Some("meet.example.org"), "/")
        );
    }
}

#[tokio::test]
async fn sign_out_ends_the_session_here_and_at_the_provider() {
    let site = Site::start().await.ready().await;
    let mut browser = site.signed_in("hanna").await;
    let before = browser.clone();
    let page = browser.navigate("/_gateway/logout").await;
    assert_eq!(page.url.path(), "/_gateway/signed-out");
    assert!(browser.cookie("__Host-gateway-session").is_none());
    // A copy of the cookie is refused.
    let mut replayed = before;
    assert_eq!(
        replayed.navigate("/room").await.url.path(),
        "/_gateway/login"
    );
    // The provider's own session has ended as well.
    let url = browser.begin("/room").await;
    let page = browser.follow(url).await;
    assert_ne!(page.url.host_str(), Some("meet.example.org"));
}

#[tokio::test]
async fn cross_site_and_speculative_requests_cannot_sign_out() {
    let site = Site::start().await.ready().await;
    let mut browser = site.signed_in("hanna").await;
    let url = format!("{ORIGIN}/_gateway/logout").parse().unwrap();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-purpose", "preview"),
        ("x-moz", "prefetch"),
    ] {
        let mut headers = http::HeaderMap::new();
        headers.insert(name, http::HeaderValue::from_static(value));
        let page = browser
            .send(http::Method::GET, &url, headers, bytes::Bytes::new())
            .await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(browser.navigate("/room").await.url.path(), "/room");
}

#[tokio::test]
async fn with_the_provider_down_public_files_are_served() {
    let options = SiteOptions::default().issuer("http://127.0.0.1:9/realms/main");
    let site = Site::with(options).await;
    let (status, readiness) = site.readiness().await;
    assert_eq!(status, StatusCode::OK, "a balancer has no better replica");
    assert_eq!(readiness["status"], "degraded");
    site.wait_for("the reason is told", async || {
        site.readiness().await.1["reasons"]
            .to_string()
            .contains("OpenID provider")
    })
    .await;
    let mut browser = site.browser();
    assert_eq!(browser.navigate("/config.js").await.status, StatusCode::OK);
    let page = browser
        .navigate(&format!("/_gateway/login?return_to={}", encode("/room")))
        .await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        page.text().contains("sign-in service cannot be reached"),
        "{}",
        page.text()
    );
}
