//! An authority that refuses, and asks to wait.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::tempdir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::support::{
    acme_gateway::AcmeGateway,
    pebble::{eventually, free_ports},
};

/// An authority that creates no account. Returns its port.
async fn busy_authority(files: &Path, refusal: &'static str) -> u16 {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(files.join("authority.crt"), pair.cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der());
    let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(acceptor.clone(), stream, port, refusal));
        }
    });
    port
}

async fn answer(acceptor: TlsAcceptor, stream: TcpStream, port: u16, refusal: &'static str) {
    let mut stream = acceptor.accept(stream).await.unwrap();
    let mut head = vec![0; 8192];
    let length = stream.read(&mut head).await.unwrap();
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    let url = |path: &str| format!("https://localhost:{port}/{path}");
    let directory = serde_json::json!({
        "newNonce": url("nonce"), "newAccount": url("account"), "newOrder": url("order"),
    });
    let answer = if head.starts_with("GET /dir ") {
        let body = directory.to_string();
        format!("200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    } else if head.starts_with("HEAD /nonce ") {
        "200 OK\r\nReplay-Nonce: bm9uY2U\r\nContent-Length: 0\r\n\r\n".to_owned()
    } else {
        refusal.to_owned()
    };
    let answer = format!(
        "HTTP/1.1 {}",
        answer.replacen("\r\n", "\r\nConnection: close\r\n", 1)
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    let _ = stream.shutdown().await;
}

#[tokio::test]
async fn retry_after_of_the_authority_outweighs_the_shorter_delay_of_the_gateway() {
    let files = tempdir().unwrap();
    let body = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many accounts"}"#;
    let refusal = format!(
        "429 Too Many Requests\r\nRetry-After: 7200\r\nReplay-Nonce: bm9uY2U\r\n\
         Content-Type: application/problem+json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let port = busy_authority(files.path(), refusal.leak()).await;
    let directory = files.path().display();
    let acme = format!(
        "directory = \"https://localhost:{port}/dir\"\nca_file = \"{directory}/authority.crt\"\n\
         storage = \"{directory}/acme\""
    );
    let [http, https] = free_ports();
    let gateway = AcmeGateway::start(files.path(), http, https, &acme);
    let started = model::clock::Clock::system().now();
    eventually("the refusal is reported", async || {
        gateway.admin("/readyz").await.contains("too many accounts")
    })
    .await;
    let metrics = gateway.admin("/metrics").await;
    let next = gateway.next_try().await.unwrap();
    let wait = next - started.as_unix();
    assert!((7200..7260).contains(&wait), "{wait}");
    assert!(
        metrics.contains("acme_orders_total{outcome=\"failed\"} 1\n"),
        "{metrics}"
    );
    assert!(gateway.leaf("meet.test").await.is_self_issued);
    gateway.stop().await;
}
