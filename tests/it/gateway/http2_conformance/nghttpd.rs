//! nghttpd, the server of nghttp2, as a peer; named by `GATEWAY_TEST_NGHTTPD`.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

/// A running nghttpd without TLS; killed when dropped.
pub(super) struct Nghttpd {
    pub(super) address: SocketAddr,
    child: Child,
    _files: TempDir,
}

// === impl Nghttpd ===

impl Nghttpd {
    /// Starts it with one file, whose content is its path, and waits until it listens.
    pub(super) async fn start(path: &str) -> Self {
        let program =
            std::env::var_os("GATEWAY_TEST_NGHTTPD").expect("GATEWAY_TEST_NGHTTPD is set");
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, path).unwrap();
        let address = free_address();
        let child = Command::new(program)
            .args(["--no-tls", "--address=127.0.0.1", "--htdocs"])
            .arg(files.path())
            .arg(address.port().to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let nghttpd = Self {
            address,
            child,
            _files: files,
        };
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), listening).await.unwrap();
        nghttpd
    }
}

impl Drop for Nghttpd {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// nghttpd does not say which port it has been given.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
