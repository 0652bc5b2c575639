//! A Google Workspace: the token endpoint of service accounts, `groups.list` and `members.hasMember`.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jsonwebtoken::Algorithm;
use model::jws::Jws;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{State, bearer, error, parameter};
use crate::support::answer::{Body, json_answer};

/// `POST` of an assertion (RFC 7523 § 2.1).
pub(super) async fn token(
    address: SocketAddr,
    state: &Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Response<Body> {
    let form = request.collect().await.unwrap().to_bytes();
    let form: HashMap<_, _> = form_urlencoded::parse(&form).into_owned().collect();
    let mut state = state.lock().unwrap();
    if let Err(code) = check_assertion(&format!("http://{address}/token"), &state, &form) {
        return json_answer(StatusCode::BAD_REQUEST, &json!({ "error": code }));
    }
    state.tokens += 1;
    let token = format!("ya29.{}", state.tokens);
    state.issued.insert(token.clone());
    json_answer(
        StatusCode::OK,
        &json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" }),
    )
}

/// The checks of Google's reference: the grant, the signature by a key of the account in `iss`, the audience, a lifetime of
/// an hour at most that has not passed, the scope, and in `sub` an administrator who is delegated to the account.
fn check_assertion(
    audience: &str,
    state: &State,
    form: &HashMap<String, String>,
) -> Result<(), &'static str> {
    if form.get("grant_type").map(String::as_str) != Some(GRANT_TYPE) {
        return Err("unsupported_grant_type");
    }
    let jws = Jws::parse(&form["assertion"], &[Algorithm::RS256]).map_err(|_| "invalid_grant")?;
    let opened = state.accounts.iter().find_map(|account| {
        let claims = account.keys.open::<Value>(&jws).ok()?;
        (claims["iss"] == *account.email).then_some((account, claims))
    });
    let (account, claims) = opened.ok_or("invalid_grant")?;
    let now = state.clock.now().as_unix();
    let [issued, expires] = ["iat", "exp"].map(|name| claims[name].as_u64().unwrap_or_default());
    let in_time = issued <= now && now < expires && expires - issued <= 3600;
    if claims["aud"] != audience || !in_time {
        return Err("invalid_grant");
    }
    if claims["scope"] != SCOPE {
        return Err("invalid_scope");
    }
    let delegated = match claims["sub"].as_str() {
        None => account.administrators.is_empty(),
        Some(name) => account.administrators.iter().any(|known| known == name),
    };
    delegated.then_some(()).ok_or("unauthorized_client")
}

/// `groups.list` with `userKey`, and `members.hasMember`.
pub(super) fn directory(state: &State, request: &Request<Incoming>, path: &str) -> Response<Body> {
    if !bearer(request).is_some_and(|token| state.issued.contains(token)) {
        return error(StatusCode::UNAUTHORIZED, "authError");
    }
    let Some(path) = path.strip_prefix("/admin/directory/v1/groups") else {
        return error(StatusCode::NOT_FOUND, "notFound");
    };
    match path.split('/').collect::<Vec<_>>()[..] {
        [""] => list(state, request),
        ["", group, "hasMember", member] => has_member(state, group, member),
        _ => error(StatusCode::NOT_FOUND, "notFound"),
    }
}

/// The groups that a person was added to, without those by other groups.
fn list(state: &State, request: &Request<Incoming>) -> Response<Body> {
    let uri = request.uri();
    if parameter(uri, "customer").is_some_and(|customer| customer == "my_customer") {
        let first = state.groups.keys().next();
        let groups: Vec<Value> = first
            .map(|email| json!({ "email": email }))
            .into_iter()
            .collect();
        return json_answer(StatusCode::OK, &json!({ "groups": groups }));
    }
    let person = parameter(uri, "userKey").unwrap_or_default();
    if !state.people.contains(&person) {
        return error(StatusCode::NOT_FOUND, "notFound");
    }
    let number = |name: &str| parameter(uri, name).and_then(|text| text.parse::<usize>().ok());
    let page = number("maxResults").unwrap_or(200).min(200).min(state.page);
    let skipped = number("pageToken").unwrap_or_default();
    let all = state.direct_groups(&person);
    let of_page = all.iter().skip(skipped).take(page);
    let groups: Vec<Value> = of_page
        .map(|email| json!({ "kind": "admin#directory#group", "id": "01", "email": email }))
        .collect();
    let mut answer = json!({ "kind": "admin#directory#groups", "etag": "\"1\"" });
    if !groups.is_empty() {
        answer["groups"] = json!(groups);
    }
    if all.len() > skipped + page {
        answer["nextPageToken"] = json!((skipped + page).to_string());
    }
    json_answer(StatusCode::OK, &answer)
}

/// Direct and nested membership; a person of another domain is an invalid input unless they were added themselves.
fn has_member(state: &State, group: &str, member: &str) -> Response<Body> {
    let Some(members) = state.groups.get(group) else {
        return error(StatusCode::NOT_FOUND, "notFound");
    };
    if !state.people.contains(member) && !members.contains(member) {
        return error(StatusCode::BAD_REQUEST, "invalid");
    }
    let is_member = state
        .transitive_groups(member)
        .iter()
        .any(|known| known == group);
    json_answer(StatusCode::OK, &json!({ "isMember": is_member }))
}

/// RFC 7523 § 2.1.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE: &str = "https://www.googleapis.com/auth/admin.directory.group.readonly";
