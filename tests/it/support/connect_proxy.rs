//! An HTTP proxy with CONNECT that connects every request to the same address.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufStream, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct ConnectProxy {
    pub(crate) address: SocketAddr,
    /// The lines of each request head.
    pub(crate) heads: mpsc::UnboundedReceiver<Vec<String>>,
    _task: AbortOnDropHandle<()>,
}

// === impl ConnectProxy ===

impl ConnectProxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, heads) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(tunnel(BufStream::new(client), target, seen.clone()));
            }
        });
        Self {
            address,
            heads,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

async fn tunnel(
    mut client: BufStream<TcpStream>,
    target: SocketAddr,
    seen: mpsc::UnboundedSender<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        client.read_line(&mut line).await?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let _ = seen.send(head);
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    client.flush().await?;
    copy_bidirectional(&mut client, &mut TcpStream::connect(target).await?).await?;
    Ok(())
}
