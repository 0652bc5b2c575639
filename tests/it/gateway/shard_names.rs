//! The name of a room's shard, which Jitsi's client compares with that of its configuration; and the room of a
//! page below several tenants.

use super::CREATE;
use crate::support::{
    browser::Page,
    site::{Site, SiteOptions},
};

fn shard_of(answer: &Page) -> Option<&str> {
    let name = answer.headers.get("x-jitsi-shard")?;
    Some(name.to_str().unwrap())
}

#[tokio::test]
async fn one_named_shard_is_named_wherever_a_client_looks() {
    let site = Site::with(SiteOptions::default().shard("s1").jicofo()).await;
    let site = site.ready().await;
    let mut max = site.signed_in("max").await;
    for path in [
        "/plan",
        "/config.js?room=plan",
        "/xmpp-websocket?room=plan",
        "/_unlock?room=plan",
        "/acme/plan",
        "/acme/config.js?room=plan",
        "/acme/xmpp-websocket?room=plan",
        "/acme/_unlock?room=plan",
    ] {
        let answer = max.navigate(path).await;
        assert_eq!(shard_of(&answer), Some("s1"), "{path}: {answer:?}");
    }
    let created = max.bosh("room=plan", CREATE).await;
    assert!(created.text().contains("sid="), "{created:?}");
    assert_eq!(shard_of(&created), Some("s1"));
    // What belongs to no room may come from any shard.
    for path in ["/_unlock", "/acme/_unlock", "/config.js"] {
        assert_eq!(shard_of(&max.navigate(path).await), None, "{path}");
    }
}

#[tokio::test]
async fn a_page_below_several_tenants_is_that_of_the_last() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let page = max.navigate("/a/Acme/Plan?lang=de").await;
    assert_eq!(page.url.path(), "/Acme/Plan");
    assert_eq!(page.url.query(), Some("lang=de"));
    assert!(page.text().contains("tokenAuthUrl"), "{page:?}");
    let config = max.navigate("/a/b/acme/config.js?room=plan").await;
    assert!(config.text().contains("tokenAuthUrl"), "{config:?}");
    // Files stay files.
    let file = max.navigate("/a/b/libs/app.bundle.min.js").await;
    assert!(!file.text().contains("tokenAuthUrl"), "{file:?}");
}
