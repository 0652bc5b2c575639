//! Jitsi's web server: room pages, `config.js`, files.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};

use crate::server::PatienceTimer;
use crate::upstream::{RequestBody, UploadProgress, UpstreamBody};
use crate::{
    Body, RequestContext, RequestError, Worker,
    asset_cache::AssetRequest,
    instrumentation::ResponseTimer,
    request_context::{ContextError, SiteAuthority, is_reading, require_reading},
    server::ClientBody,
    shard_upstreams::ShardUpstreams,
    web::{WebError, embedding::restrict_framing},
};
use model::{
    headers::{self, ClientAddr, X_JITSI_SHARD},
    path::CanonicalPath,
    query,
    room::Tenant,
};
use observe::metrics::UpstreamKind;
use pages::inject;

/// Jitsi's `config.js`; of the room's shard, if the address names a room.
pub(crate) async fn config_js(
    worker: &Worker,
    request: Request<ClientBody>,
    path: &CanonicalPath,
    context: RequestContext,
    tenant: Option<Tenant>,
) -> Result<Response<Body>, RequestError> {
    require_reading(request.method())?;
    let from = source_of(worker, request.uri(), tenant)?;
    let client = context.client;
    let mut request = build_web_request(&worker.state.authority, request, path, context)?;
    inject::request_full_representation(request.headers_mut());
    let answer = fetch_web(worker, request, &from, &client).await?;
    let mut answer = worker
        .injector()
        .inject_config_js(answer)
        .map(|body| Body::Completed(Box::new(body)));
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Jitsi's public files. Some are pages, of which one is that of the rooms under another name.
pub(crate) async fn public(
    worker: &Rc<Worker>,
    request: Request<ClientBody>,
    path: &CanonicalPath,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    require_reading(request.method())?;
    let mut answer = file(worker, request, path, context).await?;
    if is_page(answer.headers()) {
        let integrations = &worker.rules().integrations;
        let sites = worker.state.embedding_sites.of(None, integrations);
        restrict_framing(answer.headers_mut(), &sites);
    }
    Ok(answer)
}

/// A file, from the cache or from Jitsi's web server.
async fn file(
    worker: &Rc<Worker>,
    request: Request<ClientBody>,
    path: &CanonicalPath,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    // Jitsi's page requests this address again and again while it is in a meeting.
    let (from, session) = if let Some(tenant) = tenant_of_keep_alive(path) {
        let from = source_of(worker, request.uri(), tenant)?;
        (from, worker.state.authenticator.session(request.headers()))
    } else {
        (Source::Common(worker.upstreams.default_shard()?), None)
    };
    let asset = match &from {
        Source::Common(upstreams) => AssetRequest::of(worker, &request, path, upstreams),
        Source::Room(_) => None,
    };
    if let Some(asset) = &asset
        && let Some(answer) = asset.answer(worker, &request, &context.client).await?
    {
        return Ok(answer);
    }
    let client = context.client;
    let request = build_web_request(&worker.state.authority, request, path, context)?;
    let answer = fetch_web(worker, request, &from, &client).await?;
    let mut answer = answer.map(Body::Upstream);
    if let Some(asset) = asset {
        asset.forwarded(worker, &mut answer);
    }
    if let Some(session) = session {
        worker.renewal.renew_session(&session, &mut answer);
    }
    Ok(answer)
}

/// Whether browsers show a file as a page: by its media type, or by its bytes if it has none.
fn is_page(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let media_type = media_type.as_bytes();
    PAGE_TYPES.iter().any(|page| {
        media_type
            .get(..page.len())
            .is_some_and(|beginning| beginning.eq_ignore_ascii_case(page.as_bytes()))
    })
}

/// The request for Jitsi's web server: the canonical path, and a head without fields
/// that claim another client, scheme or path.
pub(crate) fn build_web_request(
    own: &SiteAuthority,
    request: Request<ClientBody>,
    path: &CanonicalPath,
    context: RequestContext,
) -> Result<Request<RequestBody>, WebError> {
    let (head, body) = request.into_parts();
    let uri = Uri::try_from(with_query(path.as_str(), &head.uri)).map_err(|_| WebError::Target)?;
    let body = if hyper::body::Body::is_end_stream(&body) {
        RequestBody::Empty
    } else {
        RequestBody::Streamed {
            body,
            left: MAX_WEB_BODY,
            pace: PatienceTimer::default(),
            progress: UploadProgress::begin(),
        }
    };
    let mut request = Request::new(body);
    *request.headers_mut() =
        headers::web_request_headers(&head.headers, &context.client, own.as_str());
    if let Some(trace) = context.trace {
        trace.put(request.headers_mut());
    }
    *request.method_mut() = head.method;
    *request.uri_mut() = uri;
    Ok(request)
}

/// The tenant of `[/<tenant>]/_unlock`; `None` for another path.
#[expect(
    clippy::option_option,
    reason = "a path without a tenant is one of two that match"
)]
fn tenant_of_keep_alive(path: &CanonicalPath) -> Option<Option<Tenant>> {
    match path.as_str().strip_suffix(KEEP_ALIVE)? {
        "" => Some(None),
        tenant => Tenant::parse(tenant.strip_prefix('/')?).ok().map(Some),
    }
}

