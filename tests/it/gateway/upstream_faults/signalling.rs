//! A Prosody that breaks HTTP: what BOSH clients and WebSocket clients get for it.

use std::time::Duration;

use futures_util::StreamExt;
use http::StatusCode;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::write;
use crate::{
    gateway::{CREATE, sid_of},
    support::{
        browser::Browser,
        raw_upstream::{RawUpstream, Step},
        site::{ORIGIN, Site, SiteOptions},
    },
};

/// A deployment whose Prosody, and the server of whose location `/notes/`, is the upstream.
async fn site(prosody: &RawUpstream) -> Site {
    let url = prosody.url();
    let rules = format!(
        "[[room]]\nmatch = \"*\"\nenter = \"member\"\n\
        [upstream]\nxmpp = \"{url}\"\nweb_timeout = \"1s\"\nbosh_timeout = \"1s\"\n\
        [[location]]\npath = \"/notes/\"\nupstream = \"{}\"\nwho = \"anybody\"\nwebsocket = true\n",
        // Prosody's own address is refused.
        url.replace("127.0.0.1", "localhost"),
    );
    let options = SiteOptions::default().rules(&rules).listen("workers = 1");
    Site::with(options).await.ready().await
}

/// A response to the creation of a BOSH session.
fn created() -> String {
    let body = "<body xmlns='http://jabber.org/protocol/httpbind' sid='s' wait='60' requests='2' hold='1' \
        inactivity='60'/>";
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_bosh_session_is_created_by_a_whole_answer_only() {
    let prosody = RawUpstream::start().await;
    let site = site(&prosody).await;
    let mut max = site.signed_in("max").await;
    let good = created();
    let both = good.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n");
    let two = good.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\n");
    let short = good.replace("Content-Length: 1", "Content-Length: 9");
    let long = good.replace("/>", &format!("{}/>", " ".repeat(70_000)));
    let length = long.split_once("\r\n\r\n").unwrap().1.len();
    let (head, body) = long.split_once("\r\n\r\n").unwrap();
    let head = head.rsplit_once(' ').unwrap().0;
    let long = format!("{head} {length}\r\n\r\n{body}");
    let switch =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbytes";
    let mut wrong = Vec::new();
    for (name, steps) in [
        ("length-and-chunks", vec![write(&both)]),
        ("two-lengths", vec![write(&two)]),
        ("short", vec![write(&short), Step::Close]),
        ("long", vec![write(&long)]),
        ("unrequested-upgrade", vec![write(switch)]),
        ("garbage", vec![write("\u{1}\r\n\r\n")]),
        ("silence", vec![Step::Wait]),
        ("close", vec![Step::Close]),
        ("control", vec![write(&good)]),
    ] {
        let steps = [vec![Step::ReadBody], steps].concat();
        prosody.script(&format!("/http-bind?room={name}"), &steps);
        let answer = max.bosh(&format!("room={name}"), CREATE).await;
        let text = answer.text();
        let expected = if name == "control" {
            " sid="
        } else {
            "type='terminate' condition='remote-connection-failed'"
        };
        if answer.status != StatusCode::OK || !text.contains(expected) {
            wrong.push(format!("{name}: {} {text}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn an_answer_to_a_poll_that_breaks_off_is_seen_as_such() {
    let prosody = RawUpstream::start().await;
    let site = site(&prosody).await;
    let mut max = site.signed_in("max").await;
    prosody.script("/http-bind?room=tea", &[Step::ReadBody, write(&created())]);
    let text = max.bosh("room=tea", CREATE).await.text();
    let poll = format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{}'/>",
        sid_of(&text)
    );
    let part = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n<body xmlns='http://jabber.org/protocol/httpbind'>";
    let steps = [Step::ReadBody, write(part), Step::Gate, Step::Close];
    prosody.script("/http-bind?room=tea", &steps);
    let at_head = || prosody.open_gate();
    let answer = max.exchange_bosh("room=tea", &poll, at_head).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.is_err(), "{:?}", answer.body);
}

/// Opens the WebSocket of Prosody or of the location, and gives the first message.
async fn first_message(
    browser: &mut Browser,
    is_xmpp: bool,
    target: &str,
) -> Result<Message, StatusCode> {
    let protocol = is_xmpp.then_some("xmpp");
    let mut socket = browser
        .open_websocket_at(target, protocol, Some(ORIGIN))
        .await?;
    let message = timeout(PATIENCE, socket.next()).await;
    Ok(message.map_or_else(|_| Message::text("none"), |it| it.unwrap().unwrap()))
}

/// A slow machine delivers a message within it.
const PATIENCE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_switch_that_is_not_one_to_the_requested_websocket_is_refused() {
    let upstream = RawUpstream::start().await;
    let site = site(&upstream).await;
    let mut max = site.signed_in("max").await;
    let mut wrong = Vec::new();
    for is_xmpp in [true, false] {
        let protocol = if is_xmpp {
            "Sec-WebSocket-Protocol: xmpp\r\n"
        } else {
            ""
        };
        let fields = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{protocol}");
        let switch = |fields: &str, accept: Step, behind: &str| {
            let head =
                format!("HTTP/1.1 101 Switching Protocols\r\n{fields}Sec-WebSocket-Accept: ");
            vec![
                write(&head),
                accept,
                write(&format!("\r\n\r\n{behind}")),
                Step::Wait,
            ]
        };
        let unnamed = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
        let other = format!(
            "{}Sec-WebSocket-Protocol: other\r\n",
            fields.replace(protocol, "")
        );
        let extended = format!("{fields}Sec-WebSocket-Extensions: permessage-deflate\r\n");
        let refused = |status: &str| {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno");
            vec![write(&answer)]
        };
        let by_status = if is_xmpp { 502 } else { 403 };
        for (name, steps, status) in [
            (
                "control",
                switch(&fields, Step::Accept, "\u{1}\u{4}<a/>"),
                101,
            ),
            (
                "wrong-accept",
                switch(&fields, write("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), ""),
                502,
            ),
            ("no-accept", vec![write(&unnamed), Step::Wait], 502),
            (
                "no-upgrade",
                switch(
                    &fields.replace("Upgrade: websocket\r\n", ""),
                    Step::Accept,
                    "",
                ),
                502,
            ),
            (
                "no-connection",
                switch(
                    &fields.replace("Connection: Upgrade\r\n", ""),
                    Step::Accept,
                    "",
                ),
                502,
            ),
            ("other-protocol", switch(&other, Step::Accept, ""), 502),
            ("extension", switch(&extended, Step::Accept, ""), 502),
            ("ok", refused("200 OK"), 502),
            ("forbidden", refused("403 Forbidden"), by_status),
            ("redirect", refused("302 Found\r\nLocation: /"), 502),
            ("garbage", vec![write("\u{1}\r\n\r\n")], 502),
            ("close", vec![Step::Close], 502),
            ("silence", vec![Step::Wait], 504),
        ] {
            // The first byte of a frame is no character of UTF-8.
            let steps: Vec<_> = steps.into_iter().map(as_final_frame).collect();
            let target = if is_xmpp {
                format!("/xmpp-websocket?room={name}")
            } else {
                format!("/notes/{name}")
            };
            upstream.script(&target, &steps);
            let message = first_message(&mut max, is_xmpp, &target).await;
            let got = format!("{target}: {message:?}");
            let is_right = match message {
                Ok(message) => (status, message) == (101, Message::text("<a/>")),
                Err(refusal) => refusal.as_u16() == status,
            };
            if !is_right {
                wrong.push(got.clone());
            }
            // A handshake is never repeated.
            assert_eq!(upstream.connections_of(&target).len(), 1, "{got}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Sets the final bit of a frame behind a head.
fn as_final_frame(step: Step) -> Step {
    match step {
        Step::Write(mut bytes) if bytes.starts_with(b"\r\n\r\n\x01") => {
            bytes[4] |= 0x80;
            Step::Write(bytes)
        }
        other => other,
    }
}
