//! The gateway's own addresses, and the public keys among them.

use std::rc::Rc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::{
    Body, Facts, Failure, Worker,
    failure::{Asking, plain},
};
use model::route::Own;
use pages::Content;

// === impl Worker ===

impl Worker {
    /// Answers a request to one of our own addresses.
    pub(super) async fn own(
        self: &Rc<Self>,
        own: Own,
        request: Request<Incoming>,
        asking: &Asking,
        facts: Facts,
    ) -> Result<Response<Body>, Failure> {
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match own {
            Own::Api(path) => self.api(&path, request, facts).await,
            Own::BackchannelLogout if *request.method() == Method::POST => {
                self.backchannel_logout(request, facts).await
            }
            Own::BackchannelLogout => Err(Failure::Method { allow: "POST" }),
            Own::Join => self.join(request, asking, facts).await,
            Own::Meetings => self.make_meeting(request, asking).await,
            Own::Unknown | Own::Jwks | Own::Asap(_) => Err(Failure::NotFound),
            _ if !reading => Err(Failure::Method { allow: "GET, HEAD" }),
            Own::Login => self.login(&request, asking, facts),
            Own::Callback => self.callback(&request, asking, facts).await,
            Own::Events => self.events(&request),
            Own::Go => self.go(&request, asking),
            Own::Meeting => self.meeting(&request, asking, &facts),
            Own::Calendar => self.meeting_file(&request, &facts),
            Own::Logout => self.logout(&request, asking, facts),
            Own::SignedOut => Ok(self.show(&Content::SignedOut, asking)),
        }
    }

    /// The public halves of the signing keys. They are no secret, and Prosody asks for them by an
    /// internal name and without TLS, so neither is checked.
    pub(super) fn published_keys(&self, own: &Own, asking: &Asking) -> Response<Body> {
        let rules = self.rules();
        let (content_type, text) = match own {
            Own::Jwks => ("application/json", Some(rules.published.jwks.as_str())),
            Own::Asap(file) => ("application/x-pem-file", rules.published.asap(file)),
            _ => ("text/plain", None),
        };
        let Some(text) = text else {
            return Failure::NotFound.answer(asking, &self.gateway.pages, None);
        };
        let mut answer = plain(StatusCode::OK, content_type, text.to_owned());
        answer
            .headers_mut()
            .insert(header::CACHE_CONTROL, KEYS_CACHED);
        answer
    }

    pub(super) fn show(&self, content: &Content<'_>, asking: &Asking) -> Response<Body> {
        let id = asking.id.to_string();
        self.gateway
            .pages
            .render(content, &asking.asked(&id))
            .into_response()
            .map(Body::from)
    }
}

/// Prosody keeps keys as long as it is told (less a minute), and asks again for ids it does not
/// know; five minutes let a new key be known everywhere before it is used.
const KEYS_CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");
