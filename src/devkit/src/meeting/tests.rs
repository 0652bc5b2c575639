use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use super::{
    namespaces::{BOSH, CLIENT, SASL},
    *,
};
use crate::testing::{FREE_PORT, TestBrowser};
use model::{
    clock::{Hand, Timestamp},
    token::{self, SigningSettings},
    xml::Element,
};

mod bosh;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct Setup {
    address: SocketAddr,
    meeting: Arc<DevMeetingState>,
    hand: Hand,
    stop: CancellationToken,
    done: tokio::task::JoinHandle<()>,
}

async fn start() -> Setup {
    let tokens = token::Settings {
        issuer: "gateway".to_owned(),
        audience: "jitsi".to_owned(),
        subject: "meet.test".to_owned(),
        lifetime: std::time::Duration::from_mins(2),
        signing: SigningSettings::Secret {
            algorithm: Algorithm::HS256,
            secret: SECRET.to_owned().into(),
        },
    };
    let settings = DevMeetingSettings {
        xmpp_domain: "meet.test".to_owned(),
        rules: Rules::for_tokens_of(&tokens).unwrap(),
    };
    let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
    let meeting = DevMeeting::bind(FREE_PORT, settings, clock, Random::system())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    Setup {
        address: meeting.address(),
        meeting: meeting.meeting(),
        hand,
        stop: stop.clone(),
        done: tokio::spawn(meeting.run(stop)),
    }
}

