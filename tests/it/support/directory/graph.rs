//! `GET /v1.0/me/transitiveMemberOf` of Microsoft Graph.

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{State, bearer, error, parameter};
use crate::support::answer::{Body, json_answer};

/// A page of the person's groups; a page has 100 unless `$top` says otherwise, and 999 at most. The next page is at `port`.
pub(super) fn memberships(port: u16, state: &State, request: &Request<Incoming>) -> Response<Body> {
    let token = bearer(request).unwrap_or_default();
    let Some((person, may_read)) = state.access_tokens.get(token) else {
        return error(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken");
    };
    if !may_read {
        return error(StatusCode::FORBIDDEN, "Authorization_RequestDenied");
    }
    let uri = request.uri();
    let number = |name: &str| parameter(uri, name).and_then(|text| text.parse::<usize>().ok());
    let page = match number("$top").unwrap_or(100) {
        0 | 1000.. => return error(StatusCode::BAD_REQUEST, "Request_UnsupportedQuery"),
        asked => asked.min(state.page),
    };
    let skipped = number("$skiptoken").unwrap_or_default();
    let all = state.transitive_groups(person);
    let object = |id: &String| json!({ "@odata.type": "#microsoft.graph.group", "id": id });
    let value: Vec<Value> = all.iter().skip(skipped).take(page).map(object).collect();
    let mut answer = json!({
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#directoryObjects(id)",
        "value": value,
    });
    if all.len() > skipped + page {
        let next = format!(
            "http://127.0.0.1:{port}{}?$select=id&$top={page}&$skiptoken={}",
            uri.path(),
            skipped + page
        );
        answer["@odata.nextLink"] = json!(next);
    }
    json_answer(StatusCode::OK, &answer)
}
