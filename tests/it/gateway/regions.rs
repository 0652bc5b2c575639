//! The region of a person, which Prosody gets for the choice of a bridge: of a trusted proxy, of the account, or
//! the gateway's.

use devkit::meeting::RequestKind;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use url::Url;

use super::CREATE;
use crate::support::site::{ORIGIN, Site, SiteOptions};

/// Opens a BOSH session with values of two headers; returns the region that Prosody got.
async fn region_at_prosody(site: &Site, geo: Option<&'static str>) -> Option<String> {
    let mut max = site.signed_in("max").await;
    let url = Url::parse(&format!("{ORIGIN}/http-bind?room=plan")).unwrap();
    let planted = HeaderName::from_static("x-proxy-region");
    let mut headers = HeaderMap::from_iter([
        (header::ORIGIN, HeaderValue::from_static(ORIGIN)),
        (planted.clone(), HeaderValue::from_static("moon")),
    ]);
    let geo = geo.map(HeaderValue::from_static);
    headers.extend(geo.map(|geo| (HeaderName::from_static("x-geo"), geo)));
    let created = max.send(Method::POST, &url, headers, CREATE.into()).await;
    assert!(created.text().contains("sid="), "{created:?}");
    let received = site.meeting.received();
    let session = received
        .iter()
        .rfind(|request| request.kind == RequestKind::BoshSession)
        .unwrap();
    let region = session.headers.get(planted)?;
    Some(region.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn prosody_gets_the_region_that_a_trusted_proxy_states_or_the_gateways() {
    let trusted =
        "trusted_proxies = [\"127.0.0.0/8\"]\nregion_header = \"X-Geo\"\nregion = \"eu\"\n";
    let site = Site::with(SiteOptions::default().listen(trusted)).await;
    let site = site.ready().await;
    for (geo, expected) in [
        (Some("us-west-2"), "us-west-2"),
        (Some("a b"), "eu"),
        (None, "eu"),
    ] {
        let region = region_at_prosody(&site, geo).await;
        assert_eq!(region.as_deref(), Some(expected), "{geo:?}");
    }
}

#[tokio::test]
async fn a_client_states_no_region() {
    let elsewhere = "trusted_proxies = [\"192.0.2.0/24\"]\nregion_header = \"X-Geo\"\n";
    let site = Site::with(SiteOptions::default().listen(elsewhere)).await;
    let site = site.ready().await;
    assert_eq!(region_at_prosody(&site, Some("us-west-2")).await, None);
}

#[tokio::test]
async fn an_account_has_a_region_which_counts_below_a_proxys_and_above_the_gateways() {
    let listen =
        "trusted_proxies = [\"127.0.0.0/8\"]\nregion_header = \"X-Geo\"\nregion = \"eu\"\n";
    // The development accounts have no region, but an id of the form of one.
    let members = "[[room]]\nmatch = \"*\"\nenter = \"member\"\n";
    for (claim, geo, expected) in [
        ("sub", None, "max"),
        ("sub", Some("us-west-2"), "us-west-2"),
        ("sub", Some("a b"), "max"),
        // Absent, and not the name of a region.
        ("none", None, "eu"),
        ("name", None, "eu"),
    ] {
        let rules = format!("{members}[oidc.claims]\nregion = \"{claim}\"\n");
        let options = SiteOptions::default().rules(&rules).listen(listen);
        let site = Site::with(options).await.ready().await;
        let region = region_at_prosody(&site, geo).await;
        assert_eq!(region.as_deref(), Some(expected), "{claim} {geo:?}");
        if geo.is_none() {
            let mut max = site.signed_in("max").await;
            let _socket = max.socket("room=plan").await.unwrap();
            let received = site.meeting.received();
            let handshake = received
                .iter()
                .rfind(|request| request.kind == RequestKind::WebSocket)
                .unwrap();
            assert_eq!(handshake.headers["x-proxy-region"], expected, "{claim}");
        }
    }
}
