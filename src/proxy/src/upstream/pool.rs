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

use std::{cell::RefCell, io, pin::pin, rc::Rc, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, header, uri::Authority};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use observe::metrics::UpstreamFailure;
use tokio::{
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};

use super::{
    FailureCounter, Place, RequestBody, UpstreamBody, UpstreamConnectError, connect::connect,
    places::Places,
};

/// Keep-alive connections to one upstream; a clone shares them.
#[derive(Clone, Debug)]
pub struct UpstreamPool(Rc<PoolState>);

/// A connection in use; returned to its pool when its response was read to the end.
#[derive(Debug)]
pub(super) struct ConnectionLease {
    pool: UpstreamPool,
    _place: Place,
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
    /// As many connections as may be are in use, and none became free in time.
    #[error("too many connections to {0} are in use")]
    Busy(Authority),
    /// Its response has two lengths, of which another recipient may believe the other one: such a message
    /// "ought to be handled as an error" (RFC 9112 § 6.3).
    #[error("the response from {0} has both Content-Length and Transfer-Encoding")]
    AmbiguousLength(Authority),
    /// It switches to a protocol that was not requested (RFC 9110 § 15.2.2).
    #[error("the response from {0} is an upgrade that was not requested")]
    UnrequestedUpgrade(Authority),
    /// No head of a response in time.
    #[error("timeout waiting for a response from {0}")]
    Timeout(Authority),
}

#[derive(Debug)]
struct PoolState {
    to: Authority,
    connect_timeout: Duration,
    idle_timeout: Duration,
    places: Places,
    failures: FailureCounter,
    /// A stack; the last is the most recently used.
    idle: RefCell<Vec<IdleConnection>>,
}

/// A response, and the connection that it came on.
type Answer = (Response<Incoming>, SendRequest<RequestBody>);

#[derive(Debug)]
struct IdleConnection {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

// === impl UpstreamPool ===

impl UpstreamPool {
    /// Creates an empty pool of connections to `to`; `most` are in use at once.
    pub fn new(
        to: Authority,
        connect_timeout: Duration,
        idle_timeout: Duration,
        most: usize,
        failures: FailureCounter,
    ) -> Self {
        Self(Rc::new(PoolState {
            to,
            connect_timeout,
            idle_timeout,
            places: Places::new(most),
            failures,
            idle: RefCell::default(),
        }))
    }

    /// The upstream's name and port, as a `Host`.
    pub fn host(&self) -> HeaderValue {
        // Infallible: the characters of an authority are those of a header value.
        HeaderValue::from_str(self.0.to.as_str()).expect("an authority is a header value")
    }

    /// Sends a request and waits for the head of its response, at most `within` behind the last bytes of
    /// a body that is forwarded.
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
        let progress = request.body().progress();
        let mut sending = pin!(self.send_pooled(request, retry));
        let mut deadline = Instant::now() + within;
        loop {
            if let Ok(outcome) = timeout_at(deadline, sending.as_mut()).await {
                return outcome;
            }
            let postponed = progress.as_ref().map(|progress| progress.last() + within);
            deadline = postponed
                .filter(|postponed| *postponed > deadline)
                .ok_or_else(|| UpstreamError::Timeout(self.0.to.clone()))?;
        }
    }

    /// Sends a request on a new connection that never enters the pool, for an upgrade. The caller keeps
    /// its place as long as the connection.
    pub async fn send_dedicated(
        &self,
        request: Request<RequestBody>,
        within: Duration,
    ) -> Result<(Response<Incoming>, Place), UpstreamError> {
        let sending = async {
            let place = self.take_place().await?;
            let mut sender = connect(&self.0.to, self.0.connect_timeout).await?;
            let answer = sender.send_request(request).await;
            let answer = answer.map_err(|error| self.no_answer(error))?;
            Ok((answer, place))
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
        let place = self.take_place().await?;
        let Some(reused) = self.take_idle().await else {
            // Boxed: a new connection is rare, and takes more room than an old one.
            return Box::pin(self.send_on_new(request, place)).await;
        };
        let again = if retry { replay(&request) } else { None };
        let outcome = self.send_on(reused, request).await;
        let outcome = match (outcome, again) {
            (Err(UpstreamError::NoAnswer(_, error)), Some(again)) if was_closed(&error) => {
                return Box::pin(self.send_on_new(again, place)).await;
            }
            (outcome, _) => outcome,
        };
        outcome.map(|answer| self.lease(answer, place))
    }

    async fn send_on_new(
        &self,
        request: Request<RequestBody>,
        place: Place,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let sender = connect(&self.0.to, self.0.connect_timeout).await?;
        let answer = self.send_on(sender, request).await?;
        Ok(self.lease(answer, place))
    }

    async fn send_on(
        &self,
        mut sender: SendRequest<RequestBody>,
        request: Request<RequestBody>,
    ) -> Result<Answer, UpstreamError> {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.no_answer(error))?;
        // hyper reads the chunks, but leaves both fields, and the length would frame our own response.
        let has = |name| response.headers().contains_key(name);
        if has(header::CONTENT_LENGTH) && has(header::TRANSFER_ENCODING) {
            return Err(UpstreamError::AmbiguousLength(self.0.to.clone()));
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpstreamError::UnrequestedUpgrade(self.0.to.clone()));
        }
        Ok((response, sender))
    }

    fn lease(&self, (response, sender): Answer, place: Place) -> Response<UpstreamBody> {
        let lease = ConnectionLease {
            pool: self.clone(),
            _place: place,
            sender,
        };
        response.map(|incoming| UpstreamBody::new(incoming, lease))
    }

    async fn take_place(&self) -> Result<Place, UpstreamError> {
        let place = self.0.places.take().await;
        place.ok_or_else(|| UpstreamError::Busy(self.0.to.clone()))
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
        let most = MAX_IDLE_CONNECTIONS.min(self.0.places.most());
        if !sender.is_closed() && idle.len() < most {
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
            Self::AmbiguousLength(_) | Self::UnrequestedUpgrade(_) => {
                UpstreamFailure::InvalidResponse
            }
            Self::Busy(_) => UpstreamFailure::Busy,
            Self::Timeout(_) => UpstreamFailure::Timeout,
        }
    }
}

// === impl ConnectionLease ===

impl ConnectionLease {
    /// Counts a failure of the connection's upstream.
    pub(super) fn count(&self, failure: UpstreamFailure) {
        self.pool.0.failures.count(failure);
    }

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
                    io::ErrorKind::ConnectionReset
                        | io::ErrorKind::BrokenPipe
                        // The peer is gone, and acknowledged nothing.
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::HostUnreachable
                        | io::ErrorKind::NetworkUnreachable
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
mod changing_names;
#[cfg(test)]
mod tests;
