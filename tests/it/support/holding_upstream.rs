//! A Prosody that opens WebSockets and holds BOSH polls, and says nothing more.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Starts the server, which runs until the test ends; returns its URL.
pub(crate) async fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            connections.spawn(serve(socket));
        }
    });
    url
}

/// Answers a handshake with 101 and the creation of a BOSH session with one, and holds whatever follows
/// until the peer closes the connection (XEP-0124 § 7, `wait`).
async fn serve(socket: TcpStream) -> io::Result<()> {
    // Some ten thousand of them are open at once.
    let mut reader = BufReader::with_capacity(1024, socket);
    loop {
        let (mut key, mut length, mut line) = (None, 0, String::new());
        while reader.read_line(&mut line).await? > 2 {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            match &*name.to_ascii_lowercase() {
                "sec-websocket-key" => key = Some(value.trim().to_owned()),
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                _ => {}
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await?;
        let is_creation = !String::from_utf8_lossy(&body).contains(" sid=");
        let answer = match key {
            Some(key) => format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                derive_accept_key(key.as_bytes())
            ),
            None if length > 0 && is_creation => created(),
            None => {
                reader.read_to_end(&mut Vec::new()).await?;
                return Ok(());
            }
        };
        reader.write_all(answer.as_bytes()).await?;
    }
}

/// The answer of Prosody's `mod_bosh` to the creation of a session.
fn created() -> String {
    static SESSIONS: AtomicU64 = AtomicU64::new(0);
    let sid = SESSIONS.fetch_add(1, Ordering::Relaxed);
    let body = format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' sid='{sid:036}' \
         authid='{sid:036}' from='meet.jitsi' wait='60' hold='1' ver='1.11' inactivity='60' requests='2' \
         xmpp:version='1.0'/>"
    );
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{body}")
}
