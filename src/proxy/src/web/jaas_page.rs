//! `JaaS` (8x8) mode: a page that embeds the hosted meeting in an iframe.

use http::Response;

use crate::{
    Body, RequestError, Worker,
    respond::append_cookies,
    web::WebError,
    web::embedding::show_in_room,
    web::room_page::{RoomPageRequest, events_path},
};
use model::{jaas::Jaas, policy::Grant, session::Principal};
use pages::Content;

/// The page that embeds the meeting. Its token opens this one room at 8x8: no proxy stands between
/// their script and their servers that could add it later.
pub(crate) fn call_page(
    worker: &Worker,
    jaas: &Jaas,
    visit: RoomPageRequest<'_>,
    principal: &Principal,
    grant: &Grant<'_>,
) -> Result<Response<Body>, RequestError> {
    let token = jaas
        .token(&visit.room, grant.role(), principal.identity())
        .map_err(WebError::from)?;
    let script = jaas.script_url();
    let script = script.parse().map_err(|_| WebError::ScriptUrl)?;
    let options = jaas.options(&visit.room, &token, None);
    let events = format!("{}&call=1", events_path(&visit.room));
    let content = Content::Call {
        room: &visit.room,
        script: &script,
        options: &options,
        events: &events,
        again: visit.path.as_str(),
    };
    let mut answer = show_in_room(worker, &content, visit.responder, &visit.room);
    append_cookies(&mut answer, visit.cookies);
    worker.renewal.renew(principal, &mut answer);
    Ok(answer)
}
