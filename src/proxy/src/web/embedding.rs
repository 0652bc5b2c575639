//! Rooms in frames of other sites: which sites may embed one (`frame-ancestors`), and what differs in a
//! frame: the browser may withhold the gateway's cookies, and no provider shows its form in one.

use http::{HeaderMap, HeaderValue, Response, header};

use crate::{
    Body, RequestError, Worker,
    respond::{Responder, login_path},
};
use model::{
    integration::Integrations,
    room::RoomKey,
    session::{App, BrowsingContext, JitsiState, ReturnTo},
};
use pages::{Content, frame_ancestors};

/// Origins of sites that may show rooms in frames, besides those of integrations.
#[derive(Debug)]
pub(crate) struct EmbeddingSites(Vec<String>);

// === impl EmbeddingSites ===

impl EmbeddingSites {
    pub(crate) fn new(origins: Vec<String>) -> Self {
        Self(origins)
    }

    /// The sites that may embed the room, as a source list of CSP; without a room, those that may
    /// embed any.
    pub(crate) fn of(&self, room: Option<&RoomKey>, integrations: &Integrations) -> String {
        let sites = self.0.iter().map(String::as_str);
        let sites = sites.chain(integrations.embed_origins(room));
        sites.collect::<Vec<_>>().join(" ")
    }

    /// The sites in whose frames a failure is shown in a room's place. Why a token was refused is
    /// for the operator of the site that it came from, whose link may name a wrong room.
    pub(crate) fn of_failure(
        &self,
        failure: &RequestError,
        responder: &Responder,
        integrations: &Integrations,
    ) -> String {
        let room = responder
            .room()
            .filter(|_| failure.token_reason().is_none());
        self.of(room, integrations)
    }
}

/// A page of the gateway in place of a room's, embeddable like the room.
pub(crate) fn show_in_room(
    worker: &Worker,
    content: &Content<'_>,
    responder: &Responder,
    room: &RoomKey,
) -> Response<Body> {
    let id = responder.id.to_string();
    let page = worker
        .state
        .pages
        .render(content, &responder.page_request(&id));
    let sites = worker
        .state
        .embedding_sites
        .of(Some(room), &worker.rules().integrations);
    let page = page.with_frame_ancestors(&sites);
    page.into_response().map(Body::from)
}

/// A page in a frame that opens the sign-in in a window of its own.
pub(crate) fn sign_in_apart(
    worker: &Worker,
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
    Some(show_in_room(worker, &content, responder, &room))
}

/// Sets `frame-ancestors` to the sites that may embed the room, whatever Jitsi's web server says.
pub(crate) fn allow_framing(headers: &mut HeaderMap, sites: &str) {
    restrict_framing(headers, sites);
    headers.remove(header::X_FRAME_OPTIONS);
}

/// Sets `frame-ancestors` to the sites that may embed any room.
pub(crate) fn restrict_framing(headers: &mut HeaderMap, sites: &str) {
    // Beside a policy of Jitsi's web server, which may be stricter: all policies count.
    if let Ok(policy) = HeaderValue::try_from(frame_ancestors(sites)) {
        headers.append(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// Where the browser shows the answer. Within a frame no header names the page around it, so
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{key, two_integrations};

    #[test]
    fn a_room_is_embeddable_by_configured_sites_and_its_integrations() {
        let sites = EmbeddingSites::new(vec!["https://intranet.example.org".to_owned()]);
        let integrations = two_integrations();
        for (room, expected) in [
            (
                Some("school-7b"),
                "https://intranet.example.org https://school.example.org",
            ),
            (
                Some("club-x"),
                "https://intranet.example.org https://club.example.org",
            ),
            (Some("other"), "https://intranet.example.org"),
            (
                None,
                "https://intranet.example.org https://school.example.org https://club.example.org",
            ),
        ] {
            let room = room.map(key);
            assert_eq!(sites.of(room.as_ref(), &integrations), expected, "{room:?}");
        }
    }

    /// HTTP/2 and HTTP/3 forbid a blank at either end of a field value (RFC 9113 § 8.2.1).
    #[test]
    fn without_sites_the_policy_names_the_own_origin_only() {
        let mut headers = HeaderMap::new();
        restrict_framing(&mut headers, "");
        assert_eq!(
            headers[header::CONTENT_SECURITY_POLICY],
            "frame-ancestors 'self'"
        );
    }

    #[test]
    fn framing_replaces_the_frame_options_of_jitsi() {
        let mut headers = HeaderMap::new();
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        let stricter = HeaderValue::from_static("script-src 'self'");
        headers.insert(header::CONTENT_SECURITY_POLICY, stricter.clone());
        allow_framing(&mut headers, "https://intranet.example.org");
        assert!(!headers.contains_key(header::X_FRAME_OPTIONS));
        let policies: Vec<_> = headers
            .get_all(header::CONTENT_SECURITY_POLICY)
            .iter()
            .collect();
        let framing = "frame-ancestors 'self' https://intranet.example.org";
        assert_eq!(policies, [&stricter, &HeaderValue::from_static(framing)]);
    }
}
