use http::{HeaderValue, header};
use http_body_util::BodyExt;
use model::policy::Refusal;
use tokio::io::DuplexStream;

use super::*;
use crate::testing::key;

const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi'/>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
const CLOSE: &str = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";

fn refusal() -> SaslRefusal {
    SaslRefusal {
        domain: "meet.jitsi".to_owned(),
    }
}

fn query(text: &str) -> SignallingQuery {
    SignallingQuery::parse(None, text).unwrap()
}

#[test]
fn only_apps_that_a_sign_in_may_help_get_it() {
    let sign_in = || RequestError::from(AccessError::SignInFirst);
    let waiting = || {
        RequestError::from(AccessError::Waiting {
            room: key("x"),
            person: None,
        })
    };
    let closed = || {
        RequestError::from(AccessError::Refused {
            refusal: Refusal::NoRule,
            room: key("x"),
            person: None,
        })
    };
    let android = (header::USER_AGENT.as_str(), "okhttp/4.12.0");
    let ios = (
        header::USER_AGENT.as_str(),
        "JitsiMeet/24.5 CFNetwork/1568.100.1 Darwin/24.0.0",
    );
    let cases = [
        (sign_in(), "room=x", Some(android), true),
        (sign_in(), "room=x", Some(ios), true),
        // React Native for iOS names no agent in handshakes.
        (sign_in(), "room=x", None, true),
        (waiting(), "room=x", Some(android), true),
        (closed(), "room=x", Some(android), false),
        // An app with a token does not sign in again for this.
        (sign_in(), "room=x&token=a.b.c", Some(android), false),
        (
            sign_in(),
            "room=x",
            Some((header::USER_AGENT.as_str(), "Mozilla/5.0 (X11; Linux)")),
            false,
        ),
        (
            sign_in(),
            "room=x",
            Some(("sec-fetch-mode", "websocket")),
            false,
        ),
        // After such a failure within a meeting Jitsi's page stands still without a notice.
        (
            waiting(),
            "room=x&previd=abc",
            Some((header::USER_AGENT.as_str(), "Mozilla/5.0 (X11; Linux)")),
            false,
        ),
        (
            sign_in(),
            "room=x&previd=abc",
            Some(("sec-fetch-mode", "websocket")),
            false,
        ),
    ];
    for (error, text, header, expected) in cases {
        let headers = header.map(|(name, value)| {
            let name = name.parse::<header::HeaderName>().unwrap();
            (name, HeaderValue::from_static(value))
        });
        let headers = headers.into_iter().collect();
        let given = SaslRefusal::of(&error, &query(text), &headers, "meet.jitsi");
        assert_eq!(given.is_some(), expected, "{error} {text} {header:?}");
    }
}

async fn client(refusal: SaslRefusal) -> WebSocketStream<DuplexStream> {
    let (ours, theirs) = tokio::io::duplex(4096);
    tokio::spawn(refusal.run(theirs));
    WebSocketStream::from_raw_socket(ours, Role::Client, None).await
}

async fn text(socket: &mut WebSocketStream<DuplexStream>) -> String {
    match socket.next().await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_web_socket_gets_features_a_failure_and_an_end() {
    let mut socket = client(refusal()).await;
    socket.send(Message::text(OPEN)).await.unwrap();
    let open = text(&mut socket).await;
    assert!(
        open.starts_with("<open ") && open.contains("from='meet.jitsi'"),
        "{open}"
    );
    let features = text(&mut socket).await;
    assert!(
        features.contains("<mechanism>ANONYMOUS</mechanism>"),
        "{features}"
    );
    socket.send(Message::text(AUTH)).await.unwrap();
    let failure = text(&mut socket).await;
    assert!(failure.contains("<not-allowed/><text"), "{failure}");
    socket.send(Message::text(CLOSE)).await.unwrap();
    assert!(text(&mut socket).await.starts_with("<close "));
    let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else {
        panic!("no close frame");
    };
    assert_eq!(frame.code, CloseCode::Normal);
}

#[tokio::test]
async fn what_cannot_come_next_ends_the_web_socket() {
    let large = format!("<open a='{}'/>", "x".repeat(MAX_MESSAGE));
    let cases: [&[Message]; 6] = [
        &[Message::text(AUTH)],
        &[Message::text(OPEN.replace("meet.jitsi", "auth.meet.jitsi"))],
        &[
            Message::text(OPEN),
            Message::text(AUTH.replace("ANONYMOUS", "PLAIN")),
        ],
        &[Message::text(OPEN), Message::text("<iq/>")],
        &[Message::binary(OPEN)],
        &[Message::text(large)],
    ];
    for messages in cases {
        let mut socket = client(refusal()).await;
        for message in messages {
            let _ = socket.send(message.clone()).await;
        }
        let mut last = String::new();
        while let Some(Ok(message)) = socket.next().await {
            last = format!("{message:?}");
            assert!(!last.contains("not-allowed"), "{messages:?}");
        }
        let refused =
            last.contains("Policy") || messages.iter().any(|message| message.len() > MAX_MESSAGE);
        assert!(refused, "{messages:?} {last}");
    }
}

#[tokio::test]
async fn failures_are_not_given_for_ever() {
    let mut socket = client(refusal()).await;
    socket.send(Message::text(OPEN)).await.unwrap();
    let mut failures = 0;
    for _ in 0..5 {
        let _ = socket.send(Message::text(AUTH)).await;
    }
    while let Some(Ok(message)) = socket.next().await {
        failures += usize::from(message.to_string().contains("not-allowed"));
    }
    assert_eq!(failures, 3);
}

#[tokio::test]
async fn a_bosh_session_gets_features_a_failure_and_an_end() {
    let cases = [
        (
            "<body rid='1' to='meet.jitsi'/>",
            Some("<mechanism>ANONYMOUS"),
        ),
        (
            "<body rid='2' sid='sign-in-first'><auth/></body>",
            Some("<not-allowed/>"),
        ),
        (
            "<body rid='3' sid='sign-in-first' type='terminate'/>",
            Some("type='terminate'"),
        ),
        ("<body rid='3' sid='another'/>", None),
    ];
    for (body, expected) in cases {
        let tag = StartTag::parse(body.as_bytes()).unwrap();
        let answer = refusal().answer_bosh(&tag, body.as_bytes());
        let Some(expected) = expected else {
            assert!(answer.is_none(), "{body}");
            continue;
        };
        let answer = answer
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        assert!(answer.contains(expected), "{body}: {answer}");
    }
}
