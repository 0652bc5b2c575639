//! `/revoke`: an operator revokes the sessions of a subject or of a room's occupants, one session, or a
//! link, on all replicas.

use std::net::IpAddr;

use bytes::Bytes;
use cluster::revocation::Selector;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use model::room::RoomKey;
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

// === impl AdminServer ===

impl AdminServer {
    /// Answers a request to `/revoke`.
    pub(super) async fn revoke(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<Full<Bytes>> {
        if *request.method() != Method::POST {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "POST /revoke");
        }
        let request = match operator_request::parse(request, peer, USAGE).await {
            Ok(request) => request,
            Err(response) => return response,
        };
        let (kind, id, selector) = match request {
            RevokeRequest::Room(room) => return self.revoke_occupants(&room),
            RevokeRequest::Subject(id) => ("subject", id.clone(), Selector::Operator(id)),
            RevokeRequest::Session(id) => ("session", id.clone(), Selector::Operator(id)),
            RevokeRequest::Link(id) => ("link", id.clone(), Selector::Link(id)),
        };
        // All guests share the empty subject.
        if id.trim().is_empty() {
            return refusal(StatusCode::BAD_REQUEST, USAGE);
        }
        operator_revoked(kind, &id);
        self.revocations.revoke(selector);
        let body = json!({ "revoked": { kind: id } });
        text(StatusCode::OK, JSON, format!("{body}\n"))
    }

    /// Revokes the sessions of a room's occupants. Who may enter the room may come again with a new
    /// session.
    fn revoke_occupants(&self, room: &str) -> Response<Full<Bytes>> {
        let Ok(room) = RoomKey::from_text(room) else {
            return refusal(StatusCode::BAD_REQUEST, "the name is not one of a room");
        };
        let occupants = self.presence.occupants(&room);
        for session in &occupants {
            operator_revoked("session", session);
            self.revocations
                .revoke(Selector::Operator(session.to_string()));
        }
        let body = json!({ "revoked": { "room": room.to_string(), "sessions": occupants.len() } });
        text(StatusCode::OK, JSON, format!("{body}\n"))
    }
}

const USAGE: &str = r#"the body is {"subject": "…"}, {"session": "…"}, {"link": "…"} or {"room": "…"}, with a value of the audit log"#;
