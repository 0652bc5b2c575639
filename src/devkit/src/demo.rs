//! The demonstration: a provider, a meeting backend, and the configuration of a gateway in front of
//! them, in a temporary directory.
//!
//! The configuration is a file, loaded by the same code as that of a deployment, so that the
//! gateway behaves the same.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use config::{Config, ConfigProblems};
use model::{clock::Clock, random::Random, token::prosody::ProsodyRules};
use tokio_util::sync::CancellationToken;

pub use self::{external_jitsi::ExternalJitsi, story::Story};
use self::{gateway_plan::GatewayPlan, overview::Overview, private_directory::PrivateDirectory};
use super::{
    DevkitError,
    meeting::{DevMeeting, DevMeetingSettings, DevMeetingState},
    provider::{DevAccount, DevClient, DevProvider, DevProviderSettings, PushSupport},
};

mod announcement;
mod external_jitsi;
mod gateway_plan;
mod overview;
mod private_directory;
mod story;

/// A prepared demonstration; only the gateway does not run yet.
#[derive(Debug)]
pub struct Demo {
    /// The configuration to start the gateway with.
    pub config: Config,
    /// The servers that the gateway uses; run them as long as the gateway.
    pub services: DemoServices,
    /// A link token of the other system, for a lesson.
    lesson_token: String,
}

/// The provider, the meeting backend and the files. Dropping it removes the files.
#[derive(Debug)]
pub struct DemoServices {
    /// The provider, with fictional accounts.
    pub provider: DevProvider,
    /// The meeting backend; none in front of another Jitsi.
    pub meeting: Option<DevMeeting>,
    /// The page that shows who is where; it needs the stand-in.
    overview: Option<Overview>,
    directory: PrivateDirectory,
}

/// The choice of loopback ports.
#[derive(Clone, Copy, Debug)]
pub enum DemoPorts {
    /// 8443, 9090, 5280 and 9091, or the next free ones.
    Usual,
    /// Any free ports, for tests.
    Free,
}

