//! The demonstration: a provider, a meeting backend, and the configuration of a gateway in front of
//! them, in a temporary directory.
//!
//! The configuration is a file, loaded by the same code as that of a deployment, so that the
//! gateway behaves the same.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use config::{self, Config, ConfigProblems, Environment};
use cookie::time::OffsetDateTime;
use model::{
    clock::{Clock, Timestamp},
    random::Random,
    token::prosody::ProsodyRules,
};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use self::private_directory::PrivateDirectory;
use super::{
    DevkitError,
    meeting::{DevMeeting, DevMeetingSettings},
    provider::{DevAccount, DevClient, DevProvider, DevProviderSettings, PushSupport},
};

mod private_directory;

/// A prepared demonstration; only the gateway does not run yet.
#[derive(Debug)]
pub struct Demo {
    /// The configuration to start the gateway with.
    pub config: Config,
    /// The servers that the gateway uses; run them as long as the gateway.
    pub services: DemoServices,
}

/// The provider, the meeting backend and the files. Dropping it removes the files.
#[derive(Debug)]
pub struct DemoServices {
    /// The provider, with fictional accounts.
    pub provider: DevProvider,
    /// The meeting backend.
    pub meeting: DevMeeting,
    directory: PrivateDirectory,
}

/// The choice of loopback ports.
#[derive(Clone, Copy, Debug)]
pub enum DemoPorts {
    /// 8443, 9090 and 5280, or the next free ones.
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

/// The values for the configuration file.
struct GatewayPlan<'p> {
    https: SocketAddr,
    admin: SocketAddr,
    issuer: &'p str,
    upstream: SocketAddr,
    client_secret: SecretString,
    app_secret: SecretString,
    session_key: SecretString,
}

// === impl Demo ===

impl Demo {
    /// Binds the servers' ports, and writes and loads the configuration.
    pub async fn prepare(
        ports: DemoPorts,
        clock: Clock,
        random: Random,
    ) -> Result<Self, DemoError> {
        // The meeting's rules derive from the configuration, which contains the meeting's address.
        let [https, admin, upstream] = ports.find([HTTPS_PORT, ADMIN_PORT, MEETING_PORT])?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let settings = DevProviderSettings {
            clients: Vec::new(),
            accounts: DevAccount::demonstration(),
            refresh_tokens: true,
            pushed_requests: PushSupport::None,
        };
        let provider = DevProvider::bind(any, settings, clock.clone(), random.clone()).await?;
        let plan = GatewayPlan {
            https,
            admin,
            issuer: provider.issuer(),
            upstream,
            client_secret: random.text::<32>().into(),
            app_secret: random.text::<32>().into(),
            session_key: BASE64_STANDARD.encode(random.bytes::<32>()).into(),
        };
        let directory = PrivateDirectory::create(&random)?;
        let config = plan.write(&directory, clock.now())?;
        // Infallible: the generated file has both sections.
        let oidc = config.oidc.first().expect("the file has [oidc]");
        provider.provider().register(DevClient {
            id: CLIENT_ID.to_owned(),
            secret: Some(plan.client_secret),
            redirect_uris: vec![oidc.redirect_uri.to_string()],
            post_logout_redirect_uris: vec![oidc.signed_out_uri.to_string()],
        });
        let jitsi = config.jitsi().expect("the file has [upstream]");
        let settings = DevMeetingSettings {
            xmpp_domain: jitsi.upstream.xmpp_domain.clone(),
            rules: ProsodyRules::for_tokens_of(&jitsi.token).map_err(DevkitError::from)?,
        };
        let meeting = DevMeeting::bind(upstream, settings, clock, random).await?;
        let services = DemoServices {
            provider,
            meeting,
            directory,
        };
        Ok(Self { config, services })
    }

