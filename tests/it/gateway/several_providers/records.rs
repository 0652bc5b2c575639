//! Metrics, log lines and audit lines name the provider.

use devkit::provider::DevAccount;
use http::StatusCode;

use super::{
    FOR_MEMBERS, Provider, Rig, begin,
    logout::{back_channel, front_channel},
};
use crate::support::{
    logs::Logs,
    site::{CLIENT_ID, ORIGIN, Site},
};

#[tokio::test]
async fn sign_ins_and_logouts_are_recorded_with_their_provider() {
    let logs = Logs::keep();
    // The people of the first provider have no prefix that tells it.
    let rig = Rig::with("keeps_subjects = true", FOR_MEMBERS).await;
    for provider in [&rig.school, &rig.firm] {
        provider
            .state
            .set_account(DevAccount::new(PERSON, "Rita", &[]));
    }
    let mut pupil = rig.signed_in(&rig.school, PERSON).await;
    pupil.navigate("/_gateway/logout").await;
    rig.signed_in(&rig.school, PERSON).await;
    rig.signed_in(&rig.firm, PERSON).await;
    let token = rig.school.state.logout_token(CLIENT_ID, Some(PERSON), None);
    let status = back_channel(&rig.site, "backchannel-logout", &token).await;
    assert_eq!(status, StatusCode::OK);
    let sid = rig.firm.state.session_ids(PERSON).remove(0);
    let issuer = &rig.firm.issuer;
    let status = front_channel(&rig.site, "frontchannel-logout/firm", issuer, &sid).await;
    assert_eq!(status, StatusCode::OK);
    let declined = decline(&rig, &rig.firm).await;
    assert_eq!(declined, StatusCode::FORBIDDEN);

    let metrics = rig.site.metrics().await;
    for (sample, count) in [
        ("sign_ins_started_total{provider=\"school\"}", 2),
        ("sign_ins_started_total{provider=\"firm\"}", 2),
        (
            "sign_ins_total{provider=\"school\",outcome=\"ok\",reason=\"none\"}",
            2,
        ),
        (
            "sign_ins_total{provider=\"firm\",outcome=\"ok\",reason=\"none\"}",
            1,
        ),
        (
            "sign_ins_total{provider=\"firm\",outcome=\"cancelled\",reason=\"cancelled\"}",
            1,
        ),
        (
            "backchannel_logouts_total{provider=\"school\",outcome=\"ok\"}",
            1,
        ),
        (
            "backchannel_logouts_total{provider=\"firm\",outcome=\"ok\"}",
            0,
        ),
        (
            "frontchannel_logouts_total{provider=\"firm\",outcome=\"ok\"}",
            1,
        ),
    ] {
        let line = format!("jitsi_auth_gateway_{sample} {count}\n");
        assert!(metrics.contains(&line), "{line} in\n{metrics}");
    }
    let audit = logs.audit();
    let at_firm = format!("firm:{PERSON}");
    let session_at_firm = format!("firm:{sid}");
    for (event, provider, about, times) in [
        ("signed_in", "school", PERSON, 2),
        ("signed_in", "firm", &at_firm, 1),
        ("signed_out", "school", PERSON, 1),
        ("backchannel_logout", "school", PERSON, 1),
        ("frontchannel_logout", "firm", &session_at_firm, 1),
    ] {
        let parts = [
            format!("\"event\":\"{event}\""),
            format!("\"provider\":\"{provider}\""),
            format!("\"{about}\""),
        ];
        let lines = audit.lines();
        let lines = lines.filter(|line| parts.iter().all(|part| line.contains(part)));
        assert_eq!(lines.count(), times, "{parts:?} in\n{audit}");
    }
    for (message, provider) in [
        ("provider is ready", &rig.school),
        ("provider is ready", &rig.firm),
    ] {
        let named = format!("provider=\"{}\"", provider.id);
        let lines = logs.lines_with(message);
        let lines = lines.iter().filter(|line| line.contains(&provider.issuer));
        let lines: Vec<_> = lines.collect();
        assert!(!lines.is_empty(), "{message}");
        assert!(lines.iter().all(|line| line.contains(&named)), "{lines:?}");
    }
    let declined = logs.lines_with("sign-in failed");
    let of_firm = |line: &String| line.contains("provider=\"firm\"");
    assert!(declined.iter().any(of_firm), "{declined:?}");
}

#[tokio::test]
async fn records_of_an_only_provider_do_not_name_it() {
    let logs = Logs::keep();
    let site = Site::start().await.ready().await;
    let account = DevAccount::new("recorded-alone", "Rita", &[]);
    site.provider.set_account(account);
    site.signed_in("recorded-alone").await;
    let metrics = site.metrics().await;
    assert!(metrics.contains("jitsi_auth_gateway_sign_ins_started_total{} 1\n"));
    assert!(!metrics.contains("provider=\""), "{metrics}");
    let audit = logs.audit();
    let mut lines = audit.lines().filter(|line| line.contains("recorded-alone"));
    let line = lines.next().unwrap();
    assert!(!line.contains("\"provider\""), "{line}");
}

/// Sends the browser back from a provider at which the person declined.
async fn decline(rig: &Rig, provider: &Provider) -> StatusCode {
    let mut browser = rig.site.browser();
    let url = begin(&mut browser, provider, "/x").await;
    let state = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1;
    let issuer = crate::support::browser::encode(&provider.issuer);
    let callback = format!(
        "{ORIGIN}/_gateway/callback/{}?error=access_denied&state={state}&iss={issuer}",
        provider.id
    );
    browser.load(&callback.parse().unwrap()).await.status
}

/// An account that no other test uses: all tests of the process write to one audit log.
const PERSON: &str = "recorded";
