//! A gateway whose certificate an authority issues, with short delays.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use config::{Config, Environment};
use jitsi_auth_gateway::app::{self, GatewayHandle, StartOptions};
use model::clock::Clock;
use proxy::server::CertificateFields;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

/// A running gateway.
pub(crate) struct AcmeGateway {
    pub(crate) running: GatewayHandle,
    pub(crate) config: Config,
    port: u16,
}

// === impl AcmeGateway ===

impl AcmeGateway {
    /// Starts a gateway on the two ports; `acme` is the text of `[tls.acme]`.
    pub(crate) fn start(files: &Path, http: u16, https: u16, acme: &str) -> Self {
        Self::start_at(files, [http, https], acme, Clock::system())
    }

    /// Starts a gateway with a clock of the test.
    pub(crate) fn start_at(files: &Path, ports: [u16; 2], acme: &str, clock: Clock) -> Self {
        let [http, https] = ports;
        let config = configuration(files, http, https, acme);
        let options = StartOptions {
            clock,
            ..StartOptions::default()
        };
        let running = app::start(&config, options).unwrap();
        Self {
            running,
            config,
            port: https,
        }
    }

    /// The leaf that a client of the name gets.
    pub(crate) async fn leaf(&self, name: &str) -> CertificateFields {
        CertificateFields::of(&self.certificate(name).await).unwrap()
    }

    pub(crate) async fn certificate(&self, name: &str) -> Vec<u8> {
        let (_, leaf) = connect(self.port, name).await.unwrap();
        leaf
    }

    /// Waits until clients of the name get a certificate of the authority.
    pub(crate) async fn issued(&self, name: &str) {
        for _ in 0..1500 {
            if !self.leaf(name).await.is_self_issued {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no certificate: {}", self.admin("/readyz").await);
    }

    /// The time of the next order, in seconds since 1970; `None` before it is known.
    pub(crate) async fn next_try(&self) -> Option<u64> {
        let metrics = self.admin("/metrics").await;
        let name = "\njitsi_auth_gateway_acme_next_try_timestamp_seconds ";
        let (_, value) = metrics.split_once(name)?;
        value.lines().next()?.parse().ok().filter(|time| *time > 0)
    }

    /// The answer of `/readyz` or `/metrics`.
    pub(crate) async fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.running.addresses.admin.tcp().unwrap())
            .await
            .unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    pub(crate) async fn stop(self) {
        let at_once = CancellationToken::new();
        at_once.cancel();
        Box::pin(self.running.stop(at_once)).await;
    }
}

/// The configuration of a gateway that starts within milliseconds.
pub(crate) fn configuration(files: &Path, http: u16, https: u16, acme: &str) -> Config {
    let secret = |name: &str, text: &str| {
        let path = files.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let session = secret(
        "session.key",
        "bm9ib2R5IHdpbGwgZ3Vlc3MgdGhpcyBrZXksIGV2ZXI=",
    );
    let app = secret("app.secret", "a secret that is long enough for HS256");
    let text = format!(
        r#"
public_url = "https://meet.test"
[listen]
http = "127.0.0.1:{http}"
https = "127.0.0.1:{https}"
admin = "127.0.0.1:0"
workers = 1
[tls]
check_every = "1s"
[tls.acme]
accept_terms = true
{acme}
[upstream]
web = "http://127.0.0.1:9"
xmpp = "http://127.0.0.1:9"
xmpp_domain = "meet.jitsi"
[session]
key_file = "{session}"
[token]
app_id = "gateway"
secret_file = "{app}"
[probe]
enabled = false
[[room]]
match = "*"
enter = "open"
start = "anyone"
"#
    );
    let file = secret(&format!("gateway-{https}.toml"), &text);
    let mut config = config::load(Path::new(&file), &Environment::default())
        .unwrap_or_else(|problems| panic!("{problems}"));
    let pacing = &mut config.acme.as_mut().unwrap().pacing;
    pacing.first_retry = Duration::from_millis(100);
    pacing.sharing = Duration::from_millis(50);
    pacing.review = Duration::from_secs(1);
    config
}

/// Connects with SNI; returns the stream and the leaf, which is not verified.
pub(crate) async fn connect(
    port: u16,
    name: &str,
) -> std::io::Result<(TlsStream<TcpStream>, Vec<u8>)> {
    let seen = Arc::new(Leaf::default());
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&seen) as _)
        .with_no_client_auth();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let leaf = seen.0.lock().unwrap().clone();
    Ok((stream, leaf))
}

/// Remembers the certificate.
#[derive(Debug, Default)]
struct Leaf(Mutex<Vec<u8>>);

impl ServerCertVerifier for Leaf {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = end_entity.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
