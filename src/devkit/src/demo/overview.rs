//! A page for the presenter of a demonstration: who is in which room, how fast a revocation reaches
//! Prosody, and what Prosody makes of a token.
//!
//! The list is that of the gateway's admin listener, and a sign-out is its `/revoke`. The time of a cut
//! ends when the stand-in for Prosody has no connection of the session any more.

mod admin;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use model::{clock::Clock, token::prosody::SaslCondition};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

use self::admin::AdminApi;
use crate::{
    DevkitError,
    http::{self as server, HttpResponse},
    meeting::{DevMeetingState, ReceivedToken},
};

/// The page's server, bound but not serving yet.
#[derive(Debug)]
pub(super) struct Overview {
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<OverviewState>,
}

#[derive(Debug)]
struct OverviewState {
    authority: String,
    admin: AdminApi,
    meeting: Arc<DevMeetingState>,
    clock: Clock,
}

// === impl Overview ===

impl Overview {
    pub(super) async fn bind(
        address: SocketAddr,
        admin: SocketAddr,
        meeting: Arc<DevMeetingState>,
        clock: Clock,
    ) -> Result<Self, DevkitError> {
        let (listener, address) = server::listen(address).await?;
        let state = Arc::new(OverviewState {
            authority: address.to_string(),
            admin: AdminApi::new(admin),
            meeting,
            clock,
        });
        Ok(Self {
            listener,
            address,
            state,
        })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn run(self, stop: CancellationToken) {
        server::serve(self.listener, stop, move |request| {
            let state = Arc::clone(&self.state);
            async move { state.handle(request).await }
        })
        .await;
    }
}

// === impl OverviewState ===

impl OverviewState {
    async fn handle(&self, request: Request<Incoming>) -> HttpResponse {
        if !self.is_own_page(&request) {
            return server::text(StatusCode::FORBIDDEN, "only this page may ask");
        }
        let (head, body) = request.into_parts();
        match (head.method, head.uri.path()) {
            (Method::GET, "/") => page(),
            (Method::GET, "/state") => match self.admin.rooms().await {
                Some(rooms) => json_response(&json!({ "rooms": rooms, "tokens": self.tokens() })),
                None => server::text(
                    StatusCode::BAD_GATEWAY,
                    "the admin listener does not answer",
                ),
            },
            (Method::POST, path @ ("/sign-out" | "/log-in")) => {
                let body = server::read(body, MAX_BODY_BYTES).await.unwrap_or_default();
                let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
                let answer = if path == "/log-in" {
                    self.log_in(&asked)
                } else {
                    self.sign_out(&asked).await
                };
                answer.map_or_else(
                    || server::text(StatusCode::NOT_FOUND, "no longer there"),
                    |answer| json_response(&answer),
                )
            }
            _ => server::text(StatusCode::NOT_FOUND, "nothing here"),
        }
    }

    /// Guards against DNS rebinding, and against forms and scripts of other pages.
    fn is_own_page(&self, request: &Request<Incoming>) -> bool {
        let field = |name| request.headers().get(name).map(HeaderValue::as_bytes);
        let own_origin = format!("http://{}", self.authority);
        let is_sent_by_us = match *request.method() {
            Method::GET => true,
            _ => field(header::ORIGIN) == Some(own_origin.as_bytes()),
        };
        is_sent_by_us && field(header::HOST) == Some(self.authority.as_bytes())
    }

    /// The latest tokens that arrived at Prosody, without their signatures.
    fn tokens(&self) -> Vec<Value> {
        let all = self.meeting.received_tokens();
        all.iter()
            .take(SHOWN_TOKENS)
            .map(|one| self.judged(one))
            .collect()
    }

    fn judged(&self, token: &ReceivedToken) -> Value {
        let verdict = self.meeting.judge(token.number);
        let refusal = verdict
            .and_then(Result::err)
            .map(|refusal| refusal.to_string());
        let expires = token
            .claims
            .get("exp")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        json!({
            "number": token.number,
            "name": token.claims.user_name(),
            "room": token.claims.room(),
            "claims": token.claims.as_map(),
            "seconds": expires.saturating_sub(self.clock.now().as_unix()),
            "refusal": refusal,
        })
    }

    /// What Prosody answers to a login with an earlier token of the same person.
    fn log_in(&self, asked: &Value) -> Option<Value> {
        let verdict = self.meeting.judge(asked["number"].as_u64()?)?;
        Some(match verdict {
            Ok(()) => json!({ "accepted": true }),
            Err(refusal) => json!({
                "accepted": false,
                "condition": refusal.condition().map(SaslCondition::as_str),
                "text": refusal.to_string(),
            }),
        })
    }

    /// Revokes a session, and measures until Prosody has no connection of it.
    async fn sign_out(&self, asked: &Value) -> Option<Value> {
        let session = asked["session"].as_str()?;
        let rooms = self.admin.rooms().await?;
        let streams = rooms.as_array()?.iter().flat_map(|room| {
            let streams = room["streams"].as_array().into_iter().flatten();
            streams.map(move |stream| (&room["room"], stream))
        });
        let own: Vec<_> = streams
            .filter(|(_, stream)| stream["session"] == session)
            .collect();
        let (_, person) = own.first()?;
        let (subject, name) = (person["subject"].as_str()?, person["name"].as_str());
        let is_in = |room: &str| own.iter().any(|(own, _)| own.as_str() == Some(room));
        let occupants = self.meeting.occupants().into_iter();
        let connections: Vec<_> = occupants
            .filter(|one| one.user == subject && is_in(&one.room))
            .map(|one| one.jid)
            .collect();
        let began = Instant::now();
        let is_revoked = self.admin.revoke(session).await;
        let gone = timeout(LONGEST_CUT, self.meeting.departure_of(&connections)).await;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some(json!({
            "name": name,
            "connections": connections.len(),
            "milliseconds": (is_revoked && gone.is_ok()).then_some(took),
        }))
    }
}

fn page() -> HttpResponse {
    let html =
        HTML.replacen("/* style.css */", pages::STYLE, 1)
            .replacen("/* overview.js */", SCRIPT, 1);
    let mut page = server::response(StatusCode::OK, "text/html; charset=utf-8", html);
    page.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    page
}

fn json_response(value: &Value) -> HttpResponse {
    server::response(StatusCode::OK, "application/json", value.to_string())
}

const HTML: &str = include_str!("overview/page.html");
const SCRIPT: &str = include_str!("overview/page.js");

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The requests have one id or number.
const MAX_BODY_BYTES: usize = 1024;

/// The people of a demonstration, and an earlier token of each.
const SHOWN_TOKENS: usize = 8;

/// A revocation takes less than a second.
const LONGEST_CUT: Duration = Duration::from_secs(5);
