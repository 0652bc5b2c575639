//! What stands beside the meetings ends with the credentials, the rules and the gateway.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use http::{Method, StatusCode};
use tokio_tungstenite::tungstenite::Message;
use toml::Table;

use super::{
    locations::{BOARD, address, fetch, fields, people_in_rooms, rules, site, socket_status},
    revocation::closed_with,
};
use crate::support::site::{ORIGIN, Site};

#[tokio::test]
async fn sign_out_ends_sockets_held_requests_and_downloads() {
    let (site, echo) = site(&rules()).await;
    for (who, mut browser) in people_in_rooms(&site).await {
        echo.take_received();
        let mut board = browser
            .open_websocket_at(BOARD, None, Some(ORIGIN))
            .await
            .unwrap();
        let (mut polling, mut reading) = (browser.clone(), browser.clone());
        let held =
            tokio::spawn(async move { fetch(&mut polling, Method::GET, "/etherpad/held").await });
        let endless = tokio::spawn(async move {
            let page = address("/etherpad/endless");
            reading
                .try_send(Method::GET, &page, fields(&[("origin", ORIGIN)]))
                .await
        });
        site.wait_for("all are under way", async || echo.count() == 3)
            .await;
        let began = Instant::now();
        browser.navigate("/_gateway/logout").await;
        assert_eq!(closed_with(&mut board).await, 1008, "{who}");
        assert_eq!(
            held.await.unwrap().status,
            StatusCode::UNAUTHORIZED,
            "{who}"
        );
        assert!(endless.await.unwrap().is_err(), "{who}: a download goes on");
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{who}: {took:?}");
    }
    let cuts = "jitsi_auth_gateway_location_cuts_total{reason=\"sign_out\"} 12";
    site.wait_for("the ends are counted", async || {
        site.metrics().await.contains(cuts)
    })
    .await;
    let open = "jitsi_auth_gateway_streams_open{kind=\"location\"} 0";
    site.wait_for("none is open", async || site.metrics().await.contains(open))
        .await;
}

#[tokio::test]
async fn the_end_of_a_session_ends_what_it_has_open() {
    // Takes a second of real time: connections expire by the runtime's timer.
    let rules = format!("{}[session]\nidle = \"1m\"\nabsolute = \"1m\"\n", rules());
    let (site, echo) = site(&rules).await;
    let mut max = site.signed_in("max").await;
    site.clock_control.advance(Duration::from_secs(59));
    let mut board = max
        .open_websocket_at(BOARD, None, Some(ORIGIN))
        .await
        .unwrap();
    let (mut polling, mut reading) = (max.clone(), max.clone());
    let held =
        tokio::spawn(async move { fetch(&mut polling, Method::GET, "/etherpad/held").await });
    let endless = tokio::spawn(async move {
        let page = address("/etherpad/endless");
        let headers = fields(&[("origin", ORIGIN)]);
        reading.try_send(Method::GET, &page, headers).await
    });
    site.wait_for("all are under way", async || echo.count() == 3)
        .await;
    let ends = tokio::time::timeout(Duration::from_secs(3), async {
        (held.await.unwrap().status, endless.await.unwrap().is_err())
    });
    assert_eq!(ends.await.unwrap(), (StatusCode::UNAUTHORIZED, true));
    assert_eq!(closed_with(&mut board).await, 1008);
}

#[tokio::test]
async fn reloaded_rules_end_sockets_of_those_who_have_no_room_left() {
    let (site, _echo) = site(&rules()).await;
    let mut max = site.signed_in("max").await;
    let mut board = max
        .open_websocket_at(BOARD, None, Some(ORIGIN))
        .await
        .unwrap();
    site.reload(|configuration| {
        let staff: Table = "[[room]]\nmatch = \"*\"\nenter = [\"group:staff\"]\n"
            .parse()
            .unwrap();
        configuration.insert("room".to_owned(), staff["room"].clone());
    });
    assert_eq!(closed_with(&mut board).await, 1008);
    assert_eq!(socket_status(&mut max, BOARD).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_stop_ends_sockets_of_locations() {
    let (site, _echo) = site(&rules()).await;
    let mut guest = people_in_rooms(&site).await.remove(1).1;
    let mut board = guest
        .open_websocket_at(BOARD, None, Some(ORIGIN))
        .await
        .unwrap();
    let Site { running, .. } = site;
    let stopping = tokio::spawn(running.stop(tokio_util::sync::CancellationToken::new()));
    let closing = async {
        loop {
            match board.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let code = tokio::time::timeout(Duration::from_secs(30), closing).await;
    assert_eq!(code.expect("the socket is closed"), 1001);
    stopping.await.unwrap();
}
