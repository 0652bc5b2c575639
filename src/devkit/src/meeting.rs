//! A stand-in for Jitsi's web server, Prosody and Jicofo.
//!
//! It serves a page that lists the occupants of a room, and implements the parts of XMPP over
//! WebSocket and BOSH that the page needs. Logins need a token that [`model::token::prosody`]
//! accepts, and roles are those of the token. There is no media.

use std::{net::SocketAddr, sync::Arc};

use http::{Request, header};
use hyper::body::Incoming;
use model::{
    clock::Clock,
    random::Random,
    route::CONFERENCE_REQUEST,
    token::prosody::{ProsodyClaims, ProsodyRefusal, ProsodyRules},
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::form_urlencoded;

use self::{
    bosh::Sessions, received_tokens::ReceivedTokens, request_log::RequestLog, rooms::Rooms,
    web::Pages,
};
use super::{
    DevkitError,
    http::{self as server, HttpResponse},
};

mod bosh;
mod conference_request;
mod namespaces;
mod received_tokens;
mod request_log;
mod rooms;
mod stream;
#[cfg(test)]
mod tests;
mod web;
mod websocket;

pub use self::{
    received_tokens::ReceivedToken,
    request_log::{ReceivedRequest, RequestKind},
    rooms::DevOccupant,
};

/// A meeting backend that is bound, but does not serve yet.
#[derive(Debug)]
pub struct DevMeeting {
    listener: TcpListener,
    address: SocketAddr,
    meeting: Arc<DevMeetingState>,
}

/// The configuration of a meeting backend.
#[derive(Clone, Debug)]
pub struct DevMeetingSettings {
    /// The XMPP domain; rooms are at `muc.<domain>`.
    pub xmpp_domain: String,
    /// Verifies the tokens of logins and rooms.
    pub rules: ProsodyRules,
}

/// The state of a meeting backend, shared by its connections and by tests.
#[derive(Debug)]
pub struct DevMeetingState {
    settings: DevMeetingSettings,
    pages: Pages,
    rooms: Rooms,
    sessions: Sessions,
    received: RequestLog,
    tokens: ReceivedTokens,
    tasks: TaskTracker,
    stop: CancellationToken,
    clock: Clock,
    random: Random,
}

// === impl DevMeeting ===

impl DevMeeting {
    /// Listens on a loopback address; port 0 picks a free one.
    pub async fn bind(
        address: SocketAddr,
        settings: DevMeetingSettings,
        clock: Clock,
        random: Random,
    ) -> Result<Self, DevkitError> {
        let (listener, address) = server::listen(address).await?;
        let meeting = DevMeetingState {
            pages: Pages::new(&settings.xmpp_domain),
            settings,
            rooms: Rooms::default(),
            sessions: Sessions::default(),
            received: RequestLog::default(),
            tokens: ReceivedTokens::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            clock,
            random,
        };
        Ok(Self {
            listener,
            address,
            meeting: Arc::new(meeting),
        })
    }

    /// The address for `upstream.web`, `upstream.xmpp` and `upstream.jicofo`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The state, to inspect while the backend runs.
    pub fn meeting(&self) -> Arc<DevMeetingState> {
        Arc::clone(&self.meeting)
    }

    /// Serves until `stop`, then closes all streams.
    pub async fn run(self, stop: CancellationToken) {
        let meeting = Arc::clone(&self.meeting);
        server::serve(self.listener, stop, move |request| {
            let meeting = Arc::clone(&meeting);
            async move { handle(&meeting, request).await }
        })
        .await;
        self.meeting.stop.cancel();
        self.meeting.tasks.close();
        self.meeting.tasks.wait().await;
    }
}

// === impl DevMeetingState ===

impl DevMeetingState {
    /// The latest requests, oldest first.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.received.all()
    }

    /// The tokens of the latest logins, latest first.
    pub fn received_tokens(&self) -> Vec<ReceivedToken> {
        self.tokens.latest()
    }

    /// Whether a login with a received token would be accepted now; `None` for an unknown number.
    pub fn judge(&self, number: u64) -> Option<Result<(), ProsodyRefusal>> {
        let token = self.tokens.find(number)?;
        Some(self.verify(Some(token.text())).map(drop))
    }

    /// The display name in the latest token of a user id.
    pub fn display_name(&self, user: &str) -> Option<String> {
        self.tokens.display_name(user)
    }

    /// Everyone in a room, by room and in the order of their arrival.
    pub fn occupants(&self) -> Vec<DevOccupant> {
        self.rooms.occupants()
    }

    /// Waits until none of these connections (full JIDs) is in a room.
    pub async fn departure_of(&self, connections: &[String]) {
        self.rooms.departure_of(connections).await;
    }

    /// Remembers the token of a request that opens a stream, if a login with it is accepted.
    fn remember(&self, token: Option<&str>) {
        if let (Some(token), Ok(claims)) = (token, self.verify(token)) {
            self.tokens.add(token, claims);
        }
    }

    fn verify(&self, token: Option<&str>) -> Result<ProsodyClaims, ProsodyRefusal> {
        self.settings.rules.verify(token, self.clock.now())
    }

    fn domain(&self) -> &str {
        &self.settings.xmpp_domain
    }

    fn rules(&self) -> &ProsodyRules {
        &self.settings.rules
    }

    fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    fn random(&self) -> &Random {
        &self.random
    }

    fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}

async fn handle(meeting: &Arc<DevMeetingState>, request: Request<Incoming>) -> HttpResponse {
    match request.uri().path() {
        "/xmpp-websocket" => {
            let upgrades = request.headers().contains_key(header::UPGRADE);
            let kind = if upgrades {
                RequestKind::WebSocket
            } else {
                RequestKind::Web
            };
            meeting.received.add(kind, &request);
            let token = token(&request);
            meeting.remember(token.as_deref());
            websocket::upgrade(meeting, token, request)
        }
        "/http-bind" => {
            let token = token(&request);
            let method = request.method().clone();
            let mut received = ReceivedRequest::of(RequestKind::Web, &request);
            let body = bosh::read(request).await;
            let bytes = body.as_deref().unwrap_or_default();
            if method == http::Method::POST {
                received.kind = if bosh::opens_session(bytes) {
                    meeting.remember(token.as_deref());
                    RequestKind::BoshSession
                } else {
                    RequestKind::BoshRequest
                };
            }
            meeting.received.push(received);
            bosh::handle(meeting, token, &method, body).await
        }
        CONFERENCE_REQUEST => {
            let method = request.method().clone();
            let mut received = ReceivedRequest::of(RequestKind::ConferenceRequest, &request);
            let body = bosh::read(request).await;
            received.body.clone_from(&body);
            meeting.received.push(received);
            conference_request::answer(meeting.domain(), &method, body)
        }
        _ => {
            meeting.received.add(RequestKind::Web, &request);
            meeting.pages.handle(&request)
        }
    }
}

/// The token, by the rules of Jitsi's `mod_jitsi_session`: the last `token` of the query, even if
/// it is empty; without one, `Authorization` without its first seven characters, in any scheme.
fn token(request: &Request<Incoming>) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    let in_query = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "token")
        .last()
        .map(|(_, value)| value.into_owned());
    in_query.or_else(|| {
        let value = request.headers().get(header::AUTHORIZATION)?;
        let text = value.to_str().ok()?;
        Some(text.get("Bearer ".len()..).unwrap_or_default().to_owned())
    })
}

/// The largest message or request body; presences and chat have some kilobytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
