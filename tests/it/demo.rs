//! The demonstration: sign-in, rooms with roles, and removal of its files.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use devkit::{
    demo::{Demo, DemoPorts},
    meeting,
    testing::{TestBrowser, TestResponse, tls_config},
};
use jitsi_auth_gateway::app::{self, StartOptions};
use model::{clock::Clock, random::Random};
use tokio_util::sync::CancellationToken;

type Socket = WebSocketStream<tokio_rustls::client::TlsStream<TcpStream>>;

struct Setup {
    origin: String,
    https: SocketAddr,
    authorities: RootCertStore,
    running: app::GatewayHandle,
    meeting: std::sync::Arc<meeting::DevMeetingState>,
    _stop: tokio_util::sync::DropGuard,
}

async fn start() -> Setup {
    let parts = Demo::prepare(DemoPorts::Free, Clock::system(), Random::system())
        .await
        .unwrap();
    let certificate = &parts.config.server.tls.as_ref().unwrap().certificates[0].certificate;
    let mut authorities = RootCertStore::empty();
    authorities
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let stop = CancellationToken::new();
    let meeting = parts.services.meeting.meeting();
    let origin = parts.config.public_url.origin().to_owned();
    tokio::spawn(parts.services.run(stop.clone()));
    let running = app::start(&parts.config, StartOptions::default()).unwrap();
    Setup {
        origin,
        https: running.addresses.https.unwrap(),
        authorities,
        running,
        meeting,
        _stop: stop.drop_guard(),
    }
}

// === impl Setup ===

impl Setup {
    /// Opens a room's page, and signs in when the provider asks for it.
    async fn open_as(&self, person: &str, room: &str) -> (TestBrowser, TestResponse) {
        let mut browser = TestBrowser::trusting(self.authorities.clone());
        let mut address = format!("{}{room}", self.origin);
        for _ in 0..6 {
            let mut page = browser.get(&address).await;
            if let Some((provider, request)) = address.split_once("/authorize?") {
                assert!(page.body.contains("Hanna Host"), "{}", page.body);
                let form = [("request", request), ("account", person)];
                page = browser.post(&format!("{provider}/sign-in"), &form).await;
            }
            match self.next(&page) {
                Some(next) => address = next,
                None => return (browser, page),
            }
        }
        panic!("no end of redirects at {address}");
    }

    /// The next URL of a response: `Location`, or the link that a script would follow.
    fn next(&self, page: &TestResponse) -> Option<String> {
        let location = page.headers.get("location");
        let link = || {
            page.body
                .split("class=\"button\" href=\"")
                .nth(1)?
                .split('"')
                .next()
        };
        let next = match location {
            Some(location) => location.to_str().unwrap().to_owned(),
            None => link()?.replace("&#38;", "&"),
        };
        Some(
            url::Url::parse(&self.origin)
                .unwrap()
                .join(&next)
                .unwrap()
                .into(),
        )
    }

    /// Opens a WebSocket as a page of the gateway does.
    async fn connect(&self, cookie: Option<String>, room: &str) -> Result<Socket, Error> {
        let stream = TcpStream::connect(self.https).await.unwrap();
        let tls = tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls_config(
            self.authorities.clone(),
        )));
        let name = ServerName::try_from("localhost").unwrap();
        let stream = tls.connect(name, stream).await.unwrap();
        let authority = self.origin.strip_prefix("https://").unwrap();
        let url = format!("wss://{authority}/xmpp-websocket?room={room}&token=display");
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", HeaderValue::from_static("xmpp"));
        headers.insert("origin", HeaderValue::try_from(&self.origin).unwrap());
        if let Some(cookie) = cookie {
            headers.insert("cookie", HeaderValue::try_from(cookie).unwrap());
        }
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        let open =
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.localhost' version='1.0'/>";
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
        socket.send(Message::text(open)).await?;
        socket.send(Message::text(auth)).await?;
        read_until(&mut socket, "<success").await;
        for text in [
            open,
            "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
            &format!("<presence xmlns='jabber:client' to='{room}@muc.meet.localhost/n1'/>"),
        ] {
            socket.send(Message::text(text)).await?;
        }
        Ok(socket)
    }
}

/// Reads up to the first message that contains a text.
async fn read_until(socket: &mut Socket, expected: &str) -> String {
    loop {
        let message = socket.next().await.unwrap().unwrap();
        let text = message.into_text().unwrap();
        assert!(!text.contains("<failure"), "{text}");
        if text.contains(expected) {
            return text.to_string();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_sign_in_and_have_the_roles_of_their_groups() {
    let setup = start().await;
    for (person, affiliation) in [
        ("hanna", "affiliation='owner'"),
        ("max", "affiliation='member'"),
    ] {
        let room = format!("{person}s");
        let (browser, page) = setup.open_as(person, &format!("/{room}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        assert!(
            page.body.contains("libs/lib-jitsi-meet.min.js"),
            "{}",
            page.body
        );
        assert!(page.body.contains("tokenLogoutUrl"), "{}", page.body);
        let cookie = browser.cookie("localhost");
        let mut socket = setup.connect(cookie, &room).await.unwrap();
        let presence = read_until(&mut socket, "<status code='110'/>").await;
        assert!(presence.contains(affiliation), "{presence}");
    }
    let sockets: Vec<_> = setup
        .meeting
        .received()
        .into_iter()
        .filter(|one| one.kind == meeting::RequestKind::WebSocket)
        .collect();
    assert_eq!(sockets.len(), 2);
    for socket in sockets {
        assert!(!socket.query.unwrap_or_default().contains("token"));
        assert!(!socket.headers.contains_key("cookie"));
    }
    // Without a host in the room, anonymous visitors are refused.
    let refused = setup.connect(None, "empty").await.unwrap_err();
    assert!(matches!(refused, Error::Http(_)), "{refused}");
    setup.running.stop(CancellationToken::new()).await;
}

#[tokio::test]
async fn files_are_private_and_are_removed() {
    use std::os::unix::fs::PermissionsExt;
    let parts = Demo::prepare(DemoPorts::Free, Clock::system(), Random::system())
        .await
        .unwrap();
    let mut text = Vec::new();
    parts.announce(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(parts.config.public_url.origin()), "{text}");
    let directory = parts.services.directory().to_owned();
    for file in std::fs::read_dir(&directory).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    drop(parts);
    assert!(!directory.exists());
}
