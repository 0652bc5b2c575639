//! The rates of one client address: pages and sign-ins, and what goes on without them.

use http::StatusCode;

use url::Url;

use crate::support::{
    browser::{Browser, Page},
    site::{ORIGIN, Site, SiteOptions},
};

/// One worker, as each has rates of its own.
async fn site(limits: &str, listen: &str) -> Site {
    let listen = format!("workers = 1\n{listen}");
    let options = SiteOptions::default().limits(limits).listen(&listen);
    Site::with(options).await.ready().await
}

/// One page, without those that it leads to.
async fn get(browser: &mut Browser, path: &str) -> Page {
    let url = Url::parse(&format!("{ORIGIN}{path}")).unwrap();
    browser.load(&url).await
}

async fn counted(site: &Site, limit: &str) -> bool {
    let metrics = site.metrics().await;
    let zero = format!("jitsi_auth_gateway_limits_total{{limit=\"{limit}\"}} 0\n");
    assert!(metrics.contains(&zero[..zero.len() - 3]), "{metrics}");
    !metrics.contains(&zero)
}

#[tokio::test]
async fn an_address_with_too_many_requests_keeps_its_meetings() {
    let site = site("requests_per_minute = 20", "").await;
    let mut max = site.signed_in("max").await;
    let socket = max.socket("room=x").await.unwrap();
    let limited = loop {
        let page = max.navigate("/_gateway/signed-out").await;
        if page.status != StatusCode::OK {
            break page;
        }
    };
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.headers["retry-after"], "5");
    assert!(
        limited.text().contains("requests_too_many"),
        "{}",
        limited.text()
    );
    assert!(counted(&site, "requests_per_address").await);
    // Streams are not requests for pages.
    assert!(max.socket("room=y").await.is_ok());
    drop(socket);
}

#[tokio::test]
async fn an_address_begins_so_many_sign_ins() {
    let site = site("sign_ins_per_minute = 4", "").await;
    let mut browser = site.browser();
    for _ in 0..3 {
        let page = get(&mut browser, "/_gateway/login").await;
        assert_ne!(page.status, StatusCode::TOO_MANY_REQUESTS);
    }
    let callback = "/_gateway/callback?state=made-up&code=x";
    assert_eq!(
        get(&mut browser, callback).await.status,
        StatusCode::BAD_REQUEST
    );
    for path in [callback, "/_gateway/login"] {
        let page = get(&mut browser, path).await;
        assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    assert!(counted(&site, "sign_ins_per_address").await);
    assert!(!counted(&site, "requests_per_address").await);
    assert_eq!(
        get(&mut browser, "/_gateway/signed-out").await.status,
        StatusCode::OK
    );
}

/// A proxy that names no client stands for all of them.
#[tokio::test]
async fn a_trusted_proxy_has_no_rate() {
    let site = site(
        "requests_per_minute = 3",
        "trusted_proxies = [\"127.0.0.1/32\"]",
    )
    .await;
    let mut browser = site.browser();
    for _ in 0..9 {
        let page = get(&mut browser, "/_gateway/signed-out").await;
        assert_eq!(page.status, StatusCode::OK);
    }
}
