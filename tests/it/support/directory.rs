//! Directories of groups: Microsoft Graph, and the Directory API of a Google Workspace with its token endpoint.
//!
//! Both are closed programs. The rules are those of their references ("List a user's memberships (direct and
//! transitive)", "Paging Microsoft Graph data"; "groups.list", "members.hasMember", "Using OAuth 2.0 for Server to Server
//! Applications"), as programs use them that are run against the originals: oauth2-proxy 7.13
//! (`providers/ms_entra_id.go`, `providers/google.go`) and Dex 2.45 (`connector/google/google.go`).

mod account_key;
mod google;
mod graph;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use http::{Request, Response, StatusCode, Uri, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use model::{clock::Clock, jws::KeySet};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::account_key::AccountKey;
use super::answer::{Body, HTML, huge, json_answer, json_text, plain, redirect};

/// A running directory on loopback.
pub(crate) struct Directory {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    _task: AbortOnDropHandle<()>,
}

/// What the directory knows; tests change it while it runs.
pub(crate) struct State {
    pub(crate) fault: DirectoryFault,
    /// The people of the directory, by id.
    pub(crate) people: BTreeSet<String>,
    /// The members of each group: people or groups, by id or address.
    pub(crate) groups: BTreeMap<String, BTreeSet<String>>,
    /// The most that a page has, whatever is asked.
    pub(crate) page: usize,
    /// The people of access tokens, and whether the token has `User.Read`.
    pub(crate) access_tokens: BTreeMap<String, (String, bool)>,
    /// The service accounts.
    pub(crate) accounts: Vec<Account>,
    /// The paths and queries of the requests.
    pub(crate) requests: Vec<String>,
    /// The access tokens of service accounts that are valid.
    pub(crate) issued: BTreeSet<String>,
    tokens: usize,
    clock: Clock,
}

/// A service account that the Workspace knows.
pub(crate) struct Account {
    pub(crate) email: String,
    pub(crate) keys: KeySet,
    /// The administrators in whose name it may read; without one, it has a role itself.
    pub(crate) administrators: Vec<String>,
}

/// One deviation of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirectoryFault {
    None,
    Status(u16),
    Html,
    Truncated,
    Hang,
    Huge,
    Redirect,
    BreaksOff,
    /// Further pages are at this port.
    NextPageAt(u16),
}

// === impl Directory ===

impl Directory {
    pub(crate) async fn start(clock: &Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            fault: DirectoryFault::None,
            people: BTreeSet::new(),
            groups: BTreeMap::new(),
            page: usize::MAX,
            access_tokens: BTreeMap::new(),
            accounts: Vec::new(),
            requests: Vec::new(),
            issued: BTreeSet::new(),
            tokens: 0,
            clock: clock.clone(),
        }));
        let task = tokio::spawn(accept(listener, address, Arc::clone(&state)));
        Self {
            address,
            state,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds a group with its members.
    pub(crate) fn add(&self, group: &str, members: &[&str]) {
        let members = members.iter().map(|&member| member.to_owned());
        self.state()
            .groups
            .insert(group.to_owned(), members.collect());
    }

    /// The number of requests whose path contains `part`.
    pub(crate) fn request_count(&self, part: &str) -> usize {
        let state = self.state();
        let paths = state.requests.iter().filter(|path| path.contains(part));
        paths.count()
    }
}

// === impl State ===

impl State {
    /// The groups that a person or a group was added to.
    fn direct_groups(&self, member: &str) -> Vec<String> {
        let has = self
            .groups
            .iter()
            .filter(|(_, members)| members.contains(member));
        has.map(|(group, _)| group.clone()).collect()
    }

    /// The groups that a person is in, also by other groups, each once.
    fn transitive_groups(&self, member: &str) -> Vec<String> {
        let mut found = self.direct_groups(member);
        let mut next = 0;
        while let Some(group) = found.get(next).cloned() {
            next += 1;
            for outer in self.direct_groups(&group) {
                if !found.contains(&outer) {
                    found.push(outer);
                }
            }
        }
        found
    }
}

async fn accept(listener: TcpListener, address: SocketAddr, state: Arc<Mutex<State>>) {
    while let Ok((socket, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(address, Arc::clone(&state), request));
            // A fault breaks the connection on purpose.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let fault = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.uri().to_string());
        state.fault
    };
    match fault {
        DirectoryFault::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap();
            return Ok(error(status, "UnknownError"));
        }
        DirectoryFault::Html => return Ok(plain(StatusCode::OK, HTML)),
        DirectoryFault::Truncated => return Ok(json_text(r#"{"value":[{"id":"#)),
        DirectoryFault::Hang => std::future::pending().await,
        DirectoryFault::Huge => return Ok(huge()),
        DirectoryFault::Redirect => return Ok(redirect()),
        DirectoryFault::BreaksOff => return Err(io::ErrorKind::ConnectionReset.into()),
        DirectoryFault::None | DirectoryFault::NextPageAt(_) => {}
    }
    let path = request.uri().path().to_owned();
    let next_port = match fault {
        DirectoryFault::NextPageAt(port) => port,
        _ => address.port(),
    };
    Ok(match &*path {
        "/token" => google::token(address, &state, request).await,
        "/v1.0/me/transitiveMemberOf" => {
            graph::memberships(next_port, &state.lock().unwrap(), &request)
        }
        _ => google::directory(&state.lock().unwrap(), &request, &path),
    })
}

/// The token of an `Authorization` field.
fn bearer(request: &Request<Incoming>) -> Option<&str> {
    let field = request.headers().get(header::AUTHORIZATION)?;
    field.to_str().ok()?.strip_prefix("Bearer ")
}

/// A parameter of the query.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query()?.as_bytes();
    let mut pairs = url::form_urlencoded::parse(query);
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// An error in the form that both directories have.
fn error(status: StatusCode, code: &str) -> Response<Body> {
    json_answer(
        status,
        &json!({ "error": { "code": code, "message": code } }),
    )
}
