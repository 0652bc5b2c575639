//! A whole deployment in this process: provider, stand-in for Jitsi, gateway.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

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
use toml::Table;

use super::browser::Browser;

mod options;

pub(crate) use self::options::SiteOptions;
use self::options::{APP_SECRET, CLIENT_SECRET, Upstreams, write};

/// A running deployment; dropping it stops the provider and the meeting.
pub(crate) struct Site {
    pub(crate) running: GatewayHandle,
    pub(crate) provider: Arc<DevProviderState>,
    pub(crate) meeting: Arc<DevMeetingState>,
    pub(crate) clock_control: ClockControl,
    pub(crate) clock: Clock,
    issuer: String,
    configuration: Table,
    files: TempDir,
    /// `None` of a further replica.
    _stop: Option<DropGuard>,
}

// === impl Site ===

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with(SiteOptions::default()).await
    }

    pub(crate) async fn with(mut options: SiteOptions) -> Self {
        let (clock, clock_control) = options
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
            refresh_tokens: options.has_refresh_tokens(),
            pushed_requests: options.pushed_requests,
        };
        let provider = DevProvider::bind(loopback, people, clock.clone(), Random::system())
            .await
            .unwrap();
        let issuer = provider.issuer().to_owned();
        let meeting = bind_meeting("meet.jitsi", clock.clone()).await;
        let backend = meeting.address();
        let (known_provider, known_meeting) = (provider.provider(), meeting.meeting());
        tokio::spawn(provider.run(stop.clone()));
        tokio::spawn(meeting.run(stop.clone()));

        let files = tempfile::tempdir().unwrap();
        let upstreams = Upstreams {
            issuer: &issuer,
            jitsi: backend,
        };
        let configuration = options.configuration(files.path(), &upstreams);
        let config = load(files.path(), &configuration);
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
            clock_control,
            clock: now,
            issuer,
            configuration,
            files,
            _stop: Some(stop.drop_guard()),
        }
    }

    /// Starts a further replica, which ends before the first.
    pub(crate) async fn replica(&self) -> Self {
        let files = tempfile::tempdir().unwrap();
        fs::copy(self.file("tls.crt"), files.path().join("tls.crt")).unwrap();
        let config = load(files.path(), &self.configuration);
        let surroundings = StartOptions {
            clock: self.clock.clone(),
            random: Random::system(),
            ..StartOptions::default()
        };
        let replica = Self {
            running: app::start(&config, surroundings).unwrap(),
            provider: Arc::clone(&self.provider),
            meeting: Arc::clone(&self.meeting),
            clock_control: self.clock_control.clone(),
            clock: self.clock.clone(),
            issuer: self.issuer.clone(),
            configuration: self.configuration.clone(),
            files,
            _stop: None,
        };
        replica.ready().await
    }

    /// Stops the gateway and starts it anew at another port; provider, meeting and clock run on.
    pub(crate) async fn restart(self) -> Self {
        let at_once = CancellationToken::new();
        at_once.cancel();
        self.running.stop(at_once).await;
        let config = load(self.files.path(), &self.configuration);
        let surroundings = StartOptions {
            clock: self.clock.clone(),
            random: Random::system(),
            ..StartOptions::default()
        };
        let running = app::start(&config, surroundings).unwrap();
        Self { running, ..self }.ready().await
    }

    /// [`restart`](Self::restart) with a change of the configuration.
    pub(crate) async fn restart_with(mut self, change: impl FnOnce(&mut Table)) -> Self {
        change(&mut self.configuration);
        self.restart().await
    }

    /// Stops the gateway; gives the directory of its files.
    pub(crate) async fn stop(self) -> TempDir {
        let at_once = CancellationToken::new();
        at_once.cancel();
        self.running.stop(at_once).await;
        self.files
    }

    /// Starts further gateways with the same configuration and clock, as long as the site's files are there.
    pub(crate) fn starter(&self) -> impl Fn() -> Result<GatewayHandle, app::StartError> + use<> {
        let config = load(self.files.path(), &self.configuration);
        let clock = self.clock.clone();
        move || {
            let surroundings = StartOptions {
                clock: clock.clone(),
                random: Random::system(),
                ..StartOptions::default()
            };
            app::start(&config, surroundings)
        }
    }

    /// The address of `listen.http`, which is a port by default.
    pub(crate) fn http_address(&self) -> SocketAddr {
        let http = self.running.addresses.http.as_ref();
        http.unwrap().tcp().unwrap()
    }

    /// A path in the directory of the site's files.
    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.files.path().join(name)
    }

    /// The issuer of the development provider.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Reloads the configuration with a change.
    pub(crate) fn reload(&self, change: impl FnOnce(&mut Table)) {
        let mut configuration = self.configuration.clone();
        change(&mut configuration);
        let config = load(self.files.path(), &configuration);
        self.running.reload(&config).unwrap();
    }

    /// The time of the gateway, the provider and the meeting.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits until the gateway has read the provider's metadata.
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

    /// The same profile, after a restart.
    pub(crate) fn again(&self, browser: &Browser) -> Browser {
        browser.at(self.running.addresses.https.unwrap())
    }

    /// A browser with a session of `account`.
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

    /// How many requests of existing BOSH sessions the meeting received.
    pub(crate) fn bosh_requests(&self) -> usize {
        let received = self.meeting.received();
        let within = |request: &&ReceivedRequest| request.kind == RequestKind::BoshRequest;
        received.iter().filter(within).count()
    }

    async fn admin(&self, path: &str) -> (http::StatusCode, String) {
        let address = &self.running.addresses.admin;
        let answer = self
            .browser()
            .get_plain(&format!("http://{address}{path}"))
            .await;
        (answer.status, answer.text())
    }

    /// POSTs to the admin listener and returns the status.
    pub(crate) async fn order(
        &self,
        path: &str,
        body: &str,
        headers: &[(&'static str, &'static str)],
    ) -> http::StatusCode {
        let address = &self.running.addresses.admin;
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

    /// Polls a condition that has no signal of its own, for at most five seconds of real time.
    pub(crate) async fn wait_for(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !done().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), waiting)
            .await
            .unwrap_or_else(|_| panic!("timed out waiting until {what}"));
    }
}

/// A stand-in for Jitsi with the secret of the sites' gateways.
pub(crate) async fn bind_meeting(xmpp_domain: &str, clock: Clock) -> DevMeeting {
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
        xmpp_domain: xmpp_domain.to_owned(),
        rules,
    };
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    DevMeeting::bind(loopback, settings, clock, Random::system())
        .await
        .unwrap()
}

fn load(files: &Path, configuration: &Table) -> Config {
    let text = toml::to_string(configuration).unwrap();
    let file = write(files, "gateway.toml", &text);
    config::load(Path::new(&file), &Environment::default())
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// The public URL; a [`Browser`] connects it to the port that the gateway has.
pub(crate) const ORIGIN: &str = "https://meet.example.org";
pub(crate) const CLIENT_ID: &str = "jitsi";
