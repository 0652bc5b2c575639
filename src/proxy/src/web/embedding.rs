//! Rooms in frames of other sites: which sites may embed one (`frame-ancestors`), and what differs in a
//! frame: the browser may withhold the gateway's cookies, and no provider shows its form in one.

use http::{HeaderMap, HeaderValue, Response, header};

use crate::{
    Body, RequestError, Worker,
    respond::{Responder, login_path},
};
use model::{
    room::RoomKey,
    session::{App, BrowsingContext, JitsiState, ReturnTo},
};
use pages::Content;

// === impl Worker ===

impl Worker {
    /// A page of the gateway in place of a room's, embeddable like the room.
    pub(crate) fn show_in_room(
        &self,
        content: &Content<'_>,
        responder: &Responder,
        room: &RoomKey,
    ) -> Response<Body> {
        let id = responder.id.to_string();
        let page = self.state.pages.render(content, &responder.asked(&id));
        let page = page.with_frame_ancestors(&self.embedding_sites(Some(room)));
        page.into_response().map(Body::from)
    }

    /// A page in a frame that opens the sign-in in a window of its own.
    pub(crate) fn sign_in_apart(
        &self,
        headers: &HeaderMap,
        return_to: &ReturnTo,
        switch: bool,
        responder: &Responder,
    ) -> Option<Response<Body>> {
        let room = return_to.room()?;
        // Jitsi's app for desktops opens other windows in the browser, and is to be come back to.
        let sign_in = if is_electron(headers) {
            let state = JitsiState::written(return_to, App::Electron);
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            format!(
                "/_gateway/login?{}",
                query.append_pair("state", &state).finish()
            )
        } else {
            login_path(return_to, switch)
        };
        let content = Content::Join {
            room: &room,
            sign_in: Some(&sign_in),
            guest: None,
        };
        Some(self.show_in_room(&content, responder, &room))
    }

    /// Sets `frame-ancestors` to the sites that may embed the room.
    pub(crate) fn allow_framing(&self, headers: &mut HeaderMap, room: &RoomKey) {
        // Beside a policy of Jitsi's web server, which may be stricter: all policies count.
        let sites = self.embedding_sites(Some(room));
        if let Ok(policy) = HeaderValue::try_from(format!("frame-ancestors 'self' {sites}")) {
            headers.append(header::CONTENT_SECURITY_POLICY, policy);
        }
        headers.remove(header::X_FRAME_OPTIONS);
    }

    /// The sites in whose frames a failure is shown in a room's place. Why a token was refused is
    /// for whoever runs the site that it came from, which may have the wrong room in it.
    pub(crate) fn sites_shown(&self, failure: &RequestError, responder: &Responder) -> String {
        let room = responder
            .room()
            .filter(|_| failure.token_reason().is_none());
        self.embedding_sites(room)
    }

    /// The sites that may embed the room; without a room, those that may embed any.
    fn embedding_sites(&self, room: Option<&RoomKey>) -> String {
        let rules = self.rules();
        let sites = self.state.embedding_sites.iter().map(String::as_str);
        let sites = sites.chain(rules.integrations.embed_origins(room));
        sites.collect::<Vec<_>>().join(" ")
    }
}

/// Where the browser shows the answer. Within a frame nobody tells whose page is around it, so
/// every frame counts as one in another site's page.
pub(crate) fn place_of(headers: &HeaderMap) -> BrowsingContext {
    match headers.get("sec-fetch-dest").map(HeaderValue::as_bytes) {
        Some(b"iframe" | b"frame" | b"embed" | b"object" | b"fencedframe") => {
            BrowsingContext::EmbeddedFrame
        }
        _ => BrowsingContext::TopLevel,
    }
}

/// Whether the browser is Electron's, which Jitsi's app for desktops is made of: the app shows
/// rooms in frames.
fn is_electron(headers: &HeaderMap) -> bool {
    headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .is_some_and(|agent| agent.contains(" Electron/"))
}
