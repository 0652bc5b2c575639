//! One worker's keep-alive connections to one upstream.
//!
//! **What is pooled.** Idle HTTP/1.1 connections: those whose last response was read to its end.
//! [`UpstreamBody`] returns a connection at that moment; a body that is dropped early closes it. A
//! pool belongs to one thread, so taking a connection takes no lock. Upgrades bypass the pool
//! ([`UpstreamPool::send_dedicated`]).
//!
//! **When a connection is reused.** The pool is a stack: the connection returned last is taken
//! first, as it is the least likely to have been closed by the upstream meanwhile. If even that one
//! is older than the idle timeout, all below it are, and the stack is cleared. Below a top that
//! stays in use, idle connections are not reaped; their number is bounded by
//! [`MAX_IDLE_CONNECTIONS`], and the upstream closes its ends.
//!
//! **When one retry is safe.** The upstream may close an idle connection at the moment at which a
//! request is sent on it (RFC 9112 § 9.3.1). That request is sent once more, on a new connection, if
//! all of these hold:
//!
//! * The connection was a reused one. A new connection that fails is a fault of the upstream.
//! * It ended before a response: the upstream may have processed the request, but sent no head.
//! * The caller says that processing it twice does no harm: a method that is idempotent (RFC 9110
//!   § 9.2.2), or a BOSH request, whose `rid` lets Prosody detect the duplicate (XEP-0124 § 14).
//! * The body can be sent again: it is empty or whole in memory, not streamed from the client.

use std::{cell::RefCell, io, rc::Rc, time::Duration};

use http::{HeaderValue, Request, Response, uri::Authority};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use observe::metrics::UpstreamFailure;
use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};

use super::{RequestBody, UpstreamBody, UpstreamConnectError, connect::connect};

/// Keep-alive connections to one upstream; a clone shares them.
#[derive(Clone, Debug)]
pub struct UpstreamPool(Rc<PoolState>);

/// A connection in use; returned to its pool when its response was read to the end.
#[derive(Debug)]
pub(super) struct ConnectionLease {
    pool: UpstreamPool,
    sender: SendRequest<RequestBody>,
}

/// An upstream sent no response.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] UpstreamConnectError),
    /// It closed the connection without a response, or its response is not HTTP.
    #[error("no response from {0}")]
    NoAnswer(Authority, #[source] hyper::Error),
    /// No head of a response in time.
    #[error("timeout waiting for a response from {0}")]
    Timeout(Authority),
}

#[derive(Debug)]
struct PoolState {
    to: Authority,
    connect_timeout: Duration,
    idle_timeout: Duration,
    /// A stack; the last is the most recently used.
    idle: RefCell<Vec<IdleConnection>>,
}

#[derive(Debug)]
struct IdleConnection {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

// === impl UpstreamPool ===

impl UpstreamPool {
    /// Creates an empty pool of connections to `to`.
    pub fn new(to: Authority, connect_timeout: Duration, idle_timeout: Duration) -> Self {
        Self(Rc::new(PoolState {
            to,
            connect_timeout,
            idle_timeout,
            idle: RefCell::default(),
        }))
    }

    /// The upstream's name and port, as a `Host`.
    pub fn host(&self) -> HeaderValue {
        // Infallible: the characters of an authority are those of a header value.
        HeaderValue::from_str(self.0.to.as_str()).expect("an authority is a header value")
    }

    /// Sends a request and waits for the head of its response, at most `within`.
    ///
    /// `retry` permits the one retry of the module's description, if the request can be processed
    /// twice without harm.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection in use.
    pub async fn send(
        &self,
        request: Request<RequestBody>,
        within: Duration,
        retry: bool,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        timeout(within, self.send_pooled(request, retry))
            .await
            .map_err(|_| UpstreamError::Timeout(self.0.to.clone()))?
    }

