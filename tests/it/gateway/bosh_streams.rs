//! Which worker and which Prosody a BOSH stream's requests arrive at.

use devkit::meeting::{DevMeetingState, RequestKind};
use http::StatusCode;
use model::clock::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{CREATE, sid_of};
use crate::support::{
    browser::KeepAliveClient,
    logs::Logs,
    site::{Site, SiteOptions, bind_meeting},
};

/// The acceptor gives a connection to the worker with the fewest, and the site has two workers.
#[tokio::test]
async fn a_bosh_stream_over_two_workers_is_counted_once_and_cut_once() {
    const ROOM: &str = "bosh-over-two-workers";
    let logs = Logs::keep();
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let query = format!("room={ROOM}");
    let create = CREATE.replace("wait='60'", "wait='0'");
    let created = max.bosh(&query, &create).await.text();
    let sid = sid_of(&created).to_owned();
    let metric = async |sample: &str| site.metrics().await.contains(&format!("\n{sample}\n"));
    site.wait_for("the connections of the sign-in are closed", async || {
        metric("jitsi_auth_gateway_connections_open 0").await
    })
    .await;

    let mut connections = [KeepAliveClient::new(max.clone()), KeepAliveClient::new(max)];
    let poll = |rid: usize| {
        format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='{rid}' sid='{sid}'/>")
    };
    for (turn, rid) in (101..107).enumerate() {
        let answer = connections[turn % 2].bosh(&query, &poll(rid)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert!(!answer.text().contains("terminate"), "{answer:?}");
    }
    assert!(metric("jitsi_auth_gateway_connections_open 2").await);
    let one_stream = metric("jitsi_auth_gateway_streams_open{kind=\"bosh\"} 1").await;
    assert!(one_stream, "{}", site.metrics().await);

    let before = site.bosh_requests();
    let revoked = site.order("/revoke", r#"{"subject":"max"}"#, &[]).await;
    assert_eq!(revoked, StatusCode::OK);
    site.wait_for("no stream is open", async || {
        metric("jitsi_auth_gateway_streams_open{kind=\"bosh\"} 0").await
    })
    .await;
    let cuts = logs.audit();
    let cuts: Vec<&str> = cuts
        .lines()
        .filter(|line| line.contains("\"event\":\"cut\"") && line.contains(ROOM))
        .collect();
    assert_eq!(cuts.len(), 1, "{cuts:#?}");
    // One for each request id that Prosody may expect: the next, and one more.
    site.wait_for("Prosody has the terminate requests", async || {
        site.bosh_requests() >= before + 2
    })
    .await;
    assert_eq!(site.bosh_requests(), before + 2, "terminate requests");
}

/// At any other Prosody neither the client nor the gateway can end the stream.
#[tokio::test]
async fn a_bosh_stream_is_bound_to_its_visitor_node() {
    let (clock, control) = Clock::manual(Timestamp::from_unix(1_800_000_000));
    let node = bind_meeting("v0.meet.jitsi", clock.clone()).await;
    let (address, at_node) = (node.address(), node.meeting());
    let stop = CancellationToken::new();
    tokio::spawn(node.run(stop.clone()));
    let _stop = stop.drop_guard();
    let rules = format!(
        "[[upstream.visitor]]\nname = \"v0\"\nxmpp = \"http://{address}\"\n\
         [[room]]\nmatch = \"*\"\nenter = \"member\"\n",
    );
    let options = SiteOptions::default().rules(&rules).clock(clock, control);
    let site = Site::with(options).await.ready().await;
    let mut max = site.signed_in("max").await;
    let requests = |meeting: &DevMeetingState| {
        let received = meeting.received();
        let of_streams = received
            .iter()
            .filter(|request| request.kind == RequestKind::BoshRequest);
        of_streams.count()
    };

    let create = CREATE.replace("to='meet.jitsi'", "to='v0.meet.jitsi'");
    let at_main = max.bosh("room=x", CREATE).await.text();
    let created = max.bosh("room=x&vnode=v0", &create).await.text();
    for (sid, elsewhere) in [
        (sid_of(&at_main), &["room=x&vnode=v0"][..]),
        (sid_of(&created), &["room=x", "room=x&vnode=v1"]),
    ] {
        for query in elsewhere {
            let poll = format!(
                "<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'/>"
            );
            let answer = max.bosh(query, &poll).await.text();
            assert!(answer.contains("item-not-found"), "{query}: {answer}");
        }
    }
    assert_eq!((requests(&site.meeting), requests(&at_node)), (0, 0));

    let (main, node) = (sid_of(&at_main).to_owned(), sid_of(&created).to_owned());
    for (sid, query, meeting) in [
        (main, "room=x", &site.meeting),
        (node, "room=x&vnode=v0", &at_node),
    ] {
        let auth = format!(
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'>\
             <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/></body>"
        );
        let answer = max.bosh(query, &auth).await.text();
        assert!(answer.contains("success"), "{query}: {answer}");
        assert_eq!(requests(meeting), 1, "{query}");
    }
    let revoked = site.order("/revoke", r#"{"subject":"max"}"#, &[]).await;
    assert_eq!(revoked, StatusCode::OK);
    // One for each request id that Prosody may expect: the next, and one more.
    site.wait_for("each Prosody has the terminate requests", async || {
        requests(&site.meeting) >= 3 && requests(&at_node) >= 3
    })
    .await;
    assert_eq!((requests(&site.meeting), requests(&at_node)), (3, 3));
}

/// Recorders and, in open rooms, apps: each request is admitted by its address or the room alone.
#[tokio::test]
async fn a_bosh_stream_without_credentials_is_revoked_by_what_its_audit_line_says() {
    let logs = Logs::keep();
    let rules = "[[room]]\nmatch = \"*\"\nenter = \"open\"\nstart = \"anyone\"\n";
    let site = Site::with(SiteOptions::default().rules(rules));
    let site = site.await.ready().await;
    for name in ["session", "subject"] {
        let room = format!("anonymous-{name}");
        let query = format!("room={room}");
        let mut app = site.browser();
        let created = app.bosh_of_app(&query, CREATE).await.text();
        let auth = format!(
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{}'>\
             <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/></body>",
            sid_of(&created)
        );
        let answer = app.bosh_of_app(&query, &auth).await.text();
        assert!(answer.contains("success"), "{answer}");
        let lines = logs.audit();
        let admitted = lines
            .lines()
            .find(|line| line.contains("\"event\":\"admitted\"") && line.contains(&room));
        let line: serde_json::Value = serde_json::from_str(admitted.unwrap()).unwrap();
        let before = site.bosh_requests();
        let order = serde_json::json!({ name: line[name] }).to_string();
        assert_eq!(site.order("/revoke", &order, &[]).await, StatusCode::OK);
        site.wait_for("Prosody has the terminate requests", async || {
            site.bosh_requests() >= before + 2
        })
        .await;
    }
}
