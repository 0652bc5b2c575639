//! Secrets appear in no log line, at any level, and in no metric.

use http::header;
use serde_json::json;

use super::{CREATE, handoff::handoff, links::enter};
use crate::support::{
    logs::Logs,
    school::{self, Link},
    site::{Site, SiteOptions},
};

#[tokio::test]
async fn links_tokens_and_passes_are_never_logged() {
    let logs = Logs::keep();
    let site = Site::with(SiteOptions::default().rules(school::RULES));
    let site = site.await.ready().await;
    let mut secrets = Vec::new();
    // A link: opened, used, and refused.
    let link = Link::make(&site, "host", json!({"uses": 1})).await;
    let mut mia = site.browser();
    enter(&mut mia, &link.path, "Mia").await;
    site.browser().navigate(&link.path).await;
    assert!(mia.socket("room=school-7b").await.is_ok());
    mia.bosh("room=school-7b", CREATE).await;
    secrets.extend(
        link.path
            .split_once("invite=")
            .map(|(_, token)| token.to_owned()),
    );
    secrets.extend(mia.cookie_values());
    // A handoff token: used, and refused.
    let mut max = site.signed_in("max").await;
    let token = handoff(&mut max, "x").await;
    let query = format!("room=x&token={token}");
    for _ in 0..2 {
        let _ = site.browser().socket_of_app(&query).await;
        site.browser().bosh_of_app(&query, CREATE).await;
        site.browser().navigate(&format!("/x?jwt={token}")).await;
    }
    secrets.push(token);
    secrets.extend(max.cookie_values());
    // Secrets in requests to the meeting.
    for request in site.meeting.received() {
        let token = request.headers.get(header::AUTHORIZATION);
        let token = token.and_then(|value| value.to_str().ok());
        secrets.extend(
            token
                .and_then(|value| value.strip_prefix("Bearer "))
                .map(ToOwned::to_owned),
        );
    }
    assert!(secrets.len() >= 6, "{}", secrets.len());
    let (log, metrics) = (logs.text(), site.metrics().await);
    assert!(log.contains("event=\"invited\"") && log.contains("event=\"handed_over\""));
    for secret in secrets {
        assert!(secret.len() > 20, "{secret}");
        assert!(!log.contains(&secret), "{:?}", logs.lines_with(&secret));
        assert!(!metrics.contains(&secret));
    }
}
