//! Front-channel logout: a frame in the provider's logout page, without cookies.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::support::{
    browser::{Browser, KeepAliveClient, Page, encode, navigation},
    site::{ORIGIN, Site, SiteOptions},
};

/// The request of a frame in a page of another site.
async fn frame(browser: &mut Browser, query: &str) -> Page {
    let url = format!("{ORIGIN}/_gateway/frontchannel-logout?{query}");
    let mut headers = navigation();
    for (name, value) in [
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-site", "cross-site"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    let url = url.parse().unwrap();
    browser.send(Method::GET, &url, headers, Bytes::new()).await
}

#[tokio::test]
async fn a_frame_ends_exactly_the_session_that_it_names() {
    let site = Site::start().await.ready().await;
    let mut phone = site.signed_in("max").await;
    let [of_phone] = &site.provider.session_ids("max")[..] else {
        panic!("one session at the provider");
    };
    let mut desk = site.signed_in("max").await;
    let iss = encode(site.issuer());
    let sid = encode(of_phone);
    let (shorter, _) = of_phone.split_at(of_phone.len() - 1);
    for (query, status) in [
        (format!("iss={iss}&sid={shorter}"), StatusCode::OK),
        (format!("iss={iss}&sid={sid}x"), StatusCode::OK),
        (format!("iss={iss}&sid="), StatusCode::BAD_REQUEST),
        (format!("iss={iss}"), StatusCode::BAD_REQUEST),
        (format!("iss=&sid={sid}"), StatusCode::BAD_REQUEST),
        (format!("sid={sid}&sid={sid}"), StatusCode::BAD_REQUEST),
        (format!("iss={iss}%2F&sid={sid}"), StatusCode::BAD_REQUEST),
        (
            format!("iss={iss}&sid={sid}&sid={sid}"),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let answer = frame(&mut site.browser(), &query).await;
        assert_eq!(answer.status, status, "{query}");
        assert_eq!(phone.navigate("/x").await.url.path(), "/x", "{query}");
    }
    let mut socket = phone.socket("room=x").await.unwrap();
    let answer = frame(&mut site.browser(), &format!("iss={iss}&sid={sid}")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    let policy = format!("default-src 'none'; frame-ancestors {}", site.issuer());
    assert_eq!(answer.headers[header::CONTENT_SECURITY_POLICY], policy);
    assert!(!answer.headers.contains_key(header::X_FRAME_OPTIONS));
    assert!(!answer.headers.contains_key(header::SET_COOKIE));
    assert_eq!(super::revocation::closed_with(&mut socket).await, 1008);
    assert!(phone.socket("room=x").await.is_err());
    let mut socket = desk.socket("room=x").await.unwrap();
    // Some providers do not name themselves.
    let sessions = site.provider.session_ids("max");
    let of_desk = sessions.iter().find(|sid| *sid != of_phone).unwrap();
    let answer = frame(&mut site.browser(), &format!("sid={}", encode(of_desk))).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(super::revocation::closed_with(&mut socket).await, 1008);
    assert!(desk.socket("room=x").await.is_err());
    // The session at the provider goes on in this test: a new session here may have the same `sid`,
    // and is no session that the earlier logout named.
    site.clock_control.advance(Duration::from_secs(1));
    assert_eq!(phone.sign_in("max", "/x").await.url.path(), "/x");
    assert!(phone.socket("room=x").await.is_ok());
}

#[tokio::test]
async fn strangers_add_no_revocation() {
    const EACH: usize = 500;
    let site = Site::with(SiteOptions::default().durable()).await;
    let site = site.ready().await;
    let mut max = site.signed_in("max").await;
    let entries = async || -> Vec<String> {
        let metrics = site.metrics().await;
        let ours = metrics
            .lines()
            .filter(|line| line.starts_with("jitsi_auth_gateway_journal_entries"));
        ours.map(ToOwned::to_owned).collect()
    };
    let before = entries().await;
    assert_eq!(before.len(), 1, "{before:?}");
    let iss = encode(site.issuer());
    let mut line = KeepAliveClient::new(site.browser());
    for n in 0..EACH {
        let url = format!("{ORIGIN}/_gateway/frontchannel-logout?iss={iss}&sid=made-up-{n}");
        let url = url.parse().unwrap();
        let answer = line.send(Method::GET, &url, &HeaderMap::new()).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    assert_eq!(entries().await, before);
    let metrics = site.metrics().await;
    let counted = format!("frontchannel_logouts_total{{outcome=\"unmatched\"}} {EACH}\n");
    assert!(metrics.contains(&counted), "{metrics}");
    assert!(max.socket("room=x").await.is_ok());
}
