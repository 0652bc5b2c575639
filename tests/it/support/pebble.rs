//! Pebble, Let's Encrypt's test server, with a name server that resolves every name to this machine.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

/// A running Pebble.
pub(crate) struct Pebble {
    process: Child,
    names: JoinHandle<()>,
    pub(crate) settings: PebbleSettings,
    log: PathBuf,
}

/// Where Pebble listens, and where it verifies names.
#[derive(Clone, Debug)]
pub(crate) struct PebbleSettings {
    pub(crate) directory: PathBuf,
    pub(crate) acme: u16,
    pub(crate) management: u16,
    pub(crate) http: u16,
    pub(crate) https: u16,
    pub(crate) external_account: bool,
}

// === impl PebbleSettings ===

impl PebbleSettings {
    /// Free ports, and a certificate for Pebble itself.
    pub(crate) fn new(directory: &Path) -> Self {
        let [acme, management, http, https] = free_ports();
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(directory.join("pebble.crt"), pair.cert.pem()).unwrap();
        fs::write(
            directory.join("pebble.key"),
            pair.signing_key.serialize_pem(),
        )
        .unwrap();
        Self {
            directory: directory.to_owned(),
            acme,
            management,
            http,
            https,
            external_account: false,
        }
    }

    /// `[tls.acme]` for orders at this Pebble. An order without a profile gets one of Pebble's at random, also that of
    /// certificates which are due for renewal at once.
    pub(crate) fn section(&self, profile: &str) -> String {
        self.section_at(self.acme, profile)
    }

    /// The same at another port, such as that of a forwarder.
    pub(crate) fn section_at(&self, port: u16, profile: &str) -> String {
        let directory = self.directory.display();
        format!(
            "directory = \"https://localhost:{port}/dir\"\nca_file = \"{directory}/pebble.crt\"\n\
             storage = \"{directory}/acme\"\nprofile = \"{profile}\"\n"
        )
    }
}

// === impl Pebble ===

impl Pebble {
    /// Starts Pebble: a seventh of the nonces are refused, and every second authorization is used again.
    pub(crate) async fn start(settings: PebbleSettings) -> Self {
        let program = std::env::var_os("GATEWAY_TEST_PEBBLE")
            .expect("GATEWAY_TEST_PEBBLE names the program; tests/acme/run builds it");
        let (resolver, names) = name_server().await;
        let file = settings.directory.join("pebble.json");
        let path = |name: &str| settings.directory.join(name).display().to_string();
        let keys = json!({ KEY_ID: MAC_KEY });
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", settings.acme),
            "managementListenAddress": format!("127.0.0.1:{}", settings.management),
            "certificate": path("pebble.crt"),
            "privateKey": path("pebble.key"),
            "httpPort": settings.http,
            "tlsPort": settings.https,
            "externalAccountBindingRequired": settings.external_account,
            "externalAccountMACKeys": if settings.external_account { keys } else { json!({}) },
            "retryAfter": { "authz": 1, "order": 1 },
            "keyAlgorithm": "ecdsa",
            "profiles": {
                "default": { "description": "90 days", "validityPeriod": 7_776_000 },
                "seconds": { "description": "8 seconds", "validityPeriod": 8 },
            },
        }});
        fs::write(&file, config.to_string()).unwrap();
        let log = settings.directory.join("pebble.log");
        let output = fs::File::create(&log).unwrap();
        let process = Command::new(program)
            .args(["-config", file.to_str().unwrap()])
            .args(["-dnsserver", &resolver.to_string()])
            .env("PEBBLE_WFE_NONCEREJECT", "15")
            .env("PEBBLE_AUTHZREUSE", "50")
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdout(Stdio::from(output.try_clone().unwrap()))
            .stderr(Stdio::from(output))
            .spawn()
            .unwrap();
        let pebble = Self {
            process,
            names,
            settings,
            log,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, pebble.settings.acme));
        eventually("Pebble listens", async || {
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        pebble
    }

    /// How many certificates it issued.
    pub(crate) fn issued(&self) -> usize {
        self.log().matches("Issued certificate serial").count()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.names.abort();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ports that are free now.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [_; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Polls a condition that has no signal of its own, for at most half a minute.
pub(crate) async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .unwrap_or_else(|_| panic!("timed out waiting until {what}"));
}

/// Answers questions for addresses of IPv4 with 127.0.0.1, and all others with nothing. Pebble asks by TCP.
async fn name_server() -> (SocketAddr, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_questions(stream));
        }
    });
    (address, serving)
}

/// Messages have a length of two octets before them (RFC 1035 § 4.2.2).
async fn answer_questions(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut question = vec![0; length.into()];
        stream.read_exact(&mut question).await?;
        // The name ends with an empty label; type and class follow (RFC 1035 § 4.1.2).
        let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        let is_a = question[end - 4..end - 2] == [0, 1];
        let mut answer = question[..end].to_vec();
        answer[2..12].copy_from_slice(&[0x84, 0, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
        if is_a {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
        }
        stream.write_u16(answer.len().try_into().unwrap()).await?;
        stream.write_all(&answer).await?;
    }
}

pub(crate) const KEY_ID: &str = "kid-1";
pub(crate) const MAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
