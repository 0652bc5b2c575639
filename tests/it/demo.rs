//! The demonstration: sign-in, rooms with roles, and removal of its files.

use std::{net::SocketAddr, path::Path, time::Duration};

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request, StatusCode};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::Command,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use devkit::{
    demo::{Demo, DemoPorts, ExternalJitsi},
    meeting,
    testing::{TestBrowser, TestResponse, tls_config},
};
use jitsi_auth_gateway::app::{self, StartOptions};
use jsonwebtoken::Algorithm;
use model::{
    clock::{Clock, ClockControl},
    random::Random,
    token::prosody::{ProsodyKeys, ProsodyRules},
};
use tokio_util::sync::CancellationToken;

type Socket = WebSocketStream<tokio_rustls::client::TlsStream<TcpStream>>;

struct Setup {
    origin: String,
    https: SocketAddr,
    authorities: RootCertStore,
    running: app::GatewayHandle,
    meeting: Option<std::sync::Arc<meeting::DevMeetingState>>,
    overview: Option<SocketAddr>,
    /// What the demonstration printed.
    announced: String,
    clock: ClockControl,
    _stop: tokio_util::sync::DropGuard,
}

async fn start() -> Setup {
    start_before(None).await
}

async fn start_before(jitsi: Option<ExternalJitsi>) -> Setup {
    // The stand-ins' clock is turned on in tests; the gateway's is the system's.
    let (clock, control) = Clock::manual(Clock::system().now());
    let parts = Demo::prepare(DemoPorts::Free, jitsi, clock, Random::system())
        .await
        .unwrap();
    let certificate = &parts.config.server.tls.as_ref().unwrap().certificates[0].certificate;
    let mut authorities = RootCertStore::empty();
    authorities
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let stop = CancellationToken::new();
    let (meeting, overview) = (parts.services.meeting(), parts.services.overview());
    let origin = parts.config.public_url.origin().to_owned();
    let mut announced = Vec::new();
    let program = Path::new(env!("CARGO_BIN_EXE_jitsi-auth-gateway"));
    parts.announce(program, &mut announced).unwrap();
    tokio::spawn(parts.services.run(stop.clone()));
    let running = app::start(&parts.config, StartOptions::default()).unwrap();
    Setup {
        origin,
        https: running.addresses.https.unwrap(),
        authorities,
        running,
        meeting,
        overview,
        announced: String::from_utf8(announced).unwrap(),
        clock: control,
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

    /// The line of the announcement that has this text.
    fn announced_line(&self, part: &str) -> &str {
        let mut lines = self.announced.lines();
        let line = lines.find(|line| line.contains(part)).unwrap();
        line.trim_start().trim_start_matches("Ask").trim_start()
    }

    /// Asks the overview page's server, as its script or as a page of another origin.
    async fn ask(&self, path: &str, origin: Option<&str>, body: Option<&Value>) -> TestResponse {
        let address = self.overview.unwrap();
        let url = format!("http://{address}{path}");
        let request = match body {
            Some(_) => Request::post(url),
            None => Request::get(url),
        };
        let request = match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        };
        let body = body.map(ToString::to_string).unwrap_or_default();
        TestBrowser::new().send(request, &body).await
    }

    /// Posts as the overview page's own script.
    async fn post(&self, path: &str, body: &Value) -> Value {
        let origin = format!("http://{}", self.overview.unwrap());
        let answer = self.ask(path, Some(&origin), Some(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.json()
    }

    /// Signs in, and joins a room.
    async fn join_as(&self, person: &str, room: &str) -> (Socket, String) {
        let (browser, page) = self.open_as(person, &format!("/{room}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let cookie = browser.cookie("localhost");
        let mut socket = self.connect(cookie, room).await.unwrap();
        let presence = read_until(&mut socket, "<status code='110'/>").await;
        (socket, presence)
    }

    /// The next URL of a response: `Location`, or the link that a script would follow.
    fn next(&self, page: &TestResponse) -> Option<String> {
        let location = page.headers.get("location");
        let link = || {
            // Pages that refuse have buttons, too.
            let leads_on = ["Taking you to the sign-in page", "Join the meeting"];
            leads_on
                .iter()
                .any(|title| page.body.contains(title))
                .then_some(())?;
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
        let nick = Random::system().text::<8>().replace(['-', '_'], "n");
        for text in [
            open,
            "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
            &format!("<presence xmlns='jabber:client' to='{room}@muc.meet.localhost/{nick}'/>"),
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
        .as_ref()
        .unwrap()
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
    let parts = Demo::prepare(DemoPorts::Free, None, Clock::system(), Random::system())
        .await
        .unwrap();
    let mut text = Vec::new();
    parts.announce(Path::new("gateway"), &mut text).unwrap();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rooms_show_what_they_are_announced_for() {
    let setup = start().await;
    let (_, refused) = setup.open_as("max", "/board").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused.body.contains("Your account is not allowed"),
        "{}",
        refused.body
    );
    let (_, presence) = setup.join_as("hanna", "board").await;
    assert!(presence.contains("affiliation='owner'"), "{presence}");
    let (_, waits) = setup.open_as("max", "/waiting").await;
    assert!(
        waits.body.contains("The meeting has not started yet"),
        "{}",
        waits.body
    );
    let (_, opens) = setup.open_as("hanna", "/waiting").await;
    assert!(
        opens.body.contains("libs/lib-jitsi-meet.min.js"),
        "{}",
        opens.body
    );

    let link = setup.announced_line("/school-algebra?jwt=").to_owned();
    // The address without the token is not an invitation.
    let address = link.split('?').next().unwrap();
    let mut stranger = TestBrowser::trusting(setup.authorities.clone());
    let page = stranger.get(address).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.body);
    assert!(
        page.body.contains("You cannot enter this room"),
        "{}",
        page.body
    );
    let refused = setup
        .connect(stranger.cookie("localhost"), "school-algebra")
        .await;
    assert!(matches!(refused, Err(Error::Http(_))), "{refused:?}");
    let mut teacher = TestBrowser::trusting(setup.authorities.clone());
    let page = teacher.get(&link).await;
    let room = match page.status {
        StatusCode::OK => page,
        _ => teacher.get(&setup.next(&page).unwrap()).await,
    };
    assert!(
        room.body.contains("libs/lib-jitsi-meet.min.js"),
        "{}",
        room.body
    );
    let cookie = teacher.cookie("localhost");
    let mut socket = setup.connect(cookie, "school-algebra").await.unwrap();
    let presence = read_until(&mut socket, "<status code='110'/>").await;
    assert!(presence.contains("affiliation='owner'"), "{presence}");
    assert!(presence.contains("Tina Teacher"), "{presence}");
    // Nobody else has a right to the system's rooms.
    let (_, refused) = setup.open_as("hanna", "/school-algebra").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
    setup.running.stop(CancellationToken::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_announced_commands_work_when_they_are_pasted() {
    let setup = start().await;
    for (part, code, expected) in [
        (" doctor ", 0, "checks passed"),
        (" explain ", 0, "refused: rule 1"),
    ] {
        let line = setup.announced_line(part);
        let ran = Command::new("sh")
            .args(["-c", line])
            .output()
            .await
            .unwrap();
        let output = String::from_utf8(ran.stdout).unwrap();
        let errors = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{line}: {output}{errors}");
        assert!(output.contains(expected), "{line}: {output}{errors}");
    }
    setup.running.stop(CancellationToken::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_overview_lists_people_ends_sessions_and_judges_earlier_tokens() {
    let setup = start().await;
    let (mut max, _) = setup.join_as("max", "team").await;
    let (mut hanna, _) = setup.join_as("hanna", "team").await;
    let state = setup.ask("/state", None, None).await.json();
    let people = state["rooms"][0]["streams"].as_array().unwrap();
    let find = |name: &str| people.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(find("Hanna Host")["role"], "moderator");
    assert_eq!(find("Max Member")["role"], "participant");
    let tokens = state["tokens"].as_array().unwrap();
    let token = tokens
        .iter()
        .find(|one| one["name"] == "Max Member")
        .unwrap();
    assert_eq!(token["room"], "team");
    assert_eq!(token["claims"]["iss"], "demonstration");
    assert_eq!(token["refusal"], Value::Null);

    let number = json!({ "number": token["number"] });
    assert_eq!(setup.post("/log-in", &number).await["accepted"], true);
    // The demonstration's tokens are good for a minute.
    setup.clock.advance(Duration::from_secs(70));
    let refused = setup.post("/log-in", &number).await;
    assert_eq!(refused["accepted"], false);
    assert!(
        refused["text"].as_str().unwrap().contains("expired"),
        "{refused}"
    );

    let session = json!({ "session": find("Max Member")["session"] });
    for (path, body) in [("/sign-out", &session), ("/log-in", &number)] {
        for origin in [None, Some("https://elsewhere.example")] {
            let answer = setup.ask(path, origin, Some(body)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {origin:?}");
        }
    }
    let cut = setup.post("/sign-out", &session).await;
    assert_eq!(cut["connections"], 1);
    assert!(cut["milliseconds"].is_u64(), "{cut}");
    while let Some(Ok(_)) = max.next().await {}
    let left = read_until(&mut hanna, "type='unavailable'").await;
    assert!(left.contains("Max Member"), "{left}");
    setup.running.stop(CancellationToken::new()).await;
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A Jitsi with a secret of its own; it stops with the guard.
async fn start_jitsi() -> (url::Url, tokio_util::sync::DropGuard) {
    let rules = ProsodyRules {
        keys: ProsodyKeys::Secret {
            algorithm: Algorithm::HS256,
            secret: SECRET.to_owned().into(),
        },
        issuers: vec!["their-app".to_owned()],
        audiences: vec!["jitsi".to_owned()],
        room_required: true,
        domain_verification: false,
    };
    let settings = meeting::DevMeetingSettings {
        xmpp_domain: "meet.localhost".to_owned(),
        rules,
    };
    let (clock, random) = (Clock::system(), Random::system());
    let jitsi = meeting::DevMeeting::bind(([127, 0, 0, 1], 0).into(), settings, clock, random);
    let jitsi = jitsi.await.unwrap();
    let url = format!("http://{}", jitsi.address()).parse().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(jitsi.run(stop.clone()));
    (url, stop.drop_guard())
}

/// Runs `demo --jitsi` with a secret until it is ready; returns its standard output.
async fn printed_in_front_of(jitsi: &url::Url, secret: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("prosody.secret");
    std::fs::write(&file, secret).unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_jitsi-auth-gateway"))
        .args(["demo", "--jitsi", jitsi.as_str(), "--xmpp", jitsi.as_str()])
        .args(["--xmpp-domain", "meet.localhost", "--app-id", "their-app"])
        .arg("--app-secret-file")
        .arg(&file)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut printed = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        printed.push_str(&line);
        printed.push('\n');
        if line.contains("Stop   Ctrl-C") {
            // The examination of the Jitsi ends before the signal is handled.
            let pid = i32::try_from(demo.id().unwrap()).unwrap();
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        }
    }
    assert!(demo.wait().await.unwrap().success(), "{printed}");
    printed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_reported_at_the_start_with_the_option_to_change() {
    let (url, _stop) = start_jitsi().await;
    let printed = printed_in_front_of(&url, "another secret than the one that Prosody has").await;
    let (_, block) = printed.split_once("  Wrong  ").expect(&printed);
    for expected in [
        "People cannot enter the rooms of this Jitsi yet.",
        "Invalid signature",
        "Prosody verifies tokens with another secret",
        "the same as the content of --app-secret-file",
        "start it again",
    ] {
        assert!(block.contains(expected), "{expected}: {block}");
    }
    assert!(!block.contains("token.secret_file"), "{block}");
    let printed = printed_in_front_of(&url, SECRET).await;
    assert!(!printed.contains("  Wrong  "), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jitsi_that_runs_already_gets_tokens_with_its_secret() {
    let (url, _stop) = start_jitsi().await;
    let external = ExternalJitsi {
        web: url.clone(),
        xmpp: url.clone(),
        xmpp_domain: "meet.localhost".to_owned(),
        app_id: "their-app".to_owned(),
        app_secret: SECRET.to_owned().into(),
    };
    let setup = start_before(Some(external)).await;
    assert_eq!(setup.overview, None, "it needs the stand-in");
    let (_, presence) = setup.join_as("hanna", "team").await;
    assert!(presence.contains("affiliation='owner'"), "{presence}");
    setup.running.stop(CancellationToken::new()).await;
}