fn token(room: &str, name: &str, moderator: bool) -> String {
    let claims = json!({
        "iss": "gateway", "aud": "jitsi", "sub": "meet.test", "room": room,
        "nbf": 999_940, "exp": 1_000_120,
        "context": {"user": {"id": name, "name": name, "moderator": moderator}},
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

/// A client over WebSocket.
struct Client(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

// === impl Setup ===

impl Setup {
    async fn connect(&self, query: &str, bearer: Option<&str>) -> Result<Client, Error> {
        let url = format!("ws://{}/xmpp-websocket?{query}", self.address);
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", HeaderValue::from_static("xmpp"));
        if let Some(token) = bearer {
            let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
            headers.insert("authorization", value);
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        let mut client = Client(socket);
        client.open().await;
        Ok(client)
    }

    /// Connects with a token and tries to log in.
    async fn log_in(&self, query: &str, bearer: Option<&str>) -> (Client, Element) {
        let mut client = self.connect(query, bearer).await.unwrap();
        let auth = Element::new("auth", SASL).with("mechanism", "ANONYMOUS");
        client.send(&auth).await;
        let answer = client.next().await;
        (client, answer)
    }

    /// Connects, logs in, binds and sends the presence that joins.
    async fn join(&self, token: &str, room: &str, nick: &str) -> Client {
        let (mut client, answer) = self.log_in("", Some(token)).await;
        assert!(answer.is("success", SASL), "{answer}");
        client.open().await;
        client.tell("<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>").await;
        let bound = client.next().await;
        assert_eq!(bound.attribute("type"), Some("result"));
        client
            .tell(&format!(
                "<presence xmlns='jabber:client' to='{room}@muc.meet.test/{nick}'>\
                 <x xmlns='http://jabber.org/protocol/muc'/>\
                 <nick xmlns='http://jabber.org/protocol/nick'>self-chosen</nick>\
                 <identity><user><name>liar</name></user></identity></presence>"
            ))
            .await;
        client
    }

    async fn bosh(&self, query: &str, body: &str) -> Element {
        let request = Request::post(format!("http://{}/http-bind?{query}", self.address));
        let page = TestBrowser::new().send(request, body).await;
        assert_eq!(page.status, StatusCode::OK);
        Element::parse(&page.body).unwrap()
    }

    async fn get(&self, path: &str) -> crate::testing::TestResponse {
        let url = format!("http://{}{path}", self.address);
        TestBrowser::new().get(&url).await
    }
}

// === impl Client ===

impl Client {
    async fn tell(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn send(&mut self, element: &Element) {
        self.tell(&element.to_string()).await;
    }

    async fn next(&mut self) -> Element {
        let message = self.0.next().await.unwrap().unwrap();
        Element::parse(message.to_text().unwrap()).unwrap()
    }

    /// Opens the stream and reads up to its features.
    async fn open(&mut self) {
        self.tell(
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.test' version='1.0'/>",
        )
        .await;
        assert_eq!(self.next().await.name(), "open");
        assert_eq!(self.next().await.name(), "features");
    }
}

/// Nick, name by the token, affiliation, and whether it is one's own presence.
fn seen(presence: &Element) -> (String, String, String, bool) {
    assert!(presence.is("presence", CLIENT), "{presence}");
    let place = presence.child("x").unwrap();
    let item = place.child("item").unwrap();
    let from = presence.attribute("from").unwrap();
    let text = presence.to_string();
    let name = text.split("<name>").nth(1).unwrap();
    (
        from.split_once('/').unwrap().1.to_owned(),
        name.split("</name>").next().unwrap().to_owned(),
        item.attribute("affiliation").unwrap().to_owned(),
        place.child("status").is_some(),
    )
}

fn seen_as(nick: &str, name: &str, affiliation: &str, own: bool) -> (String, String, String, bool) {
    (
        nick.to_owned(),
        name.to_owned(),
        affiliation.to_owned(),
        own,
    )
}

#[tokio::test]
async fn everybody_sees_the_roles_and_names_that_the_tokens_give() {
    let setup = start().await;
    let mut host = setup
        .join(&token("team", "Hanna", true), "team", "h1")
        .await;
    assert_eq!(
        seen(&host.next().await),
        seen_as("h1", "Hanna", "owner", true)
    );
    let mut max = setup.join(&token("team", "Max", false), "team", "m1").await;
    assert_eq!(
        seen(&max.next().await),
        seen_as("h1", "Hanna", "owner", false)
    );
    assert_eq!(
        seen(&max.next().await),
        seen_as("m1", "Max", "member", true)
    );
    let presence = host.next().await;
    assert_eq!(seen(&presence), seen_as("m1", "Max", "member", false));
    assert!(!presence.to_string().contains("liar"));
    assert!(presence.to_string().contains("self-chosen"));

    max.tell(
        "<message xmlns='jabber:client' type='groupchat' to='team@muc.meet.test'>\
              <body>&lt;b&gt;hi</body></message>",
    )
    .await;
    for client in [&mut host, &mut max] {
        let message = client.next().await;
        assert_eq!(
            message.attribute("from"),
            Some("team@muc.meet.test/m1"),
            "{message}"
        );
        assert!(message.to_string().contains("&lt;b&gt;hi"), "{message}");
    }

    drop(max);
    let gone = host.next().await;
    assert_eq!(gone.attribute("type"), Some("unavailable"));
    assert_eq!(gone.attribute("from"), Some("team@muc.meet.test/m1"));
}

#[tokio::test]
async fn bad_tokens_get_prosodys_answer() {
    let setup = start().await;
    let good = token("team", "Max", false);
    let failure = |condition: &str, text: &str| {
        format!(
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/><text>{text}</text></failure>"
        )
    };
    let in_query = format!("room=team&token={good}");
    for (query, bearer, expected) in [
        (
            "",
            Some(good.as_str()),
            "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(),
        ),
        (
            &in_query,
            Some("bad"),
            "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(),
        ),
        ("room=team", None, failure("not-allowed", "token required")),
        (
            "token=",
            Some(&good),
            failure("not-allowed", "Invalid token"),
        ),
        (
            "%74oken=x",
            Some(&good),
            failure("not-allowed", "Invalid token"),
        ),
        ("", Some("x"), failure("not-allowed", "Invalid token")),
    ] {
        let (_, answer) = setup.log_in(query, bearer).await;
        assert_eq!(answer.to_string(), expected, "{query}");
    }
    setup.hand.advance(std::time::Duration::from_secs(181));
    let (_, answer) = setup.log_in("", Some(&good)).await;
    let text = "Not acceptable by exp (61.0 sec since expired)";
    assert_eq!(answer.to_string(), failure("not-allowed", text));
}

#[tokio::test]
async fn a_token_opens_its_own_room_only() {
    let setup = start().await;
    let mut client = setup
        .join(&token("room1", "Max", false), "room2", "m1")
        .await;
    let refused = client.next().await.to_string();
    assert!(
        refused.contains(
            "<error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Room does not match the room from token\
             </text><room-mismatch xmlns='http://jitsi.org/jitmeet'/></error>"
        ),
        "{refused}"
    );
    let mut client = setup
        .join(&token("room1", "Max", false), "room1", "bad.nick")
        .await;
    assert_eq!(client.next().await.attribute("type"), Some("error"));
    client
        .tell(
            "<message xmlns='jabber:client' type='groupchat' to='room1@muc.meet.test'><body>x</body></message>",
        )
        .await;
    assert_eq!(client.next().await.attribute("type"), Some("error"));
}

#[tokio::test]
async fn nothing_but_logging_in_is_possible_before_logging_in() {
    let setup = start().await;
    let mut client = setup.connect("", None).await.unwrap();
    client
        .tell("<presence xmlns='jabber:client' to='team@muc.meet.test/x'/>")
        .await;
    let error = client.next().await;
    assert_eq!(error.name(), "error");
    assert_eq!(client.next().await.name(), "close");
    let mut client = setup.connect("", None).await.unwrap();
    client.tell("<!DOCTYPE x>").await;
    assert!(client.next().await.to_string().contains("not-well-formed"));
}

#[tokio::test]
async fn handshakes_without_the_subprotocol_and_plain_requests() {
    let setup = start().await;
    let request = format!("ws://{}/xmpp-websocket", setup.address);
    let Err(Error::Http(answer)) = tokio_tungstenite::connect_async(request).await else {
        panic!("the handshake needs the subprotocol");
    };
    assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED);
    // The keep-alive of Jitsi's client.
    let page = setup.get("/xmpp-websocket?room=team").await;
    assert_eq!(page.status, StatusCode::OK);
}

#[tokio::test]
async fn oversized_messages_end_the_connection() {
    let setup = start().await;
    let mut client = setup.connect("", None).await.unwrap();
    let large = "x".repeat(MAX_MESSAGE_BYTES + 1);
    let _ = client.0.send(Message::text(large)).await;
    while let Some(Ok(message)) = client.0.next().await {
        assert!(!message.is_text() || message.to_text().unwrap().contains("close"));
    }
}

#[tokio::test]
async fn stopping_tells_the_clients() {
    let setup = start().await;
    let mut client = setup.join(&token("team", "Max", false), "team", "m1").await;
    client.next().await;
    setup.stop.cancel();
    let mut last = client.next().await;
    while last.name() == "presence" {
        last = client.next().await;
    }
    assert_eq!(last.name(), "close");
    setup.done.await.unwrap();
}

#[tokio::test]
async fn what_came_in_can_be_looked_at() {
    let setup = start().await;
    let opening = format!("<body xmlns='{BOSH}' rid='1' to='meet.test'/>");
    setup.bosh("room=team&prefix=acme", &opening).await;
    setup
        .bosh("", &format!("<body xmlns='{BOSH}' rid='2' sid='x'/>"))
        .await;
    setup
        .log_in("room=a%20b", Some("secret-token"))
        .await
        .0
        .0
        .close(None)
        .await
        .unwrap();
    setup.get("/team").await;
    let received = setup.meeting.received();
    let kinds: Vec<_> = received.iter().map(|one| one.kind).collect();
    assert_eq!(
        kinds,
        [
            RequestKind::BoshSession,
            RequestKind::BoshRequest,
            RequestKind::WebSocket,
            RequestKind::Web
        ]
    );
    assert_eq!(received[0].query.as_deref(), Some("room=team&prefix=acme"));
    assert_eq!(received[2].query.as_deref(), Some("room=a%20b"));
    assert_eq!(received[2].headers["authorization"], "Bearer secret-token");
    assert!(!format!("{received:?}").contains("secret"));
}

#[tokio::test]
async fn pages_have_the_shape_of_jitsis_and_nothing_of_the_request() {
    let setup = start().await;
    for path in [
        "/",
        "/team",
        "/acme/team",
        "/%3Cscript%3Ealert(1)%3C%2Fscript%3E?x=%3Cb%3E",
    ] {
        let page = setup.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let config = page.body.find("var config = {").unwrap();
        let library = page
            .body
            .find("<script src=\"libs/lib-jitsi-meet.min.js\">");
        assert!(config < library.unwrap(), "{path}");
        assert!(!page.body.contains("alert"), "{path}");
    }
    for path in ["/config.js", "/acme/config.js"] {
        let script = setup.get(path).await;
        assert!(
            script.headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/javascript")
        );
        assert!(
            script.body.contains("\"domain\":\"meet.test\""),
            "{}",
            script.body
        );
    }
    for path in [
        "/libs/lib-jitsi-meet.min.js",
        "/libs/app.bundle.min.js",
        "/external_api.js",
    ] {
        assert_eq!(setup.get(path).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/static/x.html", "/a/b/c", "/a/", "/favicon.ico"] {
        assert_eq!(
            setup.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn other_machines_are_refused() {
    let settings = start().await.meeting.settings.clone();
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = DevMeeting::bind(everywhere, settings, Clock::system(), Random::system()).await;
    assert!(matches!(refused, Err(DevkitError::NotLoopback(_))));
}
