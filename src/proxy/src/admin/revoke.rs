//! `/revoke`: an operator revokes the sessions of a subject, one session, or a link, on all replicas.

use std::net::IpAddr;

use bytes::Bytes;
use cluster::revocation::{Preservation, Selector};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
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
            RevokeRequest::Subject(id) => ("subject", id.clone(), Selector::Operator(id)),
            RevokeRequest::Session(id) => ("session", id.clone(), Selector::Operator(id)),
            RevokeRequest::Link(id) => ("link", id.clone(), Selector::Link(id)),
        };
        // All guests share the empty subject.
        if id.trim().is_empty() {
            return refusal(StatusCode::BAD_REQUEST, USAGE);
        }
        operator_revoked(kind, &id);
        let preservation = self.revocations.revoke(selector).outcome().await;
        let (status, kept, reason) = describe(&preservation);
        let mut body = json!({ "revoked": { kind: id }, "kept": kept });
        if let (Some(reason), Some(body)) = (reason, body.as_object_mut()) {
            body.insert("reason".to_owned(), reason.into());
        }
        text(status, JSON, format!("{body}\n"))
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

const USAGE: &str = r#"the body is {"subject": "…"}, {"session": "…"} or {"link": "…"}, with a value of the audit log"#;
