//! Jicofo's HTTP server: conference requests.
//!
//! It follows jicofo `jicofo/src/main/kotlin/org/jitsi/jicofo` at 7ebb13dc (2026-08-19):
//!
//! * `OPTIONS` is 200 without a body, `POST` reads JSON (`ktor/Application.kt` 152–162); unknown
//!   members are ignored (`ConferenceRequest.kt` 34).
//! * The token is `Authorization` with or without `Bearer ` (`ktor/Application.kt` 350–358). Its
//!   signature is not verified (`xmpp/ConferenceIqHandler.kt` 299–308).
//! * Any room is opened for any sender, unless Jicofo authenticates by itself
//!   (`xmpp/ConferenceIqHandler.kt` 224–243), which Jitsi's deployments with tokens switch off.
//! * The answer names the focus and whether it is in the room (`xmpp/ConferenceIqHandler.kt` 106–124,
//!   158–166); errors are 400 with a text (`ktor/exception/Exceptions.kt` 35–47).

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::http::{self as server, HttpResponse};

/// Answers a request to [`CONFERENCE_REQUEST`](model::route::CONFERENCE_REQUEST).
pub(super) fn answer(domain: &str, method: &Method, body: Option<Bytes>) -> HttpResponse {
    match *method {
        Method::OPTIONS => return server::text(StatusCode::OK, ""),
        Method::POST => {}
        _ => return server::text(StatusCode::METHOD_NOT_ALLOWED, ""),
    }
    let body = body.unwrap_or_default();
    let room = serde_json::from_slice::<Value>(&body)
        .ok()
        .and_then(|request| Some(request.get("room")?.as_str()?.to_owned()));
    let Some(room) = room.filter(|room| room.contains('@')) else {
        let text = "Bad request: Invalid room name";
        return server::text(StatusCode::BAD_REQUEST, text);
    };
    let answer = json!({
        "room": room,
        "ready": true,
        "focusJid": format!("focus@auth.{domain}"),
        "properties": {"authentication": "false", "visitors-supported": "false"},
    });
    server::response(StatusCode::OK, "application/json", answer.to_string())
}
