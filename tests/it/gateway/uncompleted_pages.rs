//! Jitsi's page in forms that the gateway cannot complete: it passes as it came, with one warning.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{logs::Logs, site::Site};

/// Serves one response to every request, on connections that it closes. Returns its URL.
async fn serve(head: &str, body: &[u8]) -> String {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let response = Arc::new([head.as_bytes(), body].concat());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let response = Arc::clone(&response);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await? > 0 {}
                assert!(
                    String::from_utf8_lossy(&request).contains("accept-encoding: identity"),
                    "no other encoding is asked for"
                );
                stream.write_all(&response).await?;
                stream.shutdown().await
            });
        }
    });
    url
}

#[tokio::test]
async fn a_page_that_cannot_be_completed_passes_with_one_warning() {
    let logs = Logs::keep();
    let utf_16: Vec<u8> = "\u{feff}<head></head>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (head, body, warning) in [
        (
            "Content-Type: text/html\r\nContent-Encoding: br",
            b"\x0b\x02\x80<head>\x03".to_vec(),
            "encodes Jitsi's page",
        ),
        (
            "Content-Type: text/html\r\nContent-Encoding: zstd",
            b"\x28\xb5\x2f\xfd".to_vec(),
            "encodes Jitsi's page",
        ),
        (
            "Content-Type: application/xhtml+xml",
            b"<head></head>".to_vec(),
            "another media type",
        ),
        (
            "Content-Type: text/html; charset=UTF-16LE",
            utf_16.clone(),
            "is not UTF-8",
        ),
        (
            "Content-Type: text/html",
            utf_16,
            "byte order mark of UTF-16",
        ),
    ] {
        // A gateway of its own each, whose warnings are its own.
        let site = Site::start().await.ready().await;
        let mut max = site.signed_in("max").await;
        let url = serve(head, &body).await;
        site.reload(|configuration| configuration["upstream"]["web"] = url.into());
        let before = logs.lines_with(warning).len();
        for _ in 0..3 {
            let page = max.navigate("/plan").await;
            assert_eq!(page.body, body, "{head}");
        }
        let lines = logs.lines_with(warning);
        assert_eq!(lines.len() - before, 1, "{head}: {lines:#?}");
        assert!(lines[before].contains("WARN"), "{lines:#?}");
    }
}

#[tokio::test]
async fn a_policy_in_the_page_allows_the_script() {
    let page = b"<head><meta http-equiv=Content-Security-Policy content=\"script-src 'self'\">\
        <script src=libs/lib-jitsi-meet.js></script></head>";
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let url = serve("Content-Type: text/html; charset=iso-8859-1", page).await;
    site.reload(|configuration| configuration["upstream"]["web"] = url.into());
    let text = max.navigate("/plan").await.text();
    assert!(text.contains("script-src 'self' 'sha256-"), "{text}");
    assert!(text.contains("tokenAuthUrl"), "{text}");
}
