//! What Prosody is told before it opens a room: whether, for how long, for how many, with a lobby.
//!
//! Jitsi's `mod_reservations` asks for every room that does not exist yet. Tokens decide who enters;
//! this listener lets Prosody itself hold to what the rules say of the room. It keeps nothing: all
//! that it would have to remember is in the id that it gives out.

mod protocol;

use std::{convert::Infallible, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::protocol::{Conference, Unreadable};
use crate::server::Listener;
use model::{clock::Clock, room::RoomKey};

/// Where to answer Prosody.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// What Prosody has to send as bearer token, if anything.
    pub secret: Option<SecretString>,
}

/// What the rules say of a room, whoever is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomTerms {
    /// Whether it may be opened now.
    pub allowed: bool,
    /// How long it may be open, from now.
    pub duration: Option<Duration>,
    /// How many may be in it.
    pub max_people: Option<u32>,
    /// Whether people wait in a lobby until a moderator lets them in.
    pub lobby: bool,
}

/// Answers Prosody.
pub struct Reservations {
    terms: Box<dyn Fn(&RoomKey) -> RoomTerms + Send + Sync>,
    secret: Option<SecretString>,
    clock: Clock,
}

// === impl Reservations ===

impl Reservations {
    /// `terms` is asked for each room, so that it can follow rules that change.
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

    /// Answers until told to stop.
    pub async fn serve(
        self: Arc<Self>,
        listener: Listener,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let socket = listener.into_tokio()?;
        while let Some(accepted) = stop.run_until_cancelled(socket.accept()).await {
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept connections on the reservation listener");
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
            };
            let reservations = Arc::clone(&self);
            let stopped = stop.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let reservations = Arc::clone(&reservations);
                    async move { Ok::<_, Infallible>(reservations.answer(request).await) }
                });
                let serving = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(READ_TIMEOUT)
                    .max_buf_size(MAX_HEAD)
                    .serve_connection(TokioIo::new(stream), service);
                if let Some(Err(error)) = stopped.run_until_cancelled(serving).await {
                    debug!(%error, "a reservation connection broke off");
                }
            });
        }
        Ok(())
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.is_prosody(request.headers()) {
            let mut answer = refusal(StatusCode::UNAUTHORIZED, "the secret is missing or wrong");
            let challenge = HeaderValue::from_static("Bearer");
            answer
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
            return answer;
        }
        let (head, body) = request.into_parts();
        let id = match head.uri.path() {
            "/conference" => None,
            path => match path.strip_prefix("/conference/") {
                Some(id) => Some(id),
                None => return refusal(StatusCode::NOT_FOUND, "there is nothing here"),
            },
        };
        let conference = match (&head.method, id) {
            (&Method::POST, None) => {
                let body = Limited::new(body, MAX_BODY).collect();
                match tokio::time::timeout(READ_TIMEOUT, body).await {
                    Ok(Ok(body)) => Conference::from_form(&body.to_bytes(), self.clock.now()),
                    Ok(Err(_)) | Err(_) => Err(Unreadable::Form),
                }
            }
            (&Method::GET | &Method::DELETE, Some(id)) => Conference::from_id(id),
            _ => return refusal(StatusCode::METHOD_NOT_ALLOWED, "ask otherwise"),
        };
        match conference {
            // There is nothing to delete.
            Ok(_) if head.method == Method::DELETE => empty(StatusCode::NO_CONTENT),
            Ok(conference) => self.on_terms(&conference),
            Err(Unreadable::Id) => refusal(StatusCode::NOT_FOUND, "no such conference"),
            Err(error) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }

    fn on_terms(&self, conference: &Conference) -> Response<Full<Bytes>> {
        let terms = (self.terms)(conference.room());
        let (allowed, name) = (terms.allowed, conference.room());
        debug!(room = %name, allowed, "Prosody asked for a room");
        match conference.answer(&terms) {
            Some(answer) => json_answer(StatusCode::OK, &answer),
            None => refusal(StatusCode::FORBIDDEN, "this room cannot be opened now"),
        }
    }

    fn is_prosody(&self, headers: &HeaderMap) -> bool {
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

impl fmt::Debug for Reservations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reservations")
    }
}

/// Prosody shows the message to whoever wanted the room.
fn refusal(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    json_answer(status, &json!({ "message": message }))
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut answer = empty(status);
    *answer.body_mut() = Full::from(body.to_string());
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
    answer
}

const BACK_OFF: Duration = Duration::from_millis(100);
/// Prosody is near, and gives up after 20 s.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 16 * 1024;
/// A room of 512 bytes, an owner and a time, percent-encoded once more.
const MAX_BODY: usize = 8 * 1024;

#[cfg(test)]
mod tests;
