//! Revocation: sign-out, back-channel logout, operator and expiry close connections within a
//! second.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use super::{CREATE, revalidation::is_open, sid_of};
use crate::support::{
    browser::{Browser, Page, Socket, encode},
    logs::Logs,
    reconnecting_client::open_tls,
    site::{CLIENT_ID, ORIGIN, Site, SiteOptions},
};

/// The promised time from a revocation to the close.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The close code of a WebSocket that closes within [`AT_ONCE`].
pub(super) async fn closed_with(socket: &mut Socket) -> u16 {
    closed_because(socket).await.0
}

/// The same with the text of the close frame.
async fn closed_because(socket: &mut Socket) -> (u16, String) {
    let closing = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return (u16::from(frame.code), frame.reason.to_string());
                }
                Some(Ok(_)) => {}
                other => panic!("ended without a close frame: {other:?}"),
            }
        }
    };
    tokio::time::timeout(AT_ONCE, closing)
        .await
        .expect("closed within a second")
}

/// Creates a BOSH session and starts a long poll.
async fn polling(mut browser: Browser) -> tokio::task::JoinHandle<Page> {
    let created = browser.bosh("room=x", CREATE).await;
    let sid = sid_of(&created.text()).to_owned();
    let poll = format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'/>");
    tokio::spawn(async move { browser.bosh("room=x", &poll).await })
}

#[tokio::test]
async fn a_sign_out_on_all_devices_ends_the_sessions_of_that_person_only() {
    let logs = Logs::keep();
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let mut other_device = site.signed_in("max").await;
    let mut mia = site.signed_in("mia").await;
    let mut here = max.socket("room=x").await.unwrap();
    let mut there = other_device.socket("room=x").await.unwrap();
    let mut of_mia = mia.socket("room=x").await.unwrap();
    site.clock_control.advance(Duration::from_secs(1));
    let start = max.navigate("/").await;
    assert!(start.text().contains("/_gateway/logout?everywhere=1"));
    max.navigate("/_gateway/logout?everywhere=1").await;
    for socket in [&mut here, &mut there] {
        let signed_out = (1008, "signed-out".to_owned());
        assert_eq!(closed_because(socket).await, signed_out);
    }
    let refused = other_device.socket("room=x").await.unwrap_err();
    assert_eq!(refused, StatusCode::FORBIDDEN);
    assert!(is_open(&mut of_mia).await);
    // A later sign-in is a session of its own.
    site.clock_control.advance(Duration::from_secs(1));
    let mut later = site.signed_in("max").await;
    assert!(later.socket("room=x").await.is_ok());
    let audit = logs.audit();
    assert!(audit.contains("\"event\":\"signed_out\",\"everywhere\":true"));
}

