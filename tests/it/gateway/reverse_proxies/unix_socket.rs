//! Listeners on Unix sockets: the reverse proxy of the machine, and operators.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use jitsi_auth_gateway::cli::Exit;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{HANDSHAKE, HOST, NAVIGATION, status};
use crate::support::{
    command::command,
    site::{ORIGIN, Site, SiteOptions},
};

/// A site, and the socket of its `listen.http`.
struct SocketSite {
    site: Site,
    path: PathBuf,
    _directory: TempDir,
}

impl SocketSite {
    /// Starts a site with further keys of `[listen]` and `[limits]`.
    async fn start(listen: &str, limits: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("http.sock");
        let http = format!("http = \"unix:{}\"\n{listen}", path.display());
        let options = SiteOptions::default().listen(&http).limits(limits);
        Self {
            site: Site::with(options).await.ready().await,
            path,
            _directory: directory,
        }
    }

    /// The answer to a request with these lines after the request line.
    async fn send(&self, target: &str, lines: &[&str]) -> String {
        let head = format!("GET {target} HTTP/1.1\r\n{}\r\n", lines.join("\r\n"));
        send(&self.path, &format!("{head}\r\n")).await
    }

    /// The `X-Forwarded-For` of the last request for `path` at Jitsi's web server.
    fn forwarded_for(&self, path: &str) -> Option<String> {
        let received = self.site.meeting.received();
        let request = received.iter().rfind(|request| request.path == path);
        let value = request.unwrap().headers.get("x-forwarded-for")?;
        Some(value.to_str().unwrap().to_owned())
    }
}

/// The beginning of the answer to these bytes; empty if the connection is cut.
async fn send(path: &Path, bytes: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64 * 1024];
    let length = stream.read(&mut answer).await.unwrap_or_default();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).unwrap();
    assert!(metadata.file_type().is_socket());
    metadata.permissions().mode() & 0o7777
}

const HTTPS: &str = "X-Forwarded-Proto: https";

