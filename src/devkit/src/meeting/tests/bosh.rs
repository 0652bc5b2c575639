//! The meeting backend over BOSH.

use super::*;

#[tokio::test]
async fn a_session_logs_in_joins_polls_and_ends() {
    let setup = start().await;
    let query = format!("room=team&token={}", token("team", "Mia", false));
    let body = |rid: u64, attributes: &str, stanzas: &str| {
        format!("<body xmlns='{BOSH}' rid='{rid}' {attributes}>{stanzas}</body>")
    };
    let opened = setup
        .bosh(
            &query,
            &body(
                7,
                "to='meet.test' wait='60' hold='1' ver='1.6' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'",
                "",
            ),
        )
        .await;
    assert!(opened.to_string().contains("ANONYMOUS"), "{opened}");
    let sid = format!("sid='{}'", opened.attribute("sid").unwrap());
    // Only the token of the first request is read.
    let auth = format!("<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>");
    let answer = setup.bosh("token=bad", &body(8, &sid, &auth)).await;
    assert!(answer.child("success").is_some(), "{answer}");
    // A repeated request gets the same response.
    assert_eq!(setup.bosh("", &body(8, &sid, &auth)).await, answer);
    let restart = format!("{sid} xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh'");
    let answer = setup.bosh("", &body(9, &restart, "")).await;
    assert!(answer.to_string().contains("xmpp-bind"), "{answer}");
    let bind = "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    setup.bosh("", &body(10, &sid, bind)).await;
    let join = "<presence xmlns='jabber:client' to='team@muc.meet.test/b1'/>";
    let answer = setup.bosh("", &body(11, &sid, join)).await;
    let presence = answer.children().next().unwrap();
    assert_eq!(seen(presence), seen_self("b1", "Mia", "member"));

    // A held request is answered when another occupant joins.
    let poll = body(12, &sid, "");
    let poll = setup.bosh("", &poll);
    let hanna = token("team", "Hanna", true);
    let host = setup.join(&hanna, "team", "h1");
    let (polled, mut host) = tokio::join!(poll, host);
    let came = polled.children().next().unwrap();
    assert_eq!(seen(came), seen_as("h1", "Hanna", "owner"));
    assert_eq!(seen(&host.next().await).nick, "b1");
    assert_eq!(seen(&host.next().await).nick, "h1");

    let ended = setup
        .bosh("", &body(13, &format!("{sid} type='terminate'"), ""))
        .await;
    assert_eq!(ended.attribute("type"), Some("terminate"));
    assert_eq!(host.next().await.attribute("type"), Some("unavailable"));
    let gone = setup.bosh("", &body(14, &sid, "")).await;
    assert_eq!(gone.attribute("condition"), Some("item-not-found"));
}

#[tokio::test]
async fn a_held_request_is_answered_by_the_next_and_after_wait() {
    let setup = start().await;
    let opening = format!("<body xmlns='{BOSH}' rid='1' to='meet.test' wait='1' hold='1'/>");
    let opened = setup.bosh("", &opening).await;
    let sid = opened.attribute("sid").unwrap().to_owned();
    let body = |rid: u64| format!("<body xmlns='{BOSH}' rid='{rid}' sid='{sid}'/>");
    let (two, three) = (body(2), body(3));
    // The third may arrive before the second.
    let (second, third) = tokio::join!(setup.bosh("", &two), setup.bosh("", &three));
    assert_eq!(second, Element::new("body", BOSH));
    assert_eq!(third, Element::new("body", BOSH));
    let far = setup.bosh("", &body(9)).await;
    assert_eq!(far.attribute("condition"), Some("item-not-found"));
}

#[tokio::test]
async fn invalid_requests_are_refused_with_a_condition() {
    let setup = start().await;
    for (body, condition) in [
        ("", "bad-request"),
        ("<iq/>", "bad-request"),
        (
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='1' sid='x'/>",
            "item-not-found",
        ),
        (
            "<body xmlns='http://jabber.org/protocol/httpbind' to='meet.test'/>",
            "bad-request",
        ),
        (
            "<body xmlns='http://jabber.org/protocol/httpbind' to='meet.test' rid='0'/>",
            "bad-request",
        ),
        (
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='1' to='other'/>",
            "host-unknown",
        ),
    ] {
        let answer = setup.bosh("", body).await;
        assert_eq!(answer.attribute("condition"), Some(condition), "{body}");
    }
    let large = "x".repeat(MAX_MESSAGE_BYTES + 1);
    let request = Request::post(format!("http://{}/http-bind", setup.address));
    let page = TestBrowser::new().send(request, &large).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
}