/// Where to ask for what an address means: for a room's at its shard.
fn source_of(worker: &Worker, uri: &Uri, tenant: Option<Tenant>) -> Result<Source, ContextError> {
    let Some(room) = query::room_of(tenant, uri.query().unwrap_or_default()) else {
        return Ok(Source::Common(worker.upstreams.default_shard()?));
    };
    Ok(match worker.upstreams.locate(&room)? {
        Some(upstreams) => Source::Room(upstreams),
        None => Source::Common(worker.upstreams.default_shard()?),
    })
}

/// Sends a request to a web server of Jitsi.
pub(crate) async fn fetch_web(
    worker: &Worker,
    request: Request<RequestBody>,
    from: &Source,
    client: &ClientAddr,
) -> Result<Response<UpstreamBody>, RequestError> {
    let place = worker.take_web_share(client).await?;
    let retry = is_reading(request.method());
    let (Source::Room(upstreams) | Source::Common(upstreams)) = from;
    let within = worker.jitsi()?.upstream.web_timeout;
    let timer = ResponseTimer::start(&worker.metrics, UpstreamKind::Web);
    let answer = upstreams.web.send(request, within, retry).await;
    timer.record(&answer);
    let mut answer = worker.upstreams.note_outcome(upstreams, answer)?;
    answer.body_mut().keep(place);
    headers::strip_response(answer.headers_mut());
    match from {
        Source::Room(upstreams) => upstreams.set_shard_header(answer.headers_mut()),
        // Jitsi's client would compare it with the shard of its room, and reconnect.
        Source::Common(_) => {
            answer.headers_mut().remove(X_JITSI_SHARD);
        }
    }
    Ok(answer)
}

/// Which web server is asked, and why.
pub(crate) enum Source {
    /// That of a room's shard.
    Room(Rc<ShardUpstreams>),
    /// That for what belongs to no room.
    Common(Rc<ShardUpstreams>),
}

/// Path and query as they are forwarded.
fn with_query(path: &str, uri: &Uri) -> String {
    let query = uri
        .query()
        .map(query::without_tokens)
        .filter(|query| !query.is_empty());
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// Media types of pages with scripts.
const PAGE_TYPES: [&str; 2] = ["text/html", "application/xhtml+xml"];

/// Jitsi's address for pages that have nothing to say (`websocketKeepAliveUrl`).
const KEEP_ALIVE: &str = "/_unlock";

/// Shared notes, whiteboards and file sharing send pictures and documents; nothing larger goes through
/// here.
const MAX_WEB_BODY: u64 = 32 * 1024 * 1024;
