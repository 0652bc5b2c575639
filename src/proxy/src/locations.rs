//! What stands beside the meetings: shared notes, whiteboards, statistics, and the locations of the
//! configuration.
//!
//! Requests pass the same phases as others: the route has found the location by its canonical path,
//! [`access`] finds out who asks, and the head for the server is that for Jitsi's web server. The
//! gateway's cookies and tokens go to no location.

mod access;
mod pools;
mod websocket;

use std::{rc::Rc, sync::Arc};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use model::{
    headers::{self, X_JITSI_SHARD},
    path::CanonicalPath,
    room::Tenant,
    route::{LocationAccess, SiteLocation},
};
use observe::metrics::WorkerMetrics;
use tokio::time::sleep;
use tracing::debug;

use self::access::LocationUser;
pub(crate) use self::pools::LocationPools;
use crate::{
    Body, RequestContext, RequestError, Worker,
    authorize::AccessError,
    body::RevocableBody,
    connections::{CloseReason, ConnectionKind},
    request_context::{SiteAuthority, is_reading},
    respond::redirect_to_sign_in,
    server::ClientBody,
    upstream::RequestBody,
    web::assets::build_web_request,
};

/// Why a request does not reach the server of a location, or gets no answer of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocationError {
    /// Not a method of the location.
    #[error("this method is not for this address")]
    Method(Arc<SiteLocation>),
    /// The location has no WebSockets.
    #[error("no WebSocket is at this address")]
    NoWebSocket,
    /// The client has many open.
    #[error("too many WebSockets are open")]
    TooManySockets,
    /// The server refused a handshake.
    #[error("the server refused the WebSocket with status {0}")]
    Refused(StatusCode),
}

/// Answers a request to a location.
pub(crate) async fn answer(
    worker: &Rc<Worker>,
    request: Request<ClientBody>,
    path: &CanonicalPath,
    context: RequestContext,
    location: Arc<SiteLocation>,
    tenant: Option<Tenant>,
) -> Result<Response<Body>, RequestError> {
    if !location.allows(request.method()) {
        return Err(LocationError::Method(location).into());
    }
    let is_socket = headers::list_contains(request.headers(), &header::UPGRADE, "websocket");
    if is_socket && !location.websocket {
        return Err(LocationError::NoWebSocket.into());
    }
    let user = match access::identify(worker, &request, &context, &location, tenant, is_socket) {
        Ok(user) => user,
        Err(error) => {
            debug!(
                %error, location = location.path.as_str(), who = location.access.as_str(), request = %context.id,
                "a location is not for this client; `who` of its [[location]] says for whom it is"
            );
            let would_sign_in = matches!(
                error,
                RequestError::Access(AccessError::SignInFirst | AccessError::RoomFirst)
            );
            let is_page = is_reading(request.method()) && headers::is_navigation(request.headers());
            if would_sign_in && is_page {
                return redirect_to_sign_in(worker, &request);
            }
            return Err(error);
        }
    };
    if is_socket {
        return websocket::answer(worker, request, path, context, &location, user).await;
    }
    exchange(worker, request, path, context, &location, user).await
}

/// Forwards a request and its response. Both end with the credentials of the client.
async fn exchange(
    worker: &Worker,
    request: Request<ClientBody>,
    path: &CanonicalPath,
    context: RequestContext,
    location: &SiteLocation,
    user: LocationUser,
) -> Result<Response<Body>, RequestError> {
    let mut registration = user.register(&worker.connections, ConnectionKind::LocationRequest)?;
    let client = context.client;
    let request = request_for(&worker.state.authority, request, path, context, location)?;
    let retry = is_reading(request.method());
    let sending = async {
        let place = worker.take_web_share(&client).await?;
        let mut answer = pools::send(worker, &location.upstream, request, retry).await?;
        answer.body_mut().keep(place);
        Ok::<_, RequestError>(answer)
    };
    let mut answer = tokio::select! {
        answer = sending => answer?,
        reason = registration.closed() => return Err(ended(&worker.metrics, location, reason)),
        () = sleep(user.lifetime) => return Err(ended(&worker.metrics, location, CloseReason::Expired)),
    };
    if is_event_stream(answer.headers()) {
        answer.body_mut().permit_silence();
    }
    let principal = user.principal();
    let mut answer = match principal {
        Some(_) => answer.map(|body| {
            let metrics = Arc::clone(&worker.metrics);
            Body::Revocable(Box::new(RevocableBody::new(
                body,
                registration,
                user.lifetime,
                metrics,
            )))
        }),
        None => answer.map(Body::Upstream),
    };
    let fields = answer.headers_mut();
    headers::strip_response(fields);
    // Jitsi's client would compare it with the shard of its room, and reconnect.
    fields.remove(X_JITSI_SHARD);
    if location.access != LocationAccess::Anybody {
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(principal) = principal {
        worker.renewal.renew(principal, &mut answer);
    }
    Ok(answer)
}

/// Counts a request whose credentials ended while it was held, and gives its answer.
fn ended(metrics: &WorkerMetrics, location: &SiteLocation, reason: CloseReason) -> RequestError {
    metrics.count_location_cut(reason.reason());
    match location.access {
        LocationAccess::Member => AccessError::SignInFirst.into(),
        LocationAccess::InRoom | LocationAccess::Anybody => AccessError::RoomFirst.into(),
    }
}

/// The request for the server of a location.
fn request_for(
    authority: &SiteAuthority,
    request: Request<ClientBody>,
    path: &CanonicalPath,
    context: RequestContext,
    location: &SiteLocation,
) -> Result<Request<RequestBody>, RequestError> {
    let authorization = location
        .keep_authorization
        .then(|| authorization(request.headers()))
        .flatten();
    let mut request = build_web_request(authority, request, path, context)?;
    if let Some(value) = authorization {
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

/// Whether a response consists of server-sent events, between which any time may pass (HTML, § 9.2).
fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/event-stream")
}

/// The one `Authorization` of a request, unless `Connection` names it.
fn authorization(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let is_hop_by_hop = headers::list_contains(headers, &header::CONNECTION, "authorization");
    (!is_hop_by_hop).then(|| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_streams_are_known_by_their_content_type() {
        let is_stream = |kind: &'static str| {
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
            is_event_stream(&HeaderMap::from_iter([kind]))
        };
        assert!(is_stream("text/event-stream"));
        assert!(is_stream("Text/Event-Stream ; charset=utf-8"));
        assert!(!is_stream("text/event-stream2"));
        assert!(!is_event_stream(&HeaderMap::new()));
    }

    #[test]
    fn one_authorization_is_kept() {
        let headers = |pairs: &[(header::HeaderName, &'static str)]| -> HeaderMap {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            pairs.collect()
        };
        let bearer = (header::AUTHORIZATION, "Bearer x");
        assert_eq!(
            authorization(&headers(std::slice::from_ref(&bearer))).unwrap(),
            "Bearer x"
        );
        for pairs in [
            &[][..],
            &[bearer.clone(), (header::AUTHORIZATION, "Bearer y")],
            &[bearer, (header::CONNECTION, "close, Authorization")],
        ] {
            assert_eq!(authorization(&headers(pairs)), None, "{pairs:?}");
        }
    }
}
