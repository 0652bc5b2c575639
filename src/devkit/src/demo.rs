//! The demonstration: a provider, a meeting backend, and the configuration that puts a gateway in
//! front of them. It needs nothing else and leaves nothing behind.
//!
//! The configuration is a file like any other, read by the same code, so that what is shown is what
//! a deployment would get.

mod private_directory;

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use cookie::time::OffsetDateTime;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use self::private_directory::PrivateDirectory;
use super::{
    DevkitError,
    meeting::{DevMeeting, DevMeetingSettings},
    provider::{DevAccount, DevClient, DevProvider, DevProviderSettings},
};
use config::{self, Config, Environment, Problems};
use model::{
    clock::{Clock, Timestamp},
    random::Random,
    token::prosody::Rules,
};

/// Everything that a demonstration needs; only the gateway has still to be started.
#[derive(Debug)]
pub struct Demo {
    /// What to start the gateway with.
    pub config: Config,
    /// The gateway's neighbours; they are wanted as long as it runs.
    pub services: DemoServices,
}

/// The provider, the meeting backend, and the files; these go away with it.
#[derive(Debug)]
pub struct DemoServices {
    /// The provider, with the invented people.
    pub provider: DevProvider,
    /// The meeting backend.
    pub meeting: DevMeeting,
    directory: PrivateDirectory,
}

/// On which loopback ports the gateway listens.
#[derive(Clone, Copy, Debug)]
pub enum DemoPorts {
    /// The usual ones, or the next free.
    Usual,
    /// Any that are free, for tests.
    Free,
}

/// Why there can be no demonstration.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A neighbour cannot be started.
    #[error(transparent)]
    Service(#[from] DevkitError),
    /// The usual port and those after it are taken.
    #[error("no port from {0} on is free on the loopback address")]
    Port(u16),
    /// The temporary files cannot be written.
    #[error("cannot write the demonstration's temporary files")]
    Files(#[from] io::Error),
    /// The demonstration's own configuration is not accepted.
    #[error("the demonstration's configuration is not accepted: {0}")]
    Config(#[from] Problems),
}

/// What goes into the configuration file.
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
    /// Starts to listen for the neighbours and writes the gateway's configuration.
    pub async fn prepare(
        ports: DemoPorts,
        clock: Clock,
        random: Random,
    ) -> Result<Self, DemoError> {
        // The meeting's rules follow from the configuration, which has the meeting's address in it.
        let [https, admin, upstream] = ports.find([HTTPS_PORT, ADMIN_PORT, MEETING_PORT])?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let people = DevProviderSettings {
            clients: Vec::new(),
            accounts: DevAccount::demonstration(),
        };
        let provider = DevProvider::bind(any, people, clock.clone(), random.clone()).await?;
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
        let ours = config.oidc.as_ref().expect("the plan has a provider in it");
        provider.provider().register(DevClient {
            id: CLIENT_ID.to_owned(),
            secret: Some(plan.client_secret),
            redirect_uris: vec![ours.redirect_uri.to_string()],
            post_logout_redirect_uris: vec![ours.signed_out_uri.to_string()],
        });
        let jitsi = config.jitsi().expect("the plan has a Jitsi in it");
        let settings = DevMeetingSettings {
            xmpp_domain: jitsi.upstream.xmpp_domain.clone(),
            rules: Rules::for_tokens_of(&jitsi.token).map_err(DevkitError::from)?,
        };
        let meeting = DevMeeting::bind(upstream, settings, clock, random).await?;
        let services = DemoServices {
            provider,
            meeting,
            directory,
        };
        Ok(Self { config, services })
    }

    /// Tells a person where to look and what to try.
    pub fn announce(&self, out: &mut dyn Write) -> io::Result<()> {
        let public = self.config.public_url.origin();
        let admin = self.config.server.admin;
        let file = self.services.directory.path().join(CONFIG_FILE);
        write!(
            out,
            "\n  jitsi-auth-gateway, a demonstration on this machine alone.\n\
             \n  Open   {public}/\
             \n         The certificate was made a moment ago, so the browser warns once.\n\
             \n  Try    {public}/team: sign in as Hanna Host, who is staff and becomes moderator.\
             \n         Open the same address in a private window as Max Member: a participant.\
             \n         A third browser or profile joins as a guest, by saying a name.\
             \n         Make a meeting on the start page as Max: he hosts it, and passes its links on.\
             \n         Sign one of them out: their connection ends at once, and the others see it.\n\
             \n  Watch  http://{admin}/readyz    what is well, and what is weakened (the demonstration's\
             \n         provider has no TLS)\
             \n         http://{admin}/metrics\n\
             \n  Read   {file}\
             \n         The configuration of this gateway, in the form of any other.\n\
             \n  Stop   Ctrl-C. Nothing is left behind.\n\n",
            file = file.display(),
        )?;
        out.flush()
    }
}

// === impl DemoServices ===

impl DemoServices {
    /// Where the configuration and its secrets are.
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
    /// Free ports, all different. Somebody else could take one before it is used; whoever uses it
    /// then says so.
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
    /// Writes certificate and configuration, and reads the configuration as the gateway would.
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
            r#"# What `jitsi-auth-gateway demo` runs with. The secrets were made for this one run.
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
insecure_http_issuer = true  # the provider is on this machine, too

[session]
key = "{session_key}"

[token]
app_id = "demonstration"
secret = "{app_secret}"

# Whoever signed in may enter any room; the staff are its moderators.
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

/// Names below `localhost` lead nowhere else (RFC 6761 § 6.3).
const XMPP_DOMAIN: &str = "meet.localhost";

/// Customary for HTTPS without privileges.
const HTTPS_PORT: u16 = 8443;

/// The default of `listen.admin`.
const ADMIN_PORT: u16 = 9090;

/// Prosody's HTTP port.
const MEETING_PORT: u16 = 5280;

/// Enough to get past a few other programs.
const PORTS_TO_TRY: u16 = 20;

/// For a browser whose clock is a little behind.
const CLOCK_TOLERANCE: Duration = Duration::from_hours(1);

/// Longer than any demonstration, short enough that nobody keeps the certificate.
const CERTIFICATE_LIFETIME: Duration = Duration::from_hours(7 * 24);
