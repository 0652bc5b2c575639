//! A provider that is down or lies harms its own people only.

use http::StatusCode;
use serde_json::json;

use super::{FOR_MEMBERS, Provider, has_session, login, manual_clock, sign_in, table};
use crate::support::{
    browser::Browser,
    faulty_provider::{CLIENT_SECRET, FaultyProvider},
    logs::Logs,
    provider_fault::ProviderFault,
    site::{Site, SiteOptions},
};

/// A gateway with an honest provider and a faulty one.
struct Pair {
    site: Site,
    school: Provider,
    faulty: FaultyProvider,
}

// === impl Pair ===

impl Pair {
    /// Starts a gateway; `of_faulty` are further keys of the faulty provider.
    async fn start(fault: ProviderFault, of_faulty: &str) -> Self {
        let (clock, control) = manual_clock();
        let school = Provider::start("school", &clock).await;
        let faulty = FaultyProvider::builder(&clock).start(fault).await;
        let of_faulty = table("firm", faulty.issuer(), CLIENT_SECRET, of_faulty);
        let tables = format!("{of_faulty}{}{FOR_MEMBERS}", school.table(""));
        let options = SiteOptions::default().rules(&tables).clock(clock, control);
        let site = Site::with(options).await;
        site.wait_for("the school is known", async || {
            site.readiness().await.1["providers"]["school"] == "ready"
        })
        .await;
        Self {
            site,
            school,
            faulty,
        }
    }

    /// A sign-in with the faulty provider.
    async fn sign_in_at_faulty(&self, browser: &mut Browser, callback: &str) -> StatusCode {
        let page = browser.navigate(&login("firm", "/room")).await;
        let answer = self.faulty.authorize(&page.authorization_url());
        let page = browser
            .navigate(&format!("/_gateway/{callback}?{answer}"))
            .await;
        page.status
    }
}

#[tokio::test]
async fn one_provider_is_down_and_people_of_the_other_sign_in() {
    let pair = Pair::start(ProviderFault::Down, "").await;
    let mut max = pair.site.browser();
    let page = sign_in(&mut max, &pair.school, "max", "/room").await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/room"));

    let (status, ready) = pair.site.readiness().await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(ready["status"], "degraded");
    assert_eq!(ready["provider"], "not_yet");
    assert_eq!(
        ready["providers"],
        json!({"firm": "not_yet", "school": "ready"})
    );
    let reason = ready["reasons"][0].as_str().unwrap();
    assert!(reason.starts_with("OpenID provider firm: "), "{reason}");
    let metrics = pair.site.metrics().await;
    for (id, ready) in [("firm", 0), ("school", 1)] {
        let line = format!("jitsi_auth_gateway_provider_ready{{provider=\"{id}\"}} {ready}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }

    // The page that asks for a provider opens; the unavailable one answers with a page of its own.
    let page = pair.site.browser().navigate("/room").await;
    assert_eq!(page.status, StatusCode::OK);
    let page = pair.site.browser().navigate(&login("firm", "/room")).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_lying_provider_names_no_person_of_the_other() {
    let logs = Logs::keep();
    // The ids of its people are not qualified, so that it could name any.
    let pair = Pair::start(ProviderFault::None, "keeps_subjects = true").await;
    let mut liar = pair.site.browser();
    // With every claim, so that the userinfo does not contradict.
    pair.faulty.behaviour().id_token = json!({
        "sub": "school:max", "name": "Max", "email": "max@example.org", "email_verified": true,
        "picture": "https://example.org/max.png", "groups": [],
    });
    let status = pair.sign_in_at_faulty(&mut liar, "callback").await;
    assert!(!status.is_success(), "{status}");
    assert!(!has_session(&mut liar).await);
    let refused = logs.lines_with("reason=\"subject_of_other_provider\"");
    assert_eq!(refused.len(), 1, "{refused:?}");

    // Neither by the issuer of the other provider.
    pair.faulty.behaviour().id_token = json!({ "iss": pair.school.issuer });
    let status = pair.sign_in_at_faulty(&mut liar, "callback").await;
    assert!(!status.is_success(), "{status}");

    pair.faulty.behaviour().id_token = json!({});
    assert_eq!(
        pair.sign_in_at_faulty(&mut liar, "callback").await,
        StatusCode::OK
    );
    assert!(has_session(&mut liar).await);
}

#[tokio::test]
async fn a_lying_provider_ends_no_session_of_the_other() {
    let pair = Pair::start(ProviderFault::None, "keeps_subjects = true").await;
    let mut max = pair.site.browser();
    sign_in(&mut max, &pair.school, "max", "/room").await;
    let sid = pair.school.state.session_ids("max").remove(0);
    for (jti, claims, expected) in [
        (
            "1",
            json!({ "sub": "school:max", "sid": null }),
            StatusCode::BAD_REQUEST,
        ),
        (
            "2",
            json!({ "sub": null, "sid": format!("school:{sid}") }),
            StatusCode::BAD_REQUEST,
        ),
        ("3", json!({ "sub": "max", "sid": sid }), StatusCode::OK),
    ] {
        let mut claims = claims;
        claims["jti"] = json!(jti);
        let token = pair.faulty.logout_token(&json!({}), &claims);
        let status = super::logout::back_channel(&pair.site, "backchannel-logout", &token).await;
        assert_eq!(status, expected, "{claims}");
        assert!(has_session(&mut max).await, "{claims}");
    }
}
