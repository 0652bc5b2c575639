//! A whole deployment in this process: provider, meeting backend, gateway.

use std::{
    fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration,
};

use config::{self, Config, Environment};
use devkit::{
    meeting::{DevMeeting, DevMeetingSettings, DevMeetingState, ReceivedRequest, RequestKind},
    provider::{DevAccount, DevClient, DevProvider, DevProviderSettings, DevProviderState},
};
use jitsi_auth_gateway::app::{self, GatewayHandle, StartOptions};
use model::{
    clock::{Clock, ClockControl, Timestamp},
    random::Random,
    token::prosody::{ProsodyKeys, ProsodyRules},
};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{browser::Browser, signing_key::rsa_pem};

/// Where people reach the site; browsers of the tests know at which port it really is.
pub(crate) const ORIGIN: &str = "https://meet.example.org";
pub(crate) const CLIENT_ID: &str = "jitsi";
const CLIENT_SECRET: &str = "client secret of a test, long enough";
const JAAS_APP: &str = "vpaas-magic-cookie-0123456789abcdef";
const APP_SECRET: &str = "secret shared with Prosody in tests, long enough";

/// A deployment that runs.
pub(crate) struct Site {
    pub(crate) running: GatewayHandle,
    pub(crate) provider: Arc<DevProviderState>,
    pub(crate) meeting: Arc<DevMeetingState>,
    pub(crate) hand: ClockControl,
    clock: Clock,
    issuer: String,
    text: String,
    files: TempDir,
    _stop: DropGuard,
}

/// What of a deployment a test wants otherwise.
pub(crate) struct Wishes<'w> {
    /// Another provider than the development one.
    pub(crate) issuer: Option<&'w str>,
    /// The secret that goes with it.
    pub(crate) client_secret: &'w str,
    /// `[[room]]` and whatever else comes after the sections.
    pub(crate) rules: &'w str,
    /// More keys of `[session]`.
    pub(crate) session: &'w str,
    /// More keys of `[listen]`.
    pub(crate) listen: &'w str,
    /// People have accounts at a provider.
    pub(crate) oidc: bool,
    /// Meetings are at 8x8, and not at the stand-in for Jitsi.
    pub(crate) jaas: bool,
    /// The clock of gateway, provider and meeting.
    pub(crate) clock: Option<(Clock, ClockControl)>,
}

// === impl Wishes ===

impl Default for Wishes<'_> {
    fn default() -> Self {
        Self {
            issuer: None,
            client_secret: CLIENT_SECRET,
            rules: "[[room]]\nmatch = \"*\"\nenter = \"member\"\nmoderators = [\"group:staff\"]\n",
            session: "",
            listen: "",
            oidc: true,
            jaas: false,
            clock: None,
        }
    }
}

