//! Pushed authorization requests (RFC 9126), with the checks of Keycloak's `ParEndpoint` and
//! `AuthzEndpointParParser` (26.x): the client authenticates, a reference is of its client, and is used once.

use http::{HeaderMap, StatusCode};
use serde_json::json;
use url::form_urlencoded;

use super::{
    DevProviderState, JSON, PushSupport,
    grants::PUSHED_LIFETIME,
    token_endpoint::{Form, refuse},
};
use crate::http::{self as server, HttpResponse};

// === impl DevProviderState ===

impl DevProviderState {
    /// Keeps an authorization request, and gives a reference to it (§ 2.2).
    pub(super) fn push(&self, headers: &HeaderMap, form: &str) -> HttpResponse {
        let fields: Form<'_> = form_urlencoded::parse(form.as_bytes()).collect();
        let Some(client) = self.authenticate(headers, &fields) else {
            return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
        };
        let is_own = fields.get("client_id").is_some_and(|id| *id == client.id);
        if !is_own || fields.contains_key("request_uri") {
            return refuse(StatusCode::BAD_REQUEST, "invalid_request");
        }
        let reference = format!("{REFERENCE}{}", self.random.text::<16>());
        let request = form.to_owned();
        let now = self.clock.now();
        self.grants().pushed.put(reference.clone(), request, now);
        let answer = json!({
            "request_uri": reference,
            "expires_in": PUSHED_LIFETIME.as_secs(),
        });
        server::response(StatusCode::CREATED, JSON, answer.to_string())
    }

    /// The parameters of an authorization request; those of a reference, if it has one (§ 4).
    pub(super) fn pushed(&self, parameters: &str) -> Result<String, &'static str> {
        if self.pushed_requests == PushSupport::None {
            return Ok(parameters.to_owned());
        }
        let fields: Form<'_> = form_urlencoded::parse(parameters.as_bytes()).collect();
        let Some(reference) = fields.get("request_uri") else {
            return match self.pushed_requests {
                PushSupport::Required => Err("authorization requests have to be pushed"),
                _ => Ok(parameters.to_owned()),
            };
        };
        let pushed = self.grants().pushed.take(reference, self.clock.now());
        let mut request = pushed.ok_or("unknown or used request_uri")?;
        let of_client = form_urlencoded::parse(request.as_bytes())
            .any(|(name, value)| name == "client_id" && fields.get("client_id") == Some(&value));
        if !of_client {
            return Err("request_uri of another client");
        }
        // Tests choose the account by a hint in the address.
        if let Some(account) = fields.get("login_hint") {
            let hint = form_urlencoded::Serializer::new(String::new())
                .append_pair("login_hint", account)
                .finish();
            request = format!("{request}&{hint}");
        }
        Ok(request)
    }
}

/// The form that RFC 9126 § 2.2 suggests.
const REFERENCE: &str = "urn:ietf:params:oauth:request_uri:";