#[tokio::test]
async fn sign_out_closes_websockets_and_polls_of_that_session_only() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let mut other_device = site.signed_in("max").await;
    let mut mia = site.signed_in("mia").await;
    let mut first = max.socket("room=x").await.unwrap();
    let mut second = max.socket("room=y").await.unwrap();
    let mut of_other_device = other_device.socket("room=x").await.unwrap();
    let mut of_mia = mia.socket("room=x").await.unwrap();
    let poll = polling(max.clone()).await;
    site.wait_for("the poll is under way", async || site.bosh_requests() > 0)
        .await;

    let mut elsewhere = max.clone();
    let began = Instant::now();
    elsewhere.navigate("/_gateway/logout").await;
    // The script in Jitsi's page looks for this text.
    let signed_out = (1008, "signed-out".to_owned());
    assert_eq!(closed_because(&mut first).await, signed_out);
    assert_eq!(closed_because(&mut second).await, signed_out);
    let answer = poll.await.unwrap();
    assert_eq!(answer.headers["x-gateway-ended"], "signed-out");
    let answer = answer.text();
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert!(answer.contains("type='terminate'"), "{answer}");

    // The session's cookie is refused.
    assert_eq!(
        max.socket("room=x").await.unwrap_err(),
        StatusCode::FORBIDDEN
    );
    // Other sessions continue: both WebSockets answer a ping.
    for socket in [&mut of_other_device, &mut of_mia] {
        let ping = Message::Ping(Bytes::from_static(b"?"));
        futures_util::SinkExt::send(socket, ping).await.unwrap();
        let pong = tokio::time::timeout(AT_ONCE, socket.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert!(matches!(pong, Message::Pong(_)), "{pong:?}");
    }
    drop((first, second));
    site.wait_for("two WebSockets are open", async || {
        let open = "jitsi_auth_gateway_streams_open{kind=\"websocket\"} 2";
        site.metrics().await.contains(open)
    })
    .await;
    let metrics = site.metrics().await;
    for line in [
        "jitsi_auth_gateway_cuts_total{transport=\"websocket\",reason=\"sign_out\"} 2",
        "jitsi_auth_gateway_cuts_total{transport=\"bosh\",reason=\"sign_out\"} 1",
        "jitsi_auth_gateway_streams_open{kind=\"bosh\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn revoking_an_idle_bosh_stream_terminates_it_at_prosody() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let created = max.bosh("room=x", CREATE).await;
    let sid = sid_of(&created.text()).to_owned();
    // Answered at once; no further request follows.
    let auth = format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'>\
         <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/></body>"
    );
    let answer = max.bosh("room=x", &auth).await.text();
    assert!(answer.contains("success"), "{answer}");
    let before = site.bosh_requests();
    max.navigate("/_gateway/logout").await;
    site.wait_for("Prosody is told", async || site.bosh_requests() > before)
        .await;
}

