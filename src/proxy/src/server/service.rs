//! The boundary between the server and the request path.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use model::headers::PeerAddr;
use observe::metrics::WorkerMetrics;

use super::{ClientBody, DrainSchedule};

/// The connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The peer of the socket, or the source address of the PROXY header.
    pub peer: PeerAddr,
    /// Whether the gateway terminated TLS.
    pub tls: bool,
    /// Whether a PROXY header named no source address. Forwarding headers on such a connection are
    /// not those of the load balancer, so they are ignored.
    pub anonymous: bool,
}

/// Builds one [`Service`] per worker.
///
/// Services are `!Send`; the factory crosses to the worker's thread instead.
pub trait ServiceFactory: Clone + Send + 'static {
    /// The service of one worker.
    type Service: Service;

    /// Builds the service of one worker and its background task; runs on the worker's thread.
    ///
    /// The worker polls the task beside its commands, and ends when the task completes.
    fn build(self, metrics: Arc<WorkerMetrics>) -> (Rc<Self::Service>, impl Future<Output = ()>);
}

/// Answers the requests of one worker; lives on one thread.
pub trait Service: 'static {
    /// The body of a response.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static;

    /// Answers a request; errors have become responses.
    fn handle(
        self: Rc<Self>,
        request: Request<ClientBody>,
        connection: Connection,
    ) -> impl Future<Output = Response<Self::Body>> + 'static;

    /// Applies reloaded settings to open connections.
    fn on_reload(&self);

    /// Ends streams that would never end by themselves, and makes responses ask clients of HTTP/1.1
    /// to use another connection.
    fn start_draining(&self);

    /// Closes the WebSockets; completes after the last.
    fn end_sockets(self: Rc<Self>, schedule: DrainSchedule) -> impl Future<Output = ()> + 'static;
}

/// An error of a response body, as hyper takes it.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
