//! Whether the web server leads to Prosody.
//!
//! Jitsi's own nginx proxies `/http-bind` and `/xmpp-websocket` (docker-jitsi-meet
//! `web/rootfs/defaults/meet.conf`; jitsi-meet `doc/debian/jitsi-meet/jitsi-meet.example`). Behind the
//! gateway these locations have no use, and a client that reaches the web server's port bypasses the gateway.

use http::{HeaderValue, Method, Request, header};

use crate::{
    Finding, FindingKind,
    client::{Endpoint, HTTP_BIND, HttpError, HttpResponse},
};

/// Gives advice if a BOSH request through the web server gets an answer of Prosody.
pub(super) async fn advice(
    endpoint: &Endpoint,
    host: &HeaderValue,
) -> Result<Option<Finding>, HttpError> {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/http-bind")
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "text/xml; charset=utf-8")
        .body(UNKNOWN_SESSION.to_owned())
        // Infallible: all parts are constants or header values.
        .expect("the parts of a request");
    let response = endpoint.send(request).await?;
    Ok(is_bosh(&response).then(|| {
        let sent = format!("POST http://{}/http-bind", endpoint.address());
        Finding::advice(FindingKind::WebLeadsToProsody)
            .with_exchange(sent, response.summary())
            .with_remedy(
                "the web server passes /http-bind on to Prosody; the gateway never asks it to, but a \
                 client that reaches the web server's port bypasses the gateway",
                "open the port of upstream.web to the gateway alone; where you keep nginx's \
                 configuration yourself, remove the locations /http-bind and /xmpp-websocket",
            )
    }))
}

/// Whether a response is a BOSH body (XEP-0124), and not a page or an error page.
fn is_bosh(response: &HttpResponse) -> bool {
    response.text().trim_start().starts_with("<body") && response.text().contains(HTTP_BIND)
}

/// A request of a session that does not exist, so that none is created. Prosody ends it with
/// `item-not-found`.
const UNKNOWN_SESSION: &str =
    "<body xmlns='http://jabber.org/protocol/httpbind' rid='1' sid='none' type='terminate'/>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bosh_body_is_prosodys() {
        for (text, expected) in [
            (
                "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' \
                 condition='item-not-found'/>",
                true,
            ),
            ("<!DOCTYPE html><title>Jitsi Meet</title>", false),
            ("<html><body>404 Not Found</body></html>", false),
            ("", false),
        ] {
            let response = HttpResponse {
                body: text.into(),
                ..HttpResponse::default()
            };
            assert_eq!(is_bosh(&response), expected, "{text}");
        }
    }
}
