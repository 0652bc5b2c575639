//! A server on raw sockets that answers with the bytes that a test writes, as an HTTP library would not.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A step of the answer to a request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Writes the `Sec-WebSocket-Accept` of the request.
    Accept,
    /// Waits until the test opens the gate.
    Gate,
    /// Writes these bytes again and again, until the peer closes the connection.
    Repeat(Vec<u8>),
    /// Reads the rest of the request's body.
    ReadBody,
    /// Closes the connection.
    Close,
    /// Resets the connection (RST).
    Reset,
    /// Waits until the peer closes the connection.
    Wait,
}

/// A request that arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Arrival {
    pub(crate) path: String,
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
}

/// The server; it runs until the test ends. A path without steps is answered with itself.
pub(crate) struct RawUpstream {
    url: String,
    state: Arc<State>,
}

struct State {
    scripts: Mutex<HashMap<String, Vec<Step>>>,
    arrivals: Mutex<Vec<Arrival>>,
    ended: Mutex<Vec<usize>>,
    gate: Semaphore,
}

/// A connection with the bytes that were read beyond the last request.
struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

// === impl RawUpstream ===

impl RawUpstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            scripts: Mutex::default(),
            arrivals: Mutex::default(),
            ended: Mutex::default(),
            gate: Semaphore::new(0),
        });
        let known = Arc::clone(&state);
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let connection = Connection {
                    stream,
                    unread: Vec::new(),
                };
                let known = Arc::clone(&known);
                tokio::spawn(async move {
                    serve(connection, number, &known).await;
                    lock(&known.ended).push(number);
                });
            }
        });
        Self { url, state }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sets the answer to requests for a path.
    pub(crate) fn script(&self, path: &str, steps: &[Step]) {
        lock(&self.state.scripts).insert(path.to_owned(), steps.to_vec());
    }

    /// Lets one script pass its gate.
    pub(crate) fn open_gate(&self) {
        self.state.gate.add_permits(1);
    }

    /// Whether the answer to a path waits at the gate.
    pub(crate) fn is_gated(&self, path: &str) -> bool {
        let scripts = lock(&self.state.scripts);
        let mut steps = scripts.get(path).into_iter().flatten();
        steps.any(|step| matches!(step, Step::Gate))
    }

    /// Whether a connection has ended.
    pub(crate) fn has_ended(&self, connection: usize) -> bool {
        lock(&self.state.ended).contains(&connection)
    }

    /// The connections on which requests for a path arrived.
    pub(crate) fn connections_of(&self, path: &str) -> Vec<usize> {
        let arrivals = lock(&self.state.arrivals);
        let of_path = arrivals.iter().filter(|arrival| arrival.path == path);
        of_path.map(|arrival| arrival.connection).collect()
    }
}

/// Serves a connection to its end.
async fn serve(mut connection: Connection, number: usize, state: &State) {
    while let Some(head) = connection.read_head().await {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        lock(&state.arrivals).push(Arrival {
            path: path.clone(),
            connection: number,
        });
        let steps = lock(&state.scripts).get(&path).cloned();
        let steps = steps.unwrap_or_else(|| {
            let length = path.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{path}"
            );
            vec![Step::ReadBody, Step::Write(answer.into())]
        });
        let answering = connection.answer(&steps, &head, &state.gate);
        if answering.await.is_none() {
            return;
        }
    }
}

/// The first field of a name in a head.
fn field_of<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

// === impl Connection ===

impl Connection {
    /// Reads the head of a request; `None` at the end of the connection.
    async fn read_head(&mut self) -> Option<String> {
        loop {
            let mut windows = self.unread.windows(4);
            if let Some(end) = windows.position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return String::from_utf8(head).ok();
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.unread).await;
        read.ok().filter(|count| *count > 0).map(|_| ())
    }

    /// Takes the steps of an answer; `None` if the connection is over.
    async fn answer(&mut self, steps: &[Step], head: &str, gate: &Semaphore) -> Option<()> {
        for step in steps {
            match step {
                Step::Accept => {
                    let accept = derive_accept_key(field_of(head, "sec-websocket-key")?.as_bytes());
                    self.stream.write_all(accept.as_bytes()).await.ok()?;
                }
                Step::Gate => gate.acquire().await.unwrap().forget(),
                Step::Write(bytes) => self.stream.write_all(bytes).await.ok()?,
                Step::Repeat(bytes) => loop {
                    self.stream.write_all(bytes).await.ok()?;
                },
                Step::ReadBody => {
                    let length = field_of(head, "content-length");
                    let length = length.map_or(0, |length| length.parse().unwrap());
                    while self.unread.len() < length {
                        self.read_more().await?;
                    }
                    self.unread.drain(..length);
                }
                Step::Close => return None,
                Step::Reset => {
                    self.stream.set_zero_linger().unwrap();
                    return None;
                }
                Step::Wait => {
                    while self.read_more().await.is_some() {}
                    return None;
                }
            }
        }
        Some(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