    /// Writes addresses and instructions for the operator.
    pub fn announce(&self, out: &mut dyn Write) -> io::Result<()> {
        let public = self.config.public_url.origin();
        let admin = &self.config.server.admin;
        let file = self.services.directory.path().join(CONFIG_FILE);
        write!(
            out,
            "\n  jitsi-auth-gateway, a demonstration for this machine only.\n\
             \n  Open   {public}/\
             \n         The certificate is self-signed, so the browser warns once.\n\
             \n  Try    {public}/team: sign in as Hanna Host of the staff: a moderator.\
             \n         Open the same address in a private window as Max Member: a participant.\
             \n         A third browser or profile joins as a guest with a name.\
             \n         Create a meeting on the start page as Max: he is its host, and has its links.\
             \n         Sign out in one browser: its connection ends at once, and the others see it.\n\
             \n  Watch  http://{admin}/readyz    the gateway's state (degraded: this provider has no TLS)\
             \n         http://{admin}/metrics\n\
             \n  Read   {file}\
             \n         The configuration of this gateway.\n\
             \n  Stop   Ctrl-C. Nothing is left behind.\n\n",
            file = file.display(),
        )?;
        out.flush()
    }
}

// === impl DemoServices ===

impl DemoServices {
    /// The directory of the configuration and its secrets.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Serves until `stop`, then removes the files.
    pub async fn run(self, stop: CancellationToken) {
        let provider = self.provider.run(stop.clone());
        tokio::join!(provider, self.meeting.run(stop));
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

// === impl GatewayPlan ===

impl GatewayPlan<'_> {
    /// Writes certificate and configuration, and loads the configuration.
    fn write(&self, directory: &PrivateDirectory, now: Timestamp) -> Result<Config, DemoError> {
        let names = ["localhost", "127.0.0.1"].map(ToOwned::to_owned);
        let pair = rcgen::KeyPair::generate().map_err(DevkitError::from)?;
        let mut parameters = rcgen::CertificateParams::new(names).map_err(DevkitError::from)?;
        let from = i64::try_from(now.as_unix()).unwrap_or_default();
        let from = OffsetDateTime::from_unix_timestamp(from).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        parameters.not_before = from - CLOCK_TOLERANCE;
        parameters.not_after = from + CERTIFICATE_LIFETIME;
        let certificate = parameters.self_signed(&pair).map_err(DevkitError::from)?;
        let certificate = directory.write("tls.crt", &certificate.pem())?;
        let key = directory.write("tls.key", &pair.serialize_pem())?;
        let file = directory.write(CONFIG_FILE, &self.configuration(&certificate, &key))?;
        Ok(config::load(&file, &Environment::default())?)
    }

    fn configuration(&self, certificate: &Path, key: &Path) -> String {
        let path = |path: &Path| toml::Value::from(path.display().to_string());
        format!(
            r#"# Configuration of `jitsi-auth-gateway demo`. The secrets were generated for this run.
public_url = "https://localhost:{port}"

[listen]
https = "{https}"
admin = "{admin}"
grace = "1s"
drain_delay = "0s"

[tls]
certificate = {certificate}
key = {key}

[upstream]
web = "http://{upstream}"
xmpp = "http://{upstream}"
xmpp_domain = "{XMPP_DOMAIN}"

[oidc]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{client_secret}"
insecure_http_issuer = true  # the provider runs on this machine, too

[session]
key = "{session_key}"

[token]
app_id = "demonstration"
secret = "{app_secret}"

# Members enter any room, guests after a host; the staff are moderators.
[[room]]
match = "*"
enter = "guest"
moderators = ["group:staff"]

[log]
level = "warn"
"#,
            port = self.https.port(),
            https = self.https,
            admin = self.admin,
            certificate = path(certificate),
            key = path(key),
            upstream = self.upstream,
            issuer = self.issuer,
            client_secret = self.client_secret.expose_secret(),
            session_key = self.session_key.expose_secret(),
            app_secret = self.app_secret.expose_secret(),
        )
    }
}

const CONFIG_FILE: &str = "gateway.toml";
const CLIENT_ID: &str = "gateway";

/// Names below `localhost` resolve to loopback addresses (RFC 6761 § 6.3).
const XMPP_DOMAIN: &str = "meet.localhost";

/// The usual port for HTTPS without privileges.
const HTTPS_PORT: u16 = 8443;

/// The default of `listen.admin`.
const ADMIN_PORT: u16 = 9090;

/// Prosody's HTTP port.
const MEETING_PORT: u16 = 5280;

/// Skips the ports that a few other programs use.
const PORTS_TO_TRY: u16 = 20;

/// Browsers whose clock is behind accept the certificate, too.
const CLOCK_TOLERANCE: Duration = Duration::from_hours(1);

/// Longer than any demonstration, too short for another use.
const CERTIFICATE_LIFETIME: Duration = Duration::from_hours(7 * 24);
