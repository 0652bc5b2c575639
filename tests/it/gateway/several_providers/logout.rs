//! Logouts concern the sessions of one provider.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use super::{FOR_MEMBERS, Provider, Rig, has_session};
use crate::support::{
    browser::{Page, encode},
    site::{CLIENT_ID, ORIGIN, Site},
};

/// Sends a logout token to an address of the gateway.
pub(super) async fn back_channel(site: &Site, address: &str, token: &str) -> StatusCode {
    let url = format!("{ORIGIN}/_gateway/{address}").parse().unwrap();
    let body = format!("logout_token={}", encode(token)).into();
    let mut sender = site.browser();
    let answer = sender
        .send(Method::POST, &url, HeaderMap::new(), body)
        .await;
    answer.status
}

/// Loads the frame of a provider's logout page.
pub(super) async fn front_channel(
    site: &Site,
    address: &str,
    issuer: &str,
    sid: &str,
) -> StatusCode {
    let query = format!("iss={}&sid={}", encode(issuer), encode(sid));
    let url = format!("{ORIGIN}/_gateway/{address}?{query}")
        .parse()
        .unwrap();
    let mut frame = site.browser();
    let answer = frame
        .send(Method::GET, &url, HeaderMap::new(), Bytes::new())
        .await;
    answer.status
}

#[tokio::test]
async fn a_sign_out_leads_to_the_provider_of_the_session() {
    let rig = Rig::start(FOR_MEMBERS).await;
    for (provider, other) in [(&rig.school, &rig.firm), (&rig.firm, &rig.school)] {
        let mut max = rig.signed_in(provider, "max").await;
        let logout = format!("{ORIGIN}/_gateway/logout").parse().unwrap();
        let target = |page: Page| {
            let location = page.headers[header::LOCATION].to_str().unwrap();
            url::Url::parse(location).unwrap()
        };
        let url = target(max.load(&logout).await);
        assert!(provider.has(&url) && !other.has(&url), "{url}");
        let hint = url.query_pairs().find(|(name, _)| name == "id_token_hint");
        assert!(
            hint.is_some_and(|(_, token)| token.starts_with("ey")),
            "{url}"
        );
        assert!(!has_session(&mut max).await);
    }
    // Without a session and without a hint there is no provider to go to.
    let page = rig.site.browser().navigate("/_gateway/logout").await;
    assert_eq!(page.url.path(), "/_gateway/signed-out");
}

#[tokio::test]
async fn a_logout_token_of_one_provider_ends_no_session_of_the_other() {
    let rig = Rig::start(FOR_MEMBERS).await;
    let mut pupil = rig.signed_in(&rig.school, "max").await;
    let mut clerk = rig.signed_in(&rig.firm, "max").await;
    let sid_at_school = rig.school.state.session_ids("max").remove(0);
    let token = |provider: &Provider, sid: Option<&str>| {
        provider.state.logout_token(CLIENT_ID, Some("max"), sid)
    };
    // The same `sub`, and the very `sid` of the other provider's session.
    for (address, token, status) in [
        (
            "backchannel-logout/school",
            token(&rig.firm, None),
            // An unknown key may be new, so that a provider is asked to try again.
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        (
            "backchannel-logout",
            token(&rig.firm, None),
            StatusCode::NOT_FOUND,
        ),
        (
            "backchannel-logout/firm",
            token(&rig.firm, Some(&sid_at_school)),
            StatusCode::OK,
        ),
    ] {
        assert_eq!(
            back_channel(&rig.site, address, &token).await,
            status,
            "{address}"
        );
        assert!(has_session(&mut pupil).await, "{address}");
        assert!(has_session(&mut clerk).await, "{address}");
    }
    let of_firm = token(&rig.firm, None);
    let status = back_channel(&rig.site, "backchannel-logout/firm", &of_firm).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!has_session(&mut clerk).await);
    assert!(has_session(&mut pupil).await);
    let of_school = token(&rig.school, Some(&sid_at_school));
    let status = back_channel(&rig.site, "backchannel-logout/school", &of_school).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!has_session(&mut pupil).await);
}

#[tokio::test]
async fn a_frame_of_one_provider_ends_no_session_of_the_other() {
    let rig = Rig::start(FOR_MEMBERS).await;
    let mut pupil = rig.signed_in(&rig.school, "max").await;
    let sid = rig.school.state.session_ids("max").remove(0);
    let (school, firm) = (rig.school.issuer.as_str(), rig.firm.issuer.as_str());
    for (address, issuer, status) in [
        ("frontchannel-logout/firm", firm, StatusCode::OK),
        ("frontchannel-logout/firm", school, StatusCode::BAD_REQUEST),
        ("frontchannel-logout/school", firm, StatusCode::BAD_REQUEST),
        ("frontchannel-logout", school, StatusCode::NOT_FOUND),
    ] {
        let answer = front_channel(&rig.site, address, issuer, &sid).await;
        assert_eq!(answer, status, "{address} {issuer}");
        assert!(has_session(&mut pupil).await, "{address} {issuer}");
    }
    let answer = front_channel(&rig.site, "frontchannel-logout/school", school, &sid).await;
    assert_eq!(answer, StatusCode::OK);
    assert!(!has_session(&mut pupil).await);
}
