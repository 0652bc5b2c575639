//! A web server whose responses a test writes: by path, with fields, delays and failures.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::watch};

/// A request that the server received.
#[derive(Clone, Debug)]
pub(crate) struct AssetHead {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

/// A response of the server.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) status: StatusCode,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Conditions that are answered by 304; without a list, the `ETag` of the fields is one.
    pub(crate) confirmed: Option<Vec<(HeaderName, HeaderValue)>>,
    /// Closes the connection instead.
    pub(crate) aborts: bool,
}

/// The server; it runs until the test ends.
pub(crate) struct AssetServer {
    url: String,
    state: Arc<State>,
    gate: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    scripts: Mutex<BTreeMap<String, Script>>,
    received: Mutex<Vec<AssetHead>>,
}

// === impl Script ===

impl Script {
    /// A script with the given fields, one a line; `text/javascript` unless they say otherwise.
    pub(crate) fn new(fields: &[&str]) -> Self {
        let pairs = fields.iter().map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        });
        let mut fields: Vec<_> = pairs.collect();
        if !fields.iter().any(|(name, _)| name == "content-type") {
            fields.push(("content-type".to_owned(), "text/javascript".to_owned()));
        }
        Self {
            status: StatusCode::OK,
            fields,
            body: Bytes::from_static(b"let answer = 42;"),
            confirmed: None,
            aborts: false,
        }
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).unwrap();
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The condition of a request that this response answers by 304.
    pub(crate) fn confirmed_condition(&self, request: &HeaderMap) -> Option<HeaderName> {
        let etag = || {
            let etag = self.fields.iter().find(|(name, _)| name == "etag");
            etag.map(|(_, etag)| {
                let etag = HeaderValue::from_bytes(etag.as_bytes()).unwrap();
                vec![(header::IF_NONE_MATCH, etag)]
            })
        };
        let conditions = self.confirmed.clone().or_else(etag).unwrap_or_default();
        let mut conditions = conditions.into_iter();
        let met = conditions.find(|(name, value)| request.get(name) == Some(value));
        met.map(|(name, _)| name)
    }
}

// === impl AssetServer ===

impl AssetServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<State>::default();
        let (gate, open) = watch::channel(true);
        let known = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, open) = (Arc::clone(&known), open.clone());
                let service =
                    service_fn(move |request| respond(request, Arc::clone(&state), open.clone()));
                let mut server = http1::Builder::new();
                // The test's clock is not that of the system.
                server.auto_date_header(false);
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, state, gate }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sets the response for a path; without one, all get the default.
    pub(crate) fn script(&self, path: &str, script: Script) {
        let mut scripts = lock(&self.state.scripts);
        scripts.insert(path.to_owned(), script);
    }

    /// Responses wait until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.gate.send_replace(false);
    }

    pub(crate) fn release(&self) {
        self.gate.send_replace(true);
    }

    /// The requests since the last call.
    pub(crate) fn take_received(&self) -> Vec<AssetHead> {
        std::mem::take(&mut *lock(&self.state.received))
    }

    /// The same, which are kept.
    pub(crate) fn received(&self) -> Vec<AssetHead> {
        lock(&self.state.received).clone()
    }

    /// How many requests came since the last call of [`take_received`](Self::take_received).
    pub(crate) fn count(&self) -> usize {
        lock(&self.state.received).len()
    }
}

async fn respond(
    request: Request<Incoming>,
    state: Arc<State>,
    mut open: watch::Receiver<bool>,
) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let _: Result<_, _> = body.collect().await;
    // The page to which sign-ins of tests return.
    if head.uri.path() != "/robots.txt" {
        lock(&state.received).push(AssetHead {
            method: head.method.clone(),
            uri: head.uri.clone(),
            headers: head.headers.clone(),
        });
    }
    let _: Result<_, _> = open.wait_for(|open| *open).await;
    let script = lock(&state.scripts).get(head.uri.path()).cloned();
    let script = script.unwrap_or_else(|| Script::new(&["cache-control: max-age=600"]));
    if script.aborts {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let is_known = script.confirmed_condition(&head.headers).is_some();
    let mut answer = Response::new(Full::new(script.body));
    *answer.status_mut() = script.status;
    if is_known && script.status == StatusCode::OK {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.body_mut() = Full::default();
    }
    for (name, value) in script.fields {
        let name: HeaderName = name.parse().unwrap();
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        answer.headers_mut().append(name, value);
    }
    Ok(answer)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
