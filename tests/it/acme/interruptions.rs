//! Answers of an authority that get lost.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tempfile::tempdir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::{
    acme_gateway::AcmeGateway,
    pebble::{Pebble, PebbleSettings},
};

/// Pebble's paths of an order that is ready (`wfe/wfe.go`, `orderFinalizePath`, `orderPath`, `certPath`; 2.10.3).
const REQUESTS: [&str; 3] = ["/finalize-order/", "/my-order/", "/certZ/"];

#[tokio::test]
#[ignore = "needs Pebble"]
async fn a_lost_answer_does_not_order_a_second_certificate() {
    for path in REQUESTS {
        let files = tempdir().unwrap();
        let settings = PebbleSettings::new(files.path());
        let pebble = Pebble::start(settings.clone()).await;
        let losing = LosingForwarder::start(&settings, path).await;
        let acme = settings.section_at(losing.port, "default");
        let gateway = AcmeGateway::start(files.path(), settings.http, settings.https, &acme);
        gateway.issued("meet.test").await;
        gateway.stop().await;
        assert!(losing.lost.load(Ordering::Relaxed), "{path}");
        assert_eq!(pebble.issued(), 1, "{path}: {}", pebble.log());
    }
}

/// Forwards connections to Pebble; the first request of a path is processed, and its answer is lost.
struct LosingForwarder {
    port: u16,
    lost: Arc<AtomicBool>,
    forwarding: JoinHandle<()>,
}

// === impl LosingForwarder ===

impl LosingForwarder {
    async fn start(pebble: &PebbleSettings, path: &'static str) -> Self {
        let file = |name: &str| pebble.directory.join(name);
        let certificate = CertificateDer::from_pem_file(file("pebble.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(file("pebble.key")).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let connector = TlsConnector::from(Arc::new(client));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let lost = Arc::new(AtomicBool::new(false));
        let upstream = pebble.acme;
        let forwarding = tokio::spawn({
            let lost = Arc::clone(&lost);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, connector) = (acceptor.clone(), connector.clone());
                    let lost = Arc::clone(&lost);
                    tokio::spawn(async move {
                        let mut near = acceptor.accept(stream).await.unwrap();
                        let mut request = vec![0; 64 * 1024];
                        let length = near.read(&mut request).await.unwrap();
                        let head = String::from_utf8_lossy(&request[..length]);
                        let loses = head.starts_with(&format!("POST {path}"))
                            && !lost.swap(true, Ordering::Relaxed);
                        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await;
                        let name = ServerName::try_from("localhost").unwrap();
                        let mut far = connector.connect(name, stream.unwrap()).await.unwrap();
                        far.write_all(&request[..length]).await.unwrap();
                        if loses {
                            // The body may follow the head.
                            let (mut answer, mut body) = tokio::io::split(far);
                            let rest = tokio::io::copy(&mut near, &mut body);
                            tokio::select! {
                                first = answer.read_u8() => { first.unwrap(); }
                                copied = rest => { copied.unwrap(); }
                            }
                        } else {
                            let _ = copy_bidirectional(&mut near, &mut far).await;
                        }
                    });
                }
            }
        });
        Self {
            port,
            lost,
            forwarding,
        }
    }
}

impl Drop for LosingForwarder {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}
