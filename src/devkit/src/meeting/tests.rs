use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use model::{
    clock::{ClockControl, Timestamp},
    token::{self, SigningSettings},
    xml::Element,
};
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

mod bosh;
mod login;
mod rooms;
mod web;
mod websocket;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct Setup {
    address: SocketAddr,
    meeting: Arc<DevMeetingState>,
    clock_control: ClockControl,
    stop: CancellationToken,
    done: tokio::task::JoinHandle<()>,
}

async fn start() -> Setup {
    let tokens = token::TokenSettings {
        issuer: "gateway".to_owned(),
        audience: "jitsi".to_owned(),
        subject: "meet.test".to_owned(),
        lifetime: std::time::Duration::from_mins(2),
        claims: token::PersonalClaims::ALL,
        signing: SigningSettings::Secret {
            algorithm: Algorithm::HS256,
            secret: SECRET.to_owned().into(),
        },
    };
    let settings = DevMeetingSettings {
        xmpp_domain: "meet.test".to_owned(),
        rules: ProsodyRules::for_tokens_of(&tokens).unwrap(),
    };
    let (clock, clock_control) = Clock::manual(Timestamp::from_unix(1_000_000));
    let meeting = DevMeeting::bind(FREE_PORT, settings, clock, Random::system())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    Setup {
        address: meeting.address(),
        meeting: meeting.meeting(),
        clock_control,
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

    /// Connects and sends the login; returns the reply.
    async fn log_in(&self, query: &str, bearer: Option<&str>) -> (Client, Element) {
        let mut client = self.connect(query, bearer).await.unwrap();
        let auth = Element::new("auth", SASL).with("mechanism", "ANONYMOUS");
        client.send(&auth).await;
        let answer = client.next().await;
        (client, answer)
    }

    /// Connects, logs in, binds, and sends the presence that joins the room.
    async fn join(&self, token: &str, room: &str, nick: &str) -> Client {
        let (mut client, answer) = self.log_in("", Some(token)).await;
        assert!(answer.is("success", SASL), "{answer}");
        client.open().await;
        client.send_text("<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>").await;
        let bound = client.next().await;
        assert_eq!(bound.attribute("type"), Some("result"));
        client
            .send_text(&format!(
                "<presence xmlns='jabber:client' to='{room}@muc.meet.test/{nick}'>\
                 <x xmlns='http://jabber.org/protocol/muc'/>\
                 <nick xmlns='http://jabber.org/protocol/nick'>self-chosen</nick>\
                 <identity><user><name>forged</name></user></identity></presence>"
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
    async fn send_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn send(&mut self, element: &Element) {
        self.send_text(&element.to_string()).await;
    }

    async fn next(&mut self) -> Element {
        let message = self.0.next().await.unwrap().unwrap();
        Element::parse(message.to_text().unwrap()).unwrap()
    }

    /// Opens the stream and reads up to its features.
    async fn open(&mut self) {
        self.send_text(
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.test' version='1.0'/>",
        )
        .await;
        assert_eq!(self.next().await.name(), "open");
        assert_eq!(self.next().await.name(), "features");
    }
}

/// A presence, as a receiver sees it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    nick: String,
    /// The name in the token.
    name: String,
    affiliation: String,
    /// Whether it is the receiver's own presence.
    is_self: bool,
}

fn seen(presence: &Element) -> Seen {
    assert!(presence.is("presence", CLIENT), "{presence}");
    let place = presence.child("x").unwrap();
    let item = place.child("item").unwrap();
    let from = presence.attribute("from").unwrap();
    let text = presence.to_string();
    let name = text.split("<name>").nth(1).unwrap();
    Seen {
        nick: from.split_once('/').unwrap().1.to_owned(),
        name: name.split("</name>").next().unwrap().to_owned(),
        affiliation: item.attribute("affiliation").unwrap().to_owned(),
        is_self: place.child("status").is_some(),
    }
}

fn seen_as(nick: &str, name: &str, affiliation: &str) -> Seen {
    Seen {
        nick: nick.to_owned(),
        name: name.to_owned(),
        affiliation: affiliation.to_owned(),
        is_self: false,
    }
}

fn seen_self(nick: &str, name: &str, affiliation: &str) -> Seen {
    Seen {
        is_self: true,
        ..seen_as(nick, name, affiliation)
    }
}