#[tokio::test]
async fn an_operators_revocation_closes_all_connections_of_the_subject() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let mut socket = max.socket("room=x").await.unwrap();
    let mut mia = site.signed_in("mia").await;
    let _of_mia = mia.socket("room=x").await.unwrap();
    let page = [("sec-fetch-site", "none")];
    for (body, headers, expected) in [
        (r#"{"subject":"max"}"#, &page[..], StatusCode::FORBIDDEN),
        (r#"{"subject":" "}"#, &[], StatusCode::BAD_REQUEST),
        (r#"{"name":"max"}"#, &[], StatusCode::BAD_REQUEST),
        (
            r#"{"subject":"max","session":"x"}"#,
            &[],
            StatusCode::BAD_REQUEST,
        ),
        ("", &[], StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(
            site.order("/revoke", body, headers).await,
            expected,
            "{body}"
        );
    }
    let mut again = max.socket("room=x").await.unwrap();
    let done = site.order("/revoke", r#"{"subject":"max"}"#, &[]).await;
    assert_eq!(done, StatusCode::OK);
    for socket in [&mut socket, &mut again] {
        assert_eq!(closed_with(socket).await, 1008);
    }
    let refused = max.socket("room=x").await.unwrap_err();
    assert_eq!(refused, StatusCode::FORBIDDEN);
    assert!(mia.socket("room=x").await.is_ok());
    let cut = "jitsi_auth_gateway_cuts_total{transport=\"websocket\",reason=\"operator\"} 2";
    site.wait_for("both are counted", async || {
        site.metrics().await.contains(cut)
    })
    .await;
}

#[tokio::test]
async fn back_channel_logout_closes_all_sessions_of_the_subject() {
    let site = Site::start().await.ready().await;
    let mut devices = [site.signed_in("max").await, site.signed_in("max").await];
    let mut sockets = Vec::new();
    for device in &mut devices {
        sockets.push(device.socket("room=x").await.unwrap());
    }
    let mut mia = site.signed_in("mia").await;
    let _of_mia = mia.socket("room=x").await.unwrap();

    let logout = |token: String| {
        let mut provider = site.browser();
        async move {
            let mut headers = HeaderMap::new();
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(header::CONTENT_TYPE, form);
            let url = format!("{ORIGIN}/_gateway/backchannel-logout")
                .parse()
                .unwrap();
            let body = format!("logout_token={}", encode(&token));
            provider
                .send(Method::POST, &url, headers, body.into())
                .await
        }
    };
    let token = site.provider.logout_token(CLIENT_ID, Some("max"), None);
    let forged = format!("{}x", &token[..token.len() - 1]);
    assert_eq!(logout(forged).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        logout(site.provider.logout_token("other", Some("max"), None))
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
    let answer = logout(token.clone()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    for socket in &mut sockets {
        assert_eq!(closed_with(socket).await, 1008);
    }
    assert_eq!(
        logout(token).await.status,
        StatusCode::BAD_REQUEST,
        "a replay"
    );
    assert!(mia.socket("room=x").await.is_ok());
    // A new sign-in works at once, although `iat` of a logout token has whole seconds.
    site.clock_control.advance(Duration::from_millis(1));
    assert!(site.signed_in("max").await.socket("room=x").await.is_ok());
}

#[tokio::test]
async fn a_sign_in_after_a_revocation_of_the_same_second_is_valid() {
    let site = Site::start().await.ready().await;
    let second = site.clock.now();
    let of_max = |site: &Site| site.provider.logout_token(CLIENT_ID, Some("max"), None);
    for revocation in ["everywhere", "logout token", "operator"] {
        let mut before = site.signed_in("max").await;
        let mut socket = before.socket("room=x").await.unwrap();
        site.clock_control.advance(Duration::from_millis(1));
        match revocation {
            "everywhere" => {
                let everywhere = "/_gateway/logout?everywhere=1";
                site.signed_in("max").await.navigate(everywhere).await;
            }
            "logout token" => {
                let url = format!("{ORIGIN}/_gateway/backchannel-logout");
                let body = format!("logout_token={}", encode(&of_max(&site)));
                let answer = site
                    .browser()
                    .send(
                        Method::POST,
                        &url.parse().unwrap(),
                        HeaderMap::new(),
                        body.into(),
                    )
                    .await;
                assert_eq!(answer.status, StatusCode::OK);
            }
            _ => {
                let done = site.order("/revoke", r#"{"subject":"max"}"#, &[]).await;
                assert_eq!(done, StatusCode::OK);
            }
        }
        assert_eq!(closed_with(&mut socket).await, 1008, "{revocation}");
        let refused = before.socket("room=x").await.unwrap_err();
        assert_eq!(refused, StatusCode::FORBIDDEN, "{revocation}");
        site.clock_control.advance(Duration::from_millis(1));
        let mut after = site.signed_in("max").await;
        assert!(after.socket("room=x").await.is_ok(), "{revocation}");
    }
    assert_eq!(site.clock.now(), second);
}

#[tokio::test]
async fn a_sign_in_while_a_logout_token_arrives_is_valid() {
    let site = Site::start().await.ready().await;
    let mut before = site.signed_in("max").await;
    let mut provider = open_tls(&site.browser(), b"http/1.1").await.unwrap();
    let token = site.provider.logout_token(CLIENT_ID, Some("max"), None);
    let body = format!("logout_token={}", encode(&token));
    let head = format!(
        "POST /_gateway/backchannel-logout HTTP/1.1\r\nhost: meet.example.org\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\
         expect: 100-continue\r\nconnection: close\r\n\r\n",
        body.len()
    );
    provider.write_all(head.as_bytes()).await.unwrap();
    // The gateway asks for the body (RFC 9110 § 10.1.1) after it noted the time.
    let mut asked = vec![0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    provider.read_exact(&mut asked).await.unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100 "), "{asked:?}");
    site.clock_control.advance(Duration::from_millis(1));
    let mut meanwhile = site.signed_in("max").await;
    provider.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    provider.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let refused = before.socket("room=x").await.unwrap_err();
    assert_eq!(refused, StatusCode::FORBIDDEN);
    assert!(meanwhile.socket("room=x").await.is_ok());
}

#[tokio::test]
async fn a_logout_token_ends_the_sessions_that_name_none_by_its_subject() {
    let site = Site::start().await.ready().await;
    let logout = async |subject: &str, sid: &str| {
        let token = site
            .provider
            .logout_token(CLIENT_ID, Some(subject), Some(sid));
        let url = format!("{ORIGIN}/_gateway/backchannel-logout")
            .parse()
            .unwrap();
        let body = format!("logout_token={}", encode(&token)).into();
        let answer = site
            .browser()
            .send(Method::POST, &url, HeaderMap::new(), body)
            .await;
        assert_eq!(answer.status, StatusCode::OK);
    };
    // The development provider names the session in each ID token: another session of that person
    // goes on.
    let mut max = site.signed_in("max").await;
    let mut socket = max.socket("room=x").await.unwrap();
    logout("max", "another session").await;
    assert!(max.socket("room=x").await.is_ok());
    site.provider.omit_sid();
    let mut mia = site.signed_in("mia").await;
    let mut of_mia = mia.socket("room=x").await.unwrap();
    logout("mia", "a session that no token named").await;
    assert_eq!(closed_with(&mut of_mia).await, 1008);
    let ping = Message::Ping(Bytes::from_static(b"?"));
    futures_util::SinkExt::send(&mut socket, ping)
        .await
        .unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Pong(_)))));
    // A later session of the person works.
    site.clock_control.advance(Duration::from_secs(1));
    assert!(site.signed_in("mia").await.socket("room=x").await.is_ok());
}

#[tokio::test]
async fn back_channel_logout_uses_sub_even_with_another_id_claim() {
    let options = SiteOptions::default()
        .rules("[oidc.claims]\nid = \"email\"\n[[room]]\nmatch = \"*\"\nenter = \"member\"\n");
    let site = Site::with(options).await.ready().await;
    let mut max = site.signed_in("max").await;
    let mut socket = max.socket("room=x").await.unwrap();
    let token = site.provider.logout_token(CLIENT_ID, Some("max"), None);
    let url = format!("{ORIGIN}/_gateway/backchannel-logout")
        .parse()
        .unwrap();
    let body = format!("logout_token={}", encode(&token));
    let answer = site
        .browser()
        .send(Method::POST, &url, HeaderMap::new(), body.into())
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(closed_with(&mut socket).await, 1008);
}

#[tokio::test]
async fn an_idle_session_expires() {
    let options = SiteOptions::default().session("idle = \"1h\"\nabsolute = \"2h\"");
    let site = Site::with(options).await.ready().await;
    let mut browser = site.signed_in("max").await;
    assert!(browser.socket("room=x").await.is_ok());
    site.clock_control.advance(Duration::from_mins(61));
    assert_eq!(
        browser.socket("room=x").await.unwrap_err(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(browser.navigate("/x").await.url.path(), "/_gateway/login");
}

#[tokio::test]
async fn a_websocket_closes_when_its_session_expires() {
    // Takes one second of real time: WebSockets expire by the runtime's timer.
    let options = SiteOptions::default().session("idle = \"1m\"\nabsolute = \"1m\"");
    let site = Site::with(options).await.ready().await;
    let mut browser = site.signed_in("max").await;
    site.clock_control.advance(Duration::from_secs(59));
    let mut socket = browser.socket("room=x").await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(3), async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(ended.await.expect("closed when the session ends"), 1008);
}

#[tokio::test]
async fn a_bosh_session_is_bound_to_its_owner_and_room() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let created = max.bosh("room=x", CREATE).await;
    let sid = sid_of(&created.text()).to_owned();
    let request =
        format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'/>");
    let mut mia = site.signed_in("mia").await;
    let stolen = mia.bosh("room=x", &request).await.text();
    assert!(stolen.contains("item-not-found"), "{stolen}");
    let elsewhere = max.bosh("room=y", &request).await.text();
    assert!(elsewhere.contains("item-not-found"), "{elsewhere}");
    let raw = format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{}'/>",
        sid.split('.').next().unwrap()
    );
    assert!(
        max.bosh("room=x", &raw)
            .await
            .text()
            .contains("item-not-found")
    );
}