/// Why the demonstration does not start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The provider or the meeting backend does not start.
    #[error(transparent)]
    Service(#[from] DevkitError),
    /// A usual port and the next ones are in use.
    #[error("no port from {0} on is free on the loopback address")]
    Port(u16),
    /// The temporary directory is not writable.
    #[error("cannot write the demonstration's temporary files")]
    Files(#[from] io::Error),
    /// The generated configuration is invalid: a bug.
    #[error("the demonstration's configuration is not accepted: {0}")]
    Config(#[from] ConfigProblems),
}

// === impl Demo ===

impl Demo {
    /// Binds the servers' ports, and writes and loads the configuration; with `jitsi`, of a gateway in
    /// front of that one instead of the stand-in.
    pub async fn prepare(
        ports: DemoPorts,
        jitsi: Option<ExternalJitsi>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, DemoError> {
        // The meeting's rules derive from the configuration, which contains the meeting's address.
        let [https, admin, upstream, overview] =
            ports.find([HTTPS_PORT, ADMIN_PORT, MEETING_PORT, OVERVIEW_PORT])?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let settings = DevProviderSettings {
            clients: Vec::new(),
            accounts: DevAccount::demonstration(),
            refresh_tokens: true,
            pushed_requests: PushSupport::None,
        };
        let provider = DevProvider::bind(any, settings, clock.clone(), random.clone()).await?;
        let stands_in = jitsi.is_none();
        let plan = GatewayPlan {
            https,
            admin,
            issuer: provider.issuer(),
            jitsi: jitsi.unwrap_or_else(|| ExternalJitsi::stand_in(upstream, &random)),
            client_secret: random.text::<32>().into(),
            school_secret: random.text::<32>().into(),
            session_key: BASE64_STANDARD.encode(random.bytes::<32>()).into(),
        };
        let directory = PrivateDirectory::create(&random)?;
        let config = plan.write(&directory, clock.now())?;
        // Infallible: the generated file has both sections.
        let oidc = config.oidc.first().expect("the file has [oidc]");
        provider.provider().register(DevClient {
            id: CLIENT_ID.to_owned(),
            secret: Some(plan.client_secret.clone()),
            redirect_uris: vec![oidc.redirect_uri.to_string()],
            post_logout_redirect_uris: vec![oidc.signed_out_uri.to_string()],
        });
        let lesson_token = plan.lesson_token(clock.now())?;
        let (mut meeting, mut page) = (None, None);
        if stands_in {
            let jitsi = config.jitsi().expect("the file has [upstream]");
            let settings = DevMeetingSettings {
                xmpp_domain: jitsi.upstream.xmpp_domain.clone(),
                rules: ProsodyRules::for_tokens_of(&jitsi.token).map_err(DevkitError::from)?,
            };
            let backend = DevMeeting::bind(upstream, settings, clock.clone(), random).await?;
            page = Some(Overview::bind(overview, admin, backend.meeting(), clock).await?);
            meeting = Some(backend);
        }
        let services = DemoServices {
            provider,
            meeting,
            overview: page,
            directory,
        };
        Ok(Self {
            config,
            services,
            lesson_token,
        })
    }

    /// Writes addresses and instructions; the commands among them are those of `program`.
    pub fn announce(&self, program: &Path, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.announcement(program).as_bytes())?;
        out.flush()
    }

    /// A log layer that tells the audit lines with the names of the people.
    pub fn story<W>(&self, writer: W) -> Story<W> {
        Story::new(DevAccount::demonstration(), self.services.meeting(), writer)
    }
}

// === impl DemoServices ===

impl DemoServices {
    /// The directory of the configuration and its secrets.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The state of the meeting backend; none in front of another Jitsi.
    pub fn meeting(&self) -> Option<Arc<DevMeetingState>> {
        self.meeting.as_ref().map(DevMeeting::meeting)
    }

    /// The address of the page that shows who is where.
    pub fn overview(&self) -> Option<SocketAddr> {
        self.overview.as_ref().map(Overview::address)
    }

    /// Serves until `stop`, then removes the files.
    pub async fn run(self, stop: CancellationToken) {
        let provider = self.provider.run(stop.clone());
        let meeting = async {
            if let Some(meeting) = self.meeting {
                meeting.run(stop.clone()).await;
            }
        };
        let overview = async {
            if let Some(overview) = self.overview {
                overview.run(stop.clone()).await;
            }
        };
        tokio::join!(provider, meeting, overview);
    }
}

// === impl DemoPorts ===

impl DemoPorts {
    /// Finds free, different ports. Another process may take one before it is bound; binding then
    /// fails.
    fn find<const N: usize>(self, usual: [u16; N]) -> Result<[SocketAddr; N], DemoError> {
        let mut found = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
        let mut taken = Vec::with_capacity(N);
        for (address, usual) in found.iter_mut().zip(usual) {
            let mut candidates = match self {
                Self::Usual => usual..=usual.saturating_add(PORTS_TO_TRY),
                Self::Free => 0..=0,
            };
            let listener = candidates
                .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
                .ok_or(DemoError::Port(usual))?;
            *address = listener.local_addr()?;
            taken.push(listener);
        }
        Ok(found)
    }
}

const CONFIG_FILE: &str = "gateway.toml";
const CLIENT_ID: &str = "gateway";

/// The usual port for HTTPS without privileges.
const HTTPS_PORT: u16 = 8443;

/// The default of `listen.admin`.
const ADMIN_PORT: u16 = 9090;

/// Prosody's HTTP port.
const MEETING_PORT: u16 = 5280;

/// Beside the admin listener.
const OVERVIEW_PORT: u16 = 9091;

/// Skips the ports that a few other programs use.
const PORTS_TO_TRY: u16 = 20;
