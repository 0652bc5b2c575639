//! `/revoke`: an operator puts somebody out, or makes a link worthless, on every replica.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use super::{
    Admin,
    order::{self, refused},
    text,
};
use crate::audit::operator_revoked;
use cluster::revocation::Selector;

/// Whom or what; the texts are those of the audit lines.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Wanted {
    /// All sessions of a person.
    Subject(String),
    /// One session.
    Session(String),
    /// A link, and the sessions of all who came by it.
    Link(String),
}

// === impl Admin ===

impl Admin {
    /// Answers a request to `/revoke`.
    pub(super) async fn revoke(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<Full<Bytes>> {
        if *request.method() != Method::POST {
            return refused(StatusCode::METHOD_NOT_ALLOWED, "POST /revoke");
        }
        let wanted = match order::read(request, peer, HOW).await {
            Ok(wanted) => wanted,
            Err(answer) => return answer,
        };
        let (what, id, selector) = match wanted {
            Wanted::Subject(id) => ("subject", id.clone(), Selector::Operator(id)),
            Wanted::Session(id) => ("session", id.clone(), Selector::Operator(id)),
            Wanted::Link(id) => ("link", id.clone(), Selector::Link(id)),
        };
        // What has no subject is many people.
        if id.trim().is_empty() {
            return refused(StatusCode::BAD_REQUEST, HOW);
        }
        operator_revoked(what, &id);
        self.revocations.revoke(selector);
        let body = json!({ "revoked": { what: id } });
        text(StatusCode::OK, "application/json", format!("{body}\n"))
    }
}

const HOW: &str =
    r#"write {"subject": "…"}, {"session": "…"} or {"link": "…"}, as the audit lines have them"#;