    /// Sends a request on a new connection that never enters the pool, for an upgrade.
    pub async fn send_dedicated(
        &self,
        request: Request<RequestBody>,
        within: Duration,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let sending = async {
            let mut sender = connect(&self.0.to, self.0.connect_timeout).await?;
            sender
                .send_request(request)
                .await
                .map_err(|error| self.no_answer(error))
        };
        timeout(within, sending)
            .await
            .map_err(|_| UpstreamError::Timeout(self.0.to.clone()))?
    }

    async fn send_pooled(
        &self,
        request: Request<RequestBody>,
        retry: bool,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let Some(reused) = self.take_idle().await else {
            return self.send_on_new(request).await;
        };
        let again = if retry { replay(&request) } else { None };
        match (self.send_on(reused, request).await, again) {
            (Err(UpstreamError::NoAnswer(_, error)), Some(again)) if was_closed(&error) => {
                self.send_on_new(again).await
            }
            (outcome, _) => outcome,
        }
    }

    async fn send_on_new(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let sender = connect(&self.0.to, self.0.connect_timeout).await?;
        self.send_on(sender, request).await
    }

    async fn send_on(
        &self,
        mut sender: SendRequest<RequestBody>,
        request: Request<RequestBody>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.no_answer(error))?;
        let lease = ConnectionLease {
            pool: self.clone(),
            sender,
        };
        Ok(response.map(|incoming| UpstreamBody::new(incoming, lease)))
    }

    /// Takes the most recently used connection that is still open.
    async fn take_idle(&self) -> Option<SendRequest<RequestBody>> {
        loop {
            let IdleConnection { sender, since } = self.0.idle.borrow_mut().pop()?;
            if since.elapsed() > self.0.idle_timeout {
                self.0.idle.borrow_mut().clear();
                return None;
            }
            // The task of the connection may need one turn to notice that the response was read.
            // If it is not ready then, the upstream answered before it had the whole request, and
            // its client may take any time to send the rest: that connection is dropped.
            if !sender.is_ready() {
                yield_now().await;
            }
            if sender.is_ready() {
                return Some(sender);
            }
        }
    }

    fn add_idle(&self, sender: SendRequest<RequestBody>) {
        let mut idle = self.0.idle.borrow_mut();
        if !sender.is_closed() && idle.len() < MAX_IDLE_CONNECTIONS {
            idle.push(IdleConnection {
                sender,
                since: Instant::now(),
            });
        }
    }

    fn no_answer(&self, error: hyper::Error) -> UpstreamError {
        UpstreamError::NoAnswer(self.0.to.clone(), error)
    }
}

// === impl UpstreamError ===

impl UpstreamError {
    /// The metric label.
    pub const fn kind(&self) -> UpstreamFailure {
        match self {
            Self::Connect(UpstreamConnectError::Connect(..)) => UpstreamFailure::Connect,
            Self::Connect(UpstreamConnectError::Timeout(_)) => UpstreamFailure::ConnectTimeout,
            Self::Connect(UpstreamConnectError::Handshake(..)) => UpstreamFailure::Handshake,
            Self::NoAnswer(..) => UpstreamFailure::NoAnswer,
            Self::Timeout(_) => UpstreamFailure::Timeout,
        }
    }
}

// === impl ConnectionLease ===

impl ConnectionLease {
    /// Returns the connection to its pool; dropping the lease closes it.
    pub(super) fn release(self) {
        self.pool.add_idle(self.sender);
    }
}

/// Whether the connection ended before the upstream sent a response head.
fn was_closed(error: &hyper::Error) -> bool {
    error.is_canceled()
        || error.is_closed()
        || error.is_incomplete_message()
        || std::error::Error::source(error)
            .and_then(|source| source.downcast_ref::<io::Error>())
            .is_some_and(|io| {
                matches!(
                    io.kind(),
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
                )
            })
}

/// Copies a request; `None` if its body is streamed.
fn replay(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut again = Request::new(request.body().replay()?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    Some(again)
}

/// Above one worker's share of concurrent long polls.
const MAX_IDLE_CONNECTIONS: usize = 512;

#[cfg(test)]
mod tests;
