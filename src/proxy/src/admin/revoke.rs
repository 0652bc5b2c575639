//! `/revoke`: an operator revokes the sessions of a subject or of a room's occupants, one session, or a
//! link, on all replicas.

use bytes::Bytes;
use cluster::revocation::{Preservation, Selector};
use futures_util::future::join_all;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use model::{headers::PeerAddr, room::RoomKey};
use serde::Deserialize;
use serde_json::json;

use super::{
    AdminServer, JSON,
    operator_request::{self, refusal},
    text,
};
use crate::audit::operator_revoked;

/// The body of a request; the values are those of the audit log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum RevokeRequest {
    /// All sessions of a subject.
    Subject(String),
    /// One session by its id.
    Session(String),
    /// An invitation link by its id, and the sessions that began with it.
    Link(String),
    /// The sessions of all people in a room.
    Room(String),
}

/// One revocation, in the words of its audit line.
#[derive(Debug)]
enum Named {
    Subject(String),
    Session(String),
    Link(String),
}

// === impl AdminServer ===

impl AdminServer {
    /// Answers a request to `/revoke`.
    pub(super) async fn revoke(
        &self,
        request: Request<Incoming>,
        peer: PeerAddr,
    ) -> Response<Full<Bytes>> {
        if *request.method() != Method::POST {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "POST /revoke");
        }
        let request = match operator_request::parse(request, peer, USAGE).await {
            Ok(request) => request,
            Err(response) => return response,
        };
        let (revoked, named) = match request {
            RevokeRequest::Subject(id) => (json!({ "subject": id }), vec![Named::Subject(id)]),
            RevokeRequest::Session(id) => (json!({ "session": id }), vec![Named::Session(id)]),
            RevokeRequest::Link(id) => (json!({ "link": id }), vec![Named::Link(id)]),
            RevokeRequest::Room(room) => {
                let Ok(room) = RoomKey::from_text(&room) else {
                    return refusal(StatusCode::BAD_REQUEST, USAGE);
                };
                // Who may enter the room may come again with a new session.
                let occupants = self.presence.occupants(&room);
                let revoked = json!({ "room": room.to_string(), "sessions": occupants.len() });
                let sessions = occupants.iter().map(|id| Named::Session(id.to_string()));
                (revoked, sessions.collect())
            }
        };
        // All guests share the empty subject.
        if named.iter().any(|named| named.id().trim().is_empty()) {
            return refusal(StatusCode::BAD_REQUEST, USAGE);
        }
        let pending: Vec<_> = named
            .into_iter()
            .map(|named| {
                operator_revoked(named.kind(), named.id());
                self.revocations.revoke(named.into()).outcome()
            })
            .collect();
        let outcomes = join_all(pending).await;
        let least = outcomes.into_iter().max_by_key(rank);
        let least = least.unwrap_or(Preservation::Kept);
        let (status, kept, reason) = describe(&least);
        let mut body = json!({ "revoked": revoked, "kept": kept });
        if let (Some(reason), Some(body)) = (reason, body.as_object_mut()) {
            body.insert("reason".to_owned(), reason.into());
        }
        text(status, JSON, format!("{body}\n"))
    }
}

// === impl Named ===

impl Named {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Subject(_) => "subject",
            Self::Session(_) => "session",
            Self::Link(_) => "link",
        }
    }

    fn id(&self) -> &str {
        match self {
            Self::Subject(id) | Self::Session(id) | Self::Link(id) => id,
        }
    }
}

impl From<Named> for Selector {
    fn from(named: Named) -> Self {
        match named {
            Named::Subject(id) | Named::Session(id) => Self::Operator(id),
            Named::Link(id) => Self::Link(id),
        }
    }
}

/// The order of how much is missing.
const fn rank(preservation: &Preservation) -> u8 {
    match preservation {
        Preservation::Kept => 0,
        Preservation::ProcessOnly => 1,
        Preservation::Unshared(_) => 2,
        Preservation::Volatile(_) => 3,
    }
}

/// The status of the answer, how the revocation is kept in one word, and what is missing. It is in
/// effect on this replica in any case.
fn describe(preservation: &Preservation) -> (StatusCode, &'static str, Option<String>) {
    match preservation {
        Preservation::Kept => (StatusCode::OK, "yes", None),
        Preservation::ProcessOnly => {
            let reason =
                "a restart forgets it: the configuration has neither store.directory nor a server";
            (StatusCode::OK, "until_restart", Some(reason.to_owned()))
        }
        Preservation::Unshared(error) => {
            let reason = format!("other replicas get it when the store takes it: {error}");
            (StatusCode::ACCEPTED, "on_this_host", Some(reason))
        }
        Preservation::Volatile(error) => {
            let reason = format!(
                "it is in effect on this replica only, and its restart may undo it: {error}"
            );
            (StatusCode::SERVICE_UNAVAILABLE, "no", Some(reason))
        }
    }
}

const USAGE: &str = r#"the body is {"subject": "…"}, {"session": "…"}, {"link": "…"} or {"room": "…"}, with a value of the audit log"#;
