//! Whom an answer is for.

use http::{HeaderMap, HeaderValue, Uri, header};

use crate::gateway::facts::RequestId;
use model::{headers, room::RoomKey, route::API_PREFIX, session::ReturnTo};
use pages::PageRequest;

/// Whom an answer is for, taken from the request before it is used up.
#[derive(Debug)]
pub(crate) struct Asking {
    /// Who reads the answer.
    pub(crate) reader: Reader,
    /// The request's name.
    pub(crate) id: RequestId,
    pub(super) accept_language: Option<HeaderValue>,
    pub(super) return_to: ReturnTo,
}

/// Who reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A person, in a browser.
    Person,
    /// A script or app, which wants a status and a word.
    Machine,
    /// A client of the API, which wants problems as RFC 9457 has them.
    Api,
    /// A BOSH client, which wants a terminating body.
    Bosh,
    /// A WebSocket client, to whom browsers show no more than that it failed.
    Socket,
}

// === impl Asking ===

impl Asking {
    pub(crate) fn of(reader: Reader, id: RequestId, uri: &Uri, headers: &HeaderMap) -> Self {
        // Only people are shown pages, so only for them is more remembered.
        let (accept_language, return_to) = match reader {
            Reader::Person => (
                headers.get(header::ACCEPT_LANGUAGE).cloned(),
                ReturnTo::parse(uri.path_and_query().map_or("/", |target| target.as_str())),
            ),
            Reader::Machine | Reader::Api | Reader::Bosh | Reader::Socket => {
                (None, ReturnTo::default())
            }
        };
        Self {
            reader,
            id,
            accept_language,
            return_to,
        }
    }

    /// For a route whose answers people read if a browser navigates there.
    pub(crate) fn of_page(id: RequestId, uri: &Uri, headers: &HeaderMap) -> Self {
        let reader = if uri.path().starts_with(API_PREFIX) {
            Reader::Api
        } else if headers::is_navigation(headers) {
            Reader::Person
        } else {
            Reader::Machine
        };
        Self::of(reader, id, uri, headers)
    }

    /// The room whose page a person asks for.
    pub(crate) fn room(&self) -> Option<RoomKey> {
        self.return_to.room()
    }

    /// The request as pages want it, with its name spelled out in `id`.
    pub(crate) fn asked<'a>(&'a self, id: &'a str) -> PageRequest<'a> {
        PageRequest {
            accept_language: self.accept_language.as_ref(),
            request_id: id,
        }
    }
}
