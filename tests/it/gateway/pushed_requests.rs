//! Authorization requests that the gateway pushes to the provider (RFC 9126).

use devkit::provider::PushSupport;
use http::{StatusCode, header};
use url::Url;

use crate::support::{
    logs::Logs,
    site::{Site, SiteOptions},
};

const RULES: &str = "[[room]]\nmatch = \"*\"\nenter = \"member\"\n";

async fn site(support: PushSupport, keys: &str) -> Site {
    let rules = format!("[oidc]\n{keys}\n{RULES}");
    let options = SiteOptions::default()
        .pushed_requests(support)
        .rules(&rules);
    Site::with(options).await.ready().await
}

fn names(address: &Url) -> Vec<String> {
    let pairs = address.query_pairs();
    pairs.map(|(name, _)| name.into_owned()).collect()
}

#[tokio::test]
async fn the_browser_carries_a_reference_that_counts_once() {
    for (support, keys) in [
        (PushSupport::Offered, ""),
        (PushSupport::Required, ""),
        (
            PushSupport::Required,
            "client_auth = \"client_secret_post\"",
        ),
        (
            PushSupport::Offered,
            "pushed_authorization_requests = \"required\"",
        ),
    ] {
        let site = site(support, keys).await;
        let mut max = site.browser();
        let address = max.begin("/x").await;
        assert_eq!(names(&address), ["client_id", "request_uri"], "{keys}");
        let page = max.finish("max", &address).await;
        assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/x"));
        let again = max.load(&address).await;
        assert_eq!(again.status, StatusCode::BAD_REQUEST);
        let counted = "jitsi_auth_gateway_provider_requests_total{request=\"pushed_request\",outcome=\"ok\"} 1";
        assert!(site.metrics().await.contains(counted));
    }
}

#[tokio::test]
async fn the_parameters_go_through_the_browser_where_pushing_is_off_or_fails() {
    let logs = Logs::keep();
    for (support, keys, overloaded) in [
        (PushSupport::None, "", false),
        (
            PushSupport::Offered,
            "pushed_authorization_requests = \"never\"",
            false,
        ),
        (PushSupport::Offered, "", true),
    ] {
        let site = site(support, keys).await;
        site.provider.set_overloaded(overloaded);
        let mut max = site.browser();
        let address = max.begin("/x").await;
        assert!(names(&address).contains(&"code_challenge".to_owned()));
        site.provider.set_overloaded(false);
        let page = max.finish("max", &address).await;
        assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/x"));
    }
    let lines = logs.lines_with("its parameters go through the browser");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_request_that_has_to_be_pushed_fails_with_a_page() {
    for (secret, overloaded, code) in [
        (None, true, "push_endpoint_failed"),
        (Some("another secret"), false, "client_refused"),
    ] {
        let logs = Logs::keep();
        let mut options = SiteOptions::default()
            .pushed_requests(PushSupport::Required)
            .rules(RULES);
        if let Some(secret) = secret {
            options = options.client_secret(secret);
        }
        let site = Site::with(options).await.ready().await;
        site.provider.set_overloaded(overloaded);
        let page = site
            .browser()
            .navigate("/_gateway/login?return_to=%2Fx")
            .await;
        assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{}", page.text());
        assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
        let lines = logs.lines_with(&format!("sign-in failed reason=\"{code}\""));
        assert!(!lines.is_empty(), "{code}");
    }
}

#[tokio::test]
async fn a_provider_that_takes_none_is_named() {
    let rules = format!("[oidc]\npushed_authorization_requests = \"required\"\n{RULES}");
    let site = Site::with(SiteOptions::default().rules(&rules)).await;
    site.wait_for("the reason", async || {
        let (_, body) = site.readiness().await;
        body.to_string()
            .contains("pushed_authorization_request_endpoint")
    })
    .await;
}