#[tokio::test]
async fn a_proxy_at_the_socket_is_trusted_without_an_entry() {
    let site = SocketSite::start("", "").await;
    assert_eq!(mode(&site.path), 0o660);
    let page = site.send("/", &[&[HOST], NAVIGATION].concat()).await;
    assert_eq!(status(&page), "308", "{page}");
    let page = site.send("/", &[&[HOST, HTTPS], NAVIGATION].concat()).await;
    assert_eq!(status(&page), "200", "{page}");
    for (name, fields, expected) in [
        (
            "/libs/one.js",
            &["X-Forwarded-For: 198.51.100.7"][..],
            Some("198.51.100.7"),
        ),
        // The client wrote the first address itself.
        (
            "/libs/two.js",
            &["X-Forwarded-For: 6.6.6.6, 198.51.100.7"],
            Some("198.51.100.7"),
        ),
        ("/libs/three.js", &[], None),
    ] {
        let lines = [&[HOST, HTTPS, "Connection: close"], fields].concat();
        let answer = site.send(name, &lines).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        assert_eq!(site.forwarded_for(name).as_deref(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_websocket_and_its_stream_pass_through_the_socket() {
    let site = SocketSite::start("", "").await;
    let member = site.site.signed_in("max").await;
    let (_, cookies) = member.cookie_header(&ORIGIN.parse().unwrap()).unwrap();
    let cookies = format!("Cookie: {}", cookies.to_str().unwrap());
    for (fields, expected) in [(&[HTTPS][..], "101"), (&[], "421")] {
        let lines = [&[HOST, &cookies], HANDSHAKE, fields].concat();
        let answer = site.send("/xmpp-websocket?room=x", &lines).await;
        assert_eq!(status(&answer), expected, "{answer}");
    }
}

#[tokio::test]
async fn limits_of_addresses_concern_the_clients_that_the_proxy_names() {
    let site = SocketSite::start(
        "workers = 1",
        "requests_per_minute = 2\nconnections_per_address = 1",
    )
    .await;
    // Connections of the proxy itself stay open and are not counted by address.
    let _idle = [
        UnixStream::connect(&site.path).await.unwrap(),
        UnixStream::connect(&site.path).await.unwrap(),
    ];
    let named = "X-Forwarded-For: 198.51.100.7";
    let get = async |fields: &[&str]| {
        let lines = [&[HOST, HTTPS, "Accept: text/html"], fields].concat();
        status(&site.send("/", &lines).await).to_owned()
    };
    for expected in ["200", "200", "429"] {
        assert_eq!(get(&[named]).await, expected);
    }
    for _ in 0..5 {
        assert_eq!(get(&[]).await, "200");
    }
}

#[tokio::test]
async fn a_proxy_header_names_the_client_at_the_socket_too() {
    let site = SocketSite::start("proxy_protocol = true\nsocket_mode = \"0666\"", "").await;
    assert_eq!(mode(&site.path), 0o666);
    let head = format!("{HOST}\r\n{HTTPS}\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
    // The client of a load balancer that passes TCP on is no proxy: its fields do not count.
    let request = format!("PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\n{head}");
    let answer = send(&site.path, &request).await;
    assert_eq!(status(&answer), "308", "{answer}");
    let answer = send(&site.path, &format!("GET / HTTP/1.1\r\n{head}")).await;
    assert_eq!(answer, "");
}

#[tokio::test]
async fn a_second_gateway_takes_over_when_the_first_begins_to_stop() {
    let SocketSite {
        site,
        path,
        _directory,
    } = SocketSite::start("drain_delay = \"20s\"", "").await;
    let start = site.starter();
    let refused = start().unwrap_err();
    assert_eq!(refused.to_string(), "`listen.http` cannot be opened");
    let source = std::error::Error::source(&refused).unwrap();
    assert_eq!(
        source.to_string(),
        format!("cannot listen on unix:{}", path.display())
    );
    let reason = source.source().unwrap().to_string();
    assert!(
        reason.contains("a process accepts connections there"),
        "{reason}"
    );

    let second_is_up = CancellationToken::new();
    let requests = tokio::spawn(connect_until(path.clone(), second_is_up.clone()));
    let first = fs::metadata(&path).unwrap().ino();
    let hurry = CancellationToken::new();
    let Site { running, .. } = site;
    let stopping = tokio::spawn(running.stop(hurry.clone()));
    let begins = async {
        while mode(&path) != 0o1660 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), begins).await.unwrap();
    let second = start().unwrap();
    assert_ne!(fs::metadata(&path).unwrap().ino(), first);
    second_is_up.cancel();
    assert!(requests.await.unwrap() > 0);
    // The first one's end does not concern the file, and the second one's removes it.
    hurry.cancel();
    stopping.await.unwrap();
    let answer = send(&path, "GET / HTTP/1.1\r\nHost: meet.example.org\r\n\r\n").await;
    assert_eq!(status(&answer), "308", "{answer}");
    assert_eq!(mode(&path), 0o660);
    second.stop(hurry).await;
    assert!(!path.exists());
}

/// Sends requests until cancelled, none of which may be refused; returns their number.
async fn connect_until(path: PathBuf, stop: CancellationToken) -> usize {
    let mut answered = 0;
    while !stop.is_cancelled() {
        let answer = send(&path, "GET / HTTP/1.1\r\nHost: meet.example.org\r\n\r\n").await;
        assert_eq!(status(&answer), "308", "{answer}");
        answered += 1;
    }
    answered
}

#[tokio::test]
async fn operators_reach_the_admin_listener_by_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let admin = format!("unix:{}", path.display());
    let site = Site::with(SiteOptions::default().listen(&format!("admin = \"{admin}\""))).await;
    assert_eq!(mode(&path), 0o600);
    for words in [
        &["healthcheck"][..],
        &["rooms", "list"],
        &["sessions", "list"],
        &["sessions", "revoke", "--subject", "max"],
    ] {
        let (exit, _, error) = command(&[words, &["--admin", &admin]].concat()).await;
        assert_eq!(exit, Exit::Done, "{words:?}: {error}");
    }
    for (host, field, expected) in [
        ("localhost", "X-Any: x", "200"),
        ("localhost", "X-Forwarded-For: 198.51.100.7", "403"),
        ("localhost", "Origin: https://evil.example", "403"),
        ("evil.example", "X-Any: x", "403"),
    ] {
        let request = format!("GET /rooms HTTP/1.1\r\nHost: {host}\r\n{field}\r\n\r\n");
        let answer = send(&path, &request).await;
        assert_eq!(status(&answer), expected, "{host} {field}");
    }
    site.stop().await;
    assert!(!path.exists());
    let (exit, _, error) = command(&["healthcheck", "--admin", &admin]).await;
    assert_eq!(exit, Exit::Failed);
    assert!(error.starts_with(&format!("unhealthy: {admin}")), "{error}");
}
