//! One worker's connections to one upstream, kept open between requests.
//!
//! A pool belongs to one thread, so taking a connection costs no lock. The last one given back is
//! taken first: it is the least likely to have been closed by the upstream meanwhile.

use std::{cell::RefCell, rc::Rc, time::Duration};

use http::{Request, Response, uri::Authority};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};

use super::{ConnectError, RequestBody, UpstreamBody, connect::connect};
use observe::metrics::UpstreamFailure;

/// Connections to one upstream.
#[derive(Clone, Debug)]
pub struct Pool(Rc<Inner>);

/// A connection in use; given back when its answer was read to the end.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Pool,
    sender: SendRequest<RequestBody>,
}

/// Why an upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It closed the connection, or answered with what is not HTTP.
    #[error("{0} gave no answer")]
    NoAnswer(Authority, #[source] hyper::Error),
    /// It took too long to begin an answer.
    #[error("{0} took too long to answer")]
    Timeout(Authority),
}

#[derive(Debug)]
struct Inner {
    to: Authority,
    connect_timeout: Duration,
    idle: Duration,
    kept: RefCell<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

// === impl Pool ===

impl Pool {
    /// An empty pool of connections to `to`.
    pub fn new(to: Authority, connect_timeout: Duration, idle: Duration) -> Self {
        Self(Rc::new(Inner {
            to,
            connect_timeout,
            idle,
            kept: RefCell::default(),
        }))
    }

    /// Sends a request and waits for the head of its answer, at most `within`.
    ///
    /// A kept connection may just have been closed by the upstream. Then the request is sent once
    /// more on a new one, if `retry` allows: the caller knows that it does no harm (RFC 9110
    /// § 9.2.2, or a BOSH request, whose `rid` makes it harmless).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection in use.
    pub async fn send(
        &self,
        request: Request<RequestBody>,
        within: Duration,
        retry: bool,
    ) -> Result<Response<UpstreamBody>, SendError> {
        timeout(within, self.send_unhurried(request, retry))
            .await
            .map_err(|_| SendError::Timeout(self.0.to.clone()))?
    }

    /// Sends a request on a connection of its own, which may become a tunnel.
    pub async fn send_apart(
        &self,
        request: Request<RequestBody>,
        within: Duration,
    ) -> Result<Response<Incoming>, SendError> {
        let sending = async {
            let mut sender = connect(&self.0.to, self.0.connect_timeout).await?;
            sender
                .send_request(request)
                .await
                .map_err(|error| self.no_answer(error))
        };
        timeout(within, sending)
            .await
            .map_err(|_| SendError::Timeout(self.0.to.clone()))?
    }

    async fn send_unhurried(
        &self,
        request: Request<RequestBody>,
        retry: bool,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let Some(kept) = self.take().await else {
            return self.send_on_new(request).await;
        };
        let again = if retry { replay(&request) } else { None };
        match (self.send_on(kept, request).await, again) {
            (Err(SendError::NoAnswer(_, error)), Some(again)) if was_closed(&error) => {
                self.send_on_new(again).await
            }
            (outcome, _) => outcome,
        }
    }

    async fn send_on_new(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let sender = connect(&self.0.to, self.0.connect_timeout).await?;
        self.send_on(sender, request).await
    }

    async fn send_on(
        &self,
        mut sender: SendRequest<RequestBody>,
        request: Request<RequestBody>,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| self.no_answer(error))?;
        let lease = Lease {
            pool: self.clone(),
            sender,
        };
        Ok(answer.map(|incoming| UpstreamBody::new(incoming, lease)))
    }

    /// The freshest kept connection that still works.
    async fn take(&self) -> Option<SendRequest<RequestBody>> {
        loop {
            let Kept { sender, since } = self.0.kept.borrow_mut().pop()?;
            if since.elapsed() > self.0.idle {
                // The ones below are older still.
                self.0.kept.borrow_mut().clear();
                return None;
            }
            // The connection's task may need a turn to notice that its answer was read. If it is
            // not ready then, the upstream answered before the request was whole, and the rest may
            // take its sender any time: that is not waited for.
            if !sender.is_ready() {
                yield_now().await;
            }
            if sender.is_ready() {
                return Some(sender);
            }
        }
    }

    fn no_answer(&self, error: hyper::Error) -> SendError {
        SendError::NoAnswer(self.0.to.clone(), error)
    }
}

// === impl SendError ===

impl SendError {
    /// The label of metrics.
    pub const fn kind(&self) -> UpstreamFailure {
        match self {
            Self::Connect(ConnectError::Connect(..)) => UpstreamFailure::Connect,
            Self::Connect(ConnectError::Timeout(_)) => UpstreamFailure::ConnectTimeout,
            Self::Connect(ConnectError::Handshake(..)) => UpstreamFailure::Handshake,
            Self::NoAnswer(..) => UpstreamFailure::NoAnswer,
            Self::Timeout(_) => UpstreamFailure::Timeout,
        }
    }
}

// === impl Lease ===

impl Lease {
    pub(super) fn give_back(self) {
        let mut kept = self.pool.0.kept.borrow_mut();
        if !self.sender.is_closed() && kept.len() < MAX_KEPT {
            kept.push(Kept {
                sender: self.sender,
                since: Instant::now(),
            });
        }
    }
}

/// Whether the connection was gone before the upstream began to answer.
fn was_closed(error: &hyper::Error) -> bool {
    error.is_canceled()
        || error.is_closed()
        || error.is_incomplete_message()
        || std::error::Error::source(error)
            .and_then(|source| source.downcast_ref::<std::io::Error>())
            .is_some_and(|io| {
                matches!(
                    io.kind(),
                    std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
                )
            })
}

fn replay(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut again = Request::new(request.body().replay()?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    Some(again)
}

/// More than one worker's share of the long polls of a busy evening; idle ones age out.
const MAX_KEPT: usize = 512;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty};
    use hyper::{server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        net::TcpListener,
        runtime::{Builder, LocalOptions},
        task::spawn_local,
    };

    use super::*;

    /// Answers each request when its head is there, whatever else comes.
    async fn hasty_upstream() -> Authority {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                spawn_local(async move {
                    let mut received = [0; 4096];
                    while stream
                        .read(&mut received)
                        .await
                        .is_ok_and(|count| count > 0)
                    {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        stream.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        address.to_string().parse().unwrap()
    }

    /// Passes one request on, body and all, as the gateway does.
    fn front(pool: Pool) -> DuplexStream {
        let (client, server) = duplex(4096);
        let service = service_fn(move |request: Request<Incoming>| {
            let pool = pool.clone();
            async move {
                let request = request.map(|body| RequestBody::Streamed { body, left: 1000 });
                let answer = pool.send(request, Duration::from_secs(5), false).await;
                answer.unwrap().into_body().collect().await.unwrap();
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        spawn_local(async move {
            let serving = http1::Builder::new();
            let _ = serving
                .serve_connection(TokioIo::new(server), service)
                .await;
        });
        client
    }

    #[test]
    fn nobody_waits_for_the_rest_of_anothers_request() {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let seconds = Duration::from_secs;
            let pool = Pool::new(hasty_upstream().await, seconds(5), seconds(50));
            let mut slow = front(pool.clone());
            slow.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nhalf")
                .await
                .unwrap();
            // Answered, and still sending.
            slow.read_u8().await.unwrap();
            for _ in 0..2 {
                let request = Request::new(RequestBody::Empty);
                let answer = pool.send(request, seconds(2), true).await.unwrap();
                answer.into_body().collect().await.unwrap();
            }
            assert_eq!(pool.0.kept.borrow().len(), 1, "what works is kept");
        });
    }
}
