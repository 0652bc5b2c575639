//! The reservation listener: answers of the policy to Prosody before it creates a room.
//!
//! Jitsi's `mod_reservations` asks for each room that does not exist yet, and gets: whether it may be
//! created, for how long, for how many occupants, and whether with a lobby. Tokens decide who enters;
//! this makes Prosody itself enforce the limits of the room.
//!
//! The listener is stateless: the id of a reservation encodes all that a later answer needs, so any
//! replica can give it.

mod protocol;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use model::{clock::Clock, room::RoomKey};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tracing::debug;

use self::protocol::{Reservation, ReservationError};
use crate::server::{BoundListener, ListenerStop, serve_control_http};

/// Address and secret of the reservation listener.
#[derive(Clone, Debug)]
pub struct ReservationSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The bearer token that Prosody sends (`reservations_api_headers`); `None` admits any client.
    pub secret: Option<SecretString>,
}

/// The limits of a room, independent of its creator; the default refuses the room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomTerms {
    /// Whether the room may be created now.
    pub allowed: bool,
    /// Time from now after which Prosody destroys the room; `None` is unlimited.
    pub duration: Option<Duration>,
    /// Maximum number of occupants.
    pub max_people: Option<u32>,
    /// Whether occupants wait in a lobby until a moderator admits them.
    pub lobby: bool,
}

/// Answers the requests of `mod_reservations`.
pub struct ReservationServer {
    terms: Box<dyn Fn(&RoomKey) -> RoomTerms + Send + Sync>,
    secret: Option<SecretString>,
    clock: Clock,
}

// === impl ReservationServer ===

impl ReservationServer {
    /// Creates a server; `terms` is called for each request, so that it follows a reloaded policy.
    pub fn new(
        secret: Option<SecretString>,
        clock: Clock,
        terms: impl Fn(&RoomKey) -> RoomTerms + Send + Sync + 'static,
    ) -> Self {
        Self {
            terms: Box::new(terms),
            secret,
            clock,
        }
    }

    /// Serves the listener until it is stopped.
    pub async fn serve(
        self: Arc<Self>,
        listener: BoundListener,
        stop: ListenerStop,
    ) -> io::Result<()> {
        let handle = move |request, _| {
            let server = Arc::clone(&self);
            async move { server.handle(request).await }
        };
        serve_control_http("reservation", listener, handle, stop).await
    }

    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.is_authorized(request.headers()) {
            let mut response = refusal(StatusCode::UNAUTHORIZED, "the secret is missing or wrong");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        let (head, body) = request.into_parts();
        let id = match head.uri.path() {
            "/conference" => None,
            path => match path.strip_prefix("/conference/") {
                Some(id) => Some(id),
                None => return refusal(StatusCode::NOT_FOUND, "unknown path"),
            },
        };
        let reservation = match (&head.method, id) {
            (&Method::POST, None) => {
                let body = Limited::new(body, MAX_BODY_BYTES).collect();
                match tokio::time::timeout(BODY_TIMEOUT, body).await {
                    Ok(Ok(body)) => Reservation::from_form(&body.to_bytes(), self.clock.now()),
                    Ok(Err(_)) | Err(_) => Err(ReservationError::Form),
                }
            }
            (&Method::GET | &Method::DELETE, Some(id)) => Reservation::from_id(id),
            _ => return refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
        };
        match reservation {
            // Stateless: there is nothing to delete.
            Ok(_) if head.method == Method::DELETE => empty(StatusCode::NO_CONTENT),
            Ok(reservation) => self.decide(&reservation),
            Err(ReservationError::Id) => refusal(StatusCode::NOT_FOUND, "no such conference"),
            Err(error) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }

    fn decide(&self, reservation: &Reservation) -> Response<Full<Bytes>> {
        let room = reservation.room();
        let terms = (self.terms)(room);
        debug!(%room, allowed = terms.allowed, "reservation request");
        match reservation.answer(&terms) {
            Some(answer) => json_response(StatusCode::OK, &answer),
            None => refusal(StatusCode::FORBIDDEN, "this room cannot be opened now"),
        }
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let Some(secret) = &self.secret else {
            return true;
        };
        headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .is_some_and(|sent| {
                verify_slices_are_equal(sent, secret.expose_secret().as_bytes()).is_ok()
            })
    }
}

impl fmt::Debug for ReservationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReservationServer")
    }
}

/// Makes an error response; Jitsi shows the message to the occupant who wanted the room.
fn refusal(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    json_response(status, &json!({ "message": message }))
}

fn json_response(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = empty(status);
    *response.body_mut() = Full::from(body.to_string());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Prosody is on the same network, and gives up after 20 s.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A room of 512 bytes, an owner and a time, percent-encoded again.
const MAX_BODY_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests;