// === impl Site ===

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with(Wishes::default()).await
    }

    pub(crate) async fn with(mut wishes: Wishes<'_>) -> Self {
        let (clock, hand) = wishes
            .clock
            .take()
            .unwrap_or_else(|| Clock::manual(Timestamp::from_unix(1_800_000_000)));
        let stop = CancellationToken::new();
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();

        let client = DevClient {
            id: CLIENT_ID.to_owned(),
            secret: Some(CLIENT_SECRET.to_owned().into()),
            redirect_uris: vec![format!("{ORIGIN}/_gateway/callback")],
            post_logout_redirect_uris: vec![format!("{ORIGIN}/_gateway/signed-out")],
        };
        let people = DevProviderSettings {
            clients: vec![client],
            accounts: DevAccount::demonstration(),
        };
        let provider = DevProvider::bind(loopback, people, clock.clone(), Random::system())
            .await
            .unwrap();
        let issuer = provider.issuer().to_owned();
        let rules = ProsodyRules {
            keys: ProsodyKeys::Secret {
                algorithm: jsonwebtoken::Algorithm::HS256,
                secret: APP_SECRET.to_owned().into(),
            },
            issuers: vec!["gateway".to_owned()],
            audiences: vec!["jitsi".to_owned()],
            room_required: true,
            domain_verification: false,
        };
        let settings = DevMeetingSettings {
            xmpp_domain: "meet.jitsi".to_owned(),
            rules,
        };
        let meeting = DevMeeting::bind(loopback, settings, clock.clone(), Random::system())
            .await
            .unwrap();
        let backend = meeting.address();
        let (known_provider, known_meeting) = (provider.provider(), meeting.meeting());
        tokio::spawn(provider.run(stop.clone()));
        tokio::spawn(meeting.run(stop.clone()));

        let files = tempfile::tempdir().unwrap();
        let text = configuration(&files, wishes.issuer.unwrap_or(&issuer), backend, &wishes);
        let config = load(files.path(), &text);
        let now = clock.clone();
        let surroundings = StartOptions {
            clock,
            random: Random::system(),
            ..StartOptions::default()
        };
        let running = app::start(&config, surroundings).unwrap();
        Self {
            running,
            provider: known_provider,
            meeting: known_meeting,
            hand,
            clock: now,
            issuer,
            text,
            files,
            _stop: stop.drop_guard(),
        }
    }

    /// Takes over other rules, as a reload does.
    pub(crate) fn reload(&self, before: &str, after: &str) {
        assert!(self.text.contains(before), "{}", self.text);
        let config = load(self.files.path(), &self.text.replace(before, after));
        self.running.reload(&config).unwrap();
    }

    /// The time of gateway, provider and meeting.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits until people can sign in.
    pub(crate) async fn ready(self) -> Self {
        self.wait_for("the provider is known", async || {
            self.readiness().await.1["provider"] == "ready"
        })
        .await;
        self
    }

    pub(crate) fn browser(&self) -> Browser {
        let certificate = fs::read(self.files.path().join("tls.crt")).unwrap();
        Browser::new(
            self.running.addresses.https.unwrap(),
            &self.issuer,
            &certificate,
        )
    }

    /// Somebody who is signed in.
    pub(crate) async fn signed_in(&self, account: &str) -> Browser {
        let mut browser = self.browser();
        let page = browser.sign_in(account, "/robots.txt").await;
        assert_eq!(page.url.path(), "/robots.txt", "{page:?}");
        browser
    }

    /// Status and body of `/readyz`.
    pub(crate) async fn readiness(&self) -> (http::StatusCode, serde_json::Value) {
        let (status, text) = self.admin("/readyz").await;
        (status, serde_json::from_str(&text).unwrap())
    }

    pub(crate) async fn metrics(&self) -> String {
        self.admin("/metrics").await.1
    }

    /// How many requests of BOSH sessions reached the meeting, those that create them aside.
    pub(crate) fn bosh_requests(&self) -> usize {
        let received = self.meeting.received();
        let within = |request: &&ReceivedRequest| request.kind == RequestKind::BoshRequest;
        received.iter().filter(within).count()
    }

    async fn admin(&self, path: &str) -> (http::StatusCode, String) {
        let address = self.running.addresses.admin;
        let answer = self
            .browser()
            .get_plain(&format!("http://{address}{path}"))
            .await;
        (answer.status, answer.text())
    }

    /// What an operator's order on the admin listener is answered with.
    pub(crate) async fn order(
        &self,
        path: &str,
        body: &str,
        headers: &[(&'static str, &'static str)],
    ) -> http::StatusCode {
        let address = self.running.addresses.admin;
        let url = format!("http://{address}{path}").parse().unwrap();
        let headers = headers.iter().map(|(name, value)| {
            let value = http::HeaderValue::from_static(value);
            (http::HeaderName::from_static(name), value)
        });
        let body = body.to_owned().into();
        let mut sender = self.browser();
        let answer = sender.send(http::Method::POST, &url, headers.collect(), body);
        answer.await.status
    }

    /// Waits for something that has no signal of its own, at most five seconds of real time.
    pub(crate) async fn wait_for(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !done().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), waiting)
            .await
            .unwrap_or_else(|_| panic!("it never came about that {what}"));
    }
}

fn configuration(
    files: &TempDir,
    issuer: &str,
    backend: SocketAddr,
    wishes: &Wishes<'_>,
) -> String {
    let at = files.path();
    let pair = rcgen::generate_simple_self_signed(["meet.example.org".to_owned()]).unwrap();
    let certificate = write(at, "tls.crt", &pair.cert.pem());
    let key = write(at, "tls.key", &pair.signing_key.serialize_pem());
    let client = write(at, "client.secret", wishes.client_secret);
    let app = write(at, "app.secret", APP_SECRET);
    let meetings = if wishes.jaas {
        let key = write(at, "jaas.key", rsa_pem());
        format!("[jaas]\napp_id = \"{JAAS_APP}\"\nkey_id = \"4f4910\"\nkey_file = \"{key}\"\n")
    } else {
        format!(
            "[upstream]\nweb = \"http://{backend}\"\nxmpp = \"http://{backend}\"\n\
             xmpp_domain = \"meet.jitsi\"\n\
             [token]\napp_id = \"gateway\"\nsecret_file = \"{app}\"\n\
             [probe]\nenabled = false\n"
        )
    };
    let session = write(
        at,
        "session.secret",
        "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=",
    );
    let oidc = if wishes.oidc {
        format!(
            "[oidc]\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT_ID}\"\n\
             client_secret_file = \"{client}\"\ninsecure_http_issuer = true\ntimeout = \"2s\"\n"
        )
    } else {
        String::new()
    };
    let Wishes {
        rules,
        session: more_session,
        listen,
        ..
    } = wishes;
    format!(
        r#"
public_url = "{ORIGIN}"
[listen]
https = "127.0.0.1:0"
http = "127.0.0.1:0"
admin = "127.0.0.1:0"
workers = 2
grace = "20s"
{listen}
[tls]
certificate = "{certificate}"
key = "{key}"
{oidc}[session]
key_file = "{session}"
{more_session}
{meetings}
{rules}
"#
    )
}

fn load(at: &Path, text: &str) -> Config {
    let file = write(at, "gateway.toml", text);
    config::load(Path::new(&file), &Environment::default())
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn write(at: &Path, name: &str, text: &str) -> String {
    let path = at.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}
