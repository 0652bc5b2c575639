//! The audience of a response, and what an error page needs of the request.

use std::cell::OnceCell;

use http::{HeaderMap, HeaderValue, header};

use crate::request_context::RequestId;
use model::{
    headers,
    room::RoomKey,
    route::{API_PREFIX, Route, Routed, Transport},
    session::ReturnTo,
};
use pages::PageRequest;

/// What an error response needs of its request, which a handler consumes.
#[derive(Debug)]
pub(crate) struct Responder {
    /// The kind of client.
    pub(crate) audience: Audience,
    /// The request's name.
    pub(crate) id: RequestId,
    pub(crate) accept_language: Option<HeaderValue>,
    /// The page of Jitsi that the request is about, as its address spells it.
    page: OnceCell<ReturnTo>,
    room: Option<RoomKey>,
}

/// The kind of client that reads a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// A person in a browser: a page.
    Person,
    /// A script or app: a status and a JSON object.
    Machine,
    /// A client of the API: problem details (RFC 9457).
    Api,
    /// A BOSH client: a terminating body.
    Bosh,
    /// A WebSocket client: a status, of which browsers disclose only the failure. Also of conference
    /// requests: Jitsi's client asks people to sign in at 403.
    Socket,
}

// === impl Responder ===

impl Responder {
    /// For a request whose route is known.
    pub(crate) fn of(
        routed: &Routed,
        id: RequestId,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Self {
        let audience = match &routed.route {
            Route::Signalling {
                transport: Transport::Bosh,
                ..
            } => Audience::Bosh,
            Route::Signalling { .. } | Route::ConferenceRequest { .. } => Audience::Socket,
            Route::Location { .. } if headers.contains_key(header::UPGRADE) => Audience::Socket,
            _ => Audience::of_page(routed.path.as_str(), headers),
        };
        // Only pages need more than the audience.
        let person = audience == Audience::Person;
        let page = OnceCell::new();
        if person && !matches!(routed.route, Route::Endpoint(_)) {
            page.get_or_init(|| ReturnTo::of_request(&routed.path, query));
        }
        Self {
            audience,
            id,
            accept_language: accept_language(headers).filter(|_| person),
            page,
            room: match &routed.route {
                Route::Room(room) if person => Some(room.key.clone()),
                _ => None,
            },
        }
    }

    /// For a request whose path has no canonical form.
    pub(crate) fn of_bad_path(id: RequestId, raw_path: &str, headers: &HeaderMap) -> Self {
        Self {
            audience: Audience::of_page(raw_path, headers),
            id,
            accept_language: accept_language(headers),
            page: OnceCell::new(),
            room: None,
        }
    }

    /// Names the page of Jitsi that a request to an endpoint is about. The links of an error page lead
    /// back to it.
    pub(crate) fn lead_to(&self, page: &ReturnTo) {
        self.page.get_or_init(|| page.clone());
    }

    /// The page of Jitsi that the request is about; the start page if there is none.
    pub(crate) fn return_to(&self) -> ReturnTo {
        self.page.get().cloned().unwrap_or_default()
    }

    /// The page of a room: the address of the request if that is the room's, which has the spelling that
    /// people typed; or else the one of its key.
    pub(crate) fn page_of(&self, room: &RoomKey) -> ReturnTo {
        let page = self
            .page
            .get()
            .filter(|page| page.room().as_ref() == Some(room));
        page.cloned()
            .unwrap_or_else(|| ReturnTo::of_link(room, None))
    }

    /// The room whose page a person requested.
    pub(crate) fn room(&self) -> Option<&RoomKey> {
        self.room.as_ref()
    }

    /// The properties of the request that pages need; `id` is the text of its name.
    pub(crate) fn page_request<'a>(&'a self, id: &'a str) -> PageRequest<'a> {
        PageRequest {
            accept_language: self.accept_language.as_ref(),
            request_id: id,
        }
    }
}

// === impl Audience ===

impl Audience {
    /// The audience of a path that a browser may navigate to.
    fn of_page(path: &str, headers: &HeaderMap) -> Self {
        if path.starts_with(API_PREFIX) {
            Self::Api
        } else if headers::is_navigation(headers) {
            Self::Person
        } else {
            Self::Machine
        }
    }
}

fn accept_language(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ACCEPT_LANGUAGE).cloned()
}
