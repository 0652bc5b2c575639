//! HTTP as the standards have it, where clients and upstreams use its rarer parts.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::site::{Site, SiteOptions};

/// A web server that gives this response to every request; keeps the heads of the requests.
async fn serve(response: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await? > 0 {}
                let text = String::from_utf8_lossy(&head).to_lowercase();
                kept.lock().unwrap().push(text);
                stream.write_all(response.as_bytes()).await?;
                stream.shutdown().await
            });
        }
    });
    (url, heads)
}

async fn site(web: &str) -> Site {
    let rules = format!(
        "[[room]]\nmatch = \"*\"\nenter = \"member\"\n[upstream]\nweb = \"{web}\"\n\
         [listen]\ntrusted_proxies = [\"127.0.0.1/32\"]\n"
    );
    Site::with(SiteOptions::default().rules(&rules)).await
}

/// A connection of a proxy that terminates TLS.
struct ProxyConnection(TcpStream);

impl ProxyConnection {
    async fn open(site: &Site) -> Self {
        let address = site.http_address();
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Sends a request line with further lines.
    async fn send(&mut self, request: &str) {
        let head =
            format!("{request}\r\nHost: meet.example.org\r\nX-Forwarded-Proto: https\r\n\r\n");
        self.0.write_all(head.as_bytes()).await.unwrap();
    }

    /// Reads until a text has come.
    async fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !String::from_utf8_lossy(&text).contains(end) {
            let read = self.0.read_buf(&mut text).await.unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&text));
        }
        String::from_utf8(text).unwrap()
    }

    async fn is_closed(&mut self) -> bool {
        self.0.read(&mut [0]).await.unwrap() == 0
    }
}

const FILE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nwhole";

#[tokio::test]
async fn a_client_of_http_1_0_gets_one_answer_unless_it_asks_for_more() {
    let (web, _) = serve(FILE).await;
    let site = site(&web).await;
    let mut once = ProxyConnection::open(&site).await;
    once.send("GET /libs/x.js HTTP/1.0").await;
    once.read_until("\r\n\r\nwhole").await;
    assert!(once.is_closed().await);
    let mut more = ProxyConnection::open(&site).await;
    for _ in 0..2 {
        more.send("GET /libs/x.js HTTP/1.0\r\nConnection: keep-alive")
            .await;
        more.read_until("\r\n\r\nwhole").await;
    }
}

#[tokio::test]
async fn a_range_of_a_file_is_passed_on() {
    let (web, heads) = serve(
        "HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\nContent-Range: bytes 1-2/5\r\n\
         Content-Length: 2\r\n\r\nho",
    )
    .await;
    let site = site(&web).await;
    let mut client = ProxyConnection::open(&site).await;
    client
        .send("GET /libs/x.js HTTP/1.1\r\nRange: bytes=1-2")
        .await;
    let answer = client.read_until("\r\n\r\nho").await;
    assert!(answer.starts_with("HTTP/1.1 206"), "{answer}");
    assert!(
        answer.to_lowercase().contains("content-range: bytes 1-2/5"),
        "{answer}"
    );
    let heads = heads.lock().unwrap();
    assert!(heads[0].contains("range: bytes=1-2"), "{heads:?}");
}

#[tokio::test]
async fn interim_responses_of_the_web_server_are_passed_over() {
    let (web, _) = serve(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nwhole",
    )
    .await;
    let site = site(&web).await;
    let mut client = ProxyConnection::open(&site).await;
    client.send("GET /libs/x.js HTTP/1.1").await;
    let answer = client.read_until("\r\n\r\nwhole").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_target_in_absolute_form_has_to_name_this_host() {
    let (web, _) = serve(FILE).await;
    let site = site(&web).await;
    for (target, status) in [
        ("https://meet.example.org/libs/x.js", "200"),
        ("https://other.example.org/libs/x.js", "400"),
    ] {
        let mut client = ProxyConnection::open(&site).await;
        client.send(&format!("GET {target} HTTP/1.1")).await;
        let head = client.read_until("\r\n\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
}
