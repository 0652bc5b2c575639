//! Jitsi's web server: room pages, `config.js`, files.

use std::rc::Rc;

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;

use super::{Body, Facts, Failure, Worker, failure::login_path, ways::Ways};
use crate::upstream::{RequestBody, UpstreamBody};
use model::{
    headers::{self, X_JITSI_SHARD},
    path::CanonicalPath,
    query,
    room::Tenant,
    session::ReturnTo,
};
use observe::metrics::UpstreamKind;
use pages::inject;

// === impl Worker ===

impl Worker {
    /// Jitsi's configuration, which is nobody's in particular; but perhaps a room's.
    pub(super) async fn config_js(
        &self,
        request: Request<Incoming>,
        facts: Facts,
        tenant: Option<Tenant>,
    ) -> Result<Response<Body>, Failure> {
        only_reading(request.method())?;
        let from = self.source_of(request.uri(), tenant)?;
        let mut request = self.for_web(request, facts)?;
        inject::ask_for_whole(request.headers_mut());
        let answer = self.ask_web(request, &from).await?;
        let mut answer = self
            .gateway
            .completion
            .config(answer)
            .map(|body| Body::Completed(Box::new(body)));
        answer
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }

    /// Files that anybody may have.
    pub(super) async fn public(
        &self,
        request: Request<Incoming>,
        facts: Facts,
    ) -> Result<Response<Body>, Failure> {
        only_reading(request.method())?;
        // The one that pages ask again and again, to learn whether their room was moved.
        let from = if request.uri().path() == KEEP_ALIVE {
            self.source_of(request.uri(), None)?
        } else {
            Source::Common(self.common_way()?)
        };
        let request = self.for_web(request, facts)?;
        Ok(self.ask_web(request, &from).await?.map(Body::Upstream))
    }

    /// What only people who signed in may have.
    pub(super) async fn private(
        &self,
        request: Request<Incoming>,
        facts: Facts,
    ) -> Result<Response<Body>, Failure> {
        let Some(session) = self.session(request.headers()) else {
            return self.to_sign_in(&request);
        };
        let own = headers::sender(request.headers(), &self.gateway.origin);
        if !is_reading(request.method()) && own != headers::Sender::Own {
            return Err(Failure::ForeignSender);
        }
        let request = self.for_web(request, facts)?;
        let from = Source::Common(self.common_way()?);
        let mut answer = self.ask_web(request, &from).await?.map(Body::Upstream);
        answer
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.renew(&session, &mut answer);
        Ok(answer)
    }

    /// Sends a navigation to sign in, and back to the same address.
    pub(super) fn to_sign_in(
        &self,
        request: &Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        if !is_reading(request.method()) {
            return Err(Failure::SignInFirst);
        }
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        self.to_sign_in_for(request, &ReturnTo::parse(target))
    }

    /// Sends a navigation to sign in, and on to a page; nothing else is ever redirected there. The
    /// answer has no fragment, so the browser keeps the one of the address.
    pub(super) fn to_sign_in_for(
        &self,
        request: &Request<Incoming>,
        page: &ReturnTo,
    ) -> Result<Response<Body>, Failure> {
        if !headers::is_navigation(request.headers()) {
            return Err(Failure::SignInFirst);
        }
        self.relying_party()?;
        redirect(StatusCode::SEE_OTHER, &login_path(page, false))
    }

    /// The request for Jitsi's web server: the canonical path, and a head that does not lie.
    pub(super) fn for_web(
        &self,
        request: Request<Incoming>,
        facts: Facts,
    ) -> Result<Request<RequestBody>, Failure> {
        let (head, body) = request.into_parts();
        let path = CanonicalPath::parse(head.uri.path())?;
        let uri = Uri::try_from(with_query(path.as_str(), &head.uri))
            .map_err(|_| Failure::Internal("a canonical path is not a target"))?;
        let body = if hyper::body::Body::is_end_stream(&body) {
            RequestBody::Empty
        } else {
            RequestBody::Streamed {
                body,
                left: MAX_WEB_BODY,
            }
        };
        let mut request = Request::new(body);
        *request.headers_mut() = headers::for_web(
            &head.headers,
            &facts.client,
            self.gateway.authority.as_str(),
        );
        if let Some(trace) = facts.trace {
            trace.put(request.headers_mut());
        }
        *request.method_mut() = head.method;
        *request.uri_mut() = uri;
        Ok(request)
    }

    /// Where to ask for what an address means: for a room's at its shard.
    fn source_of(&self, uri: &Uri, tenant: Option<Tenant>) -> Result<Source, Failure> {
        let Some(room) = query::room_of(tenant, uri.query().unwrap_or_default()) else {
            return Ok(Source::Common(self.common_way()?));
        };
        Ok(match self.way_towards(&room)? {
            Some(ways) => Source::Room(ways),
            None => Source::Common(self.common_way()?),
        })
    }

    pub(super) async fn ask_web(
        &self,
        request: Request<RequestBody>,
        from: &Source,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let retry = is_reading(request.method());
        let (Source::Room(ways) | Source::Common(ways)) = from;
        let within = self.jitsi()?.upstream.web_timeout;
        let asking = ways.web.send(request, within, retry);
        let answer = self.timed(UpstreamKind::Web, asking).await;
        let mut answer = self.heard(ways, answer)?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::UpstreamAnswer("an upgrade that nobody asked for"));
        }
        headers::strip_answer(answer.headers_mut());
        match from {
            Source::Room(ways) => ways.mark(answer.headers_mut()),
            // Whoever compares it with that of their room would take it for moved.
            Source::Common(_) => {
                answer.headers_mut().remove(X_JITSI_SHARD);
            }
        }
        Ok(answer)
    }
}

/// Which web server is asked, and why.
pub(super) enum Source {
    /// That of a room's shard.
    Room(Rc<Ways>),
    /// That for what belongs to no room.
    Common(Rc<Ways>),
}

/// A redirect; to a path of this site, or to an address that the provider configured.
pub(super) fn redirect(status: StatusCode, path: &str) -> Result<Response<Body>, Failure> {
    let location = HeaderValue::try_from(path)
        .map_err(|_| Failure::Internal("a path is not a header value"))?;
    let mut answer = Response::new(Body::EMPTY);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

fn with_query(path: &str, uri: &Uri) -> String {
    let query = uri
        .query()
        .map(query::without_tokens)
        .filter(|query| !query.is_empty());
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

pub(super) fn only_reading(method: &Method) -> Result<(), Failure> {
    if is_reading(method) {
        Ok(())
    } else {
        Err(Failure::Method { allow: "GET, HEAD" })
    }
}

fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Jitsi's address for pages that have nothing to say (`websocketKeepAliveUrl`).
const KEEP_ALIVE: &str = "/_unlock";

/// Shared notes and whiteboards send pictures; nothing larger goes through here.
const MAX_WEB_BODY: u64 = 32 * 1024 * 1024;
