//! Heads for Prosody, written from scratch.
//!
//! Prosody 0.12's HTTP parser ignores `Transfer-Encoding`, takes a repeated `Content-Length` for
//! none, splits lines at a bare line feed and never answers a head above 10 KiB. So no byte of the
//! client's head is copied: what goes there is a closed list of fields, from values that were
//! checked, with one exact `Content-Length`.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};

use super::RequestBody;
use model::{
    headers::{ClientAddr, X_FORWARDED_FOR, X_FORWARDED_PROTO},
    query::ForwardedParameters,
    room::RoomKey,
    route::Transport,
    token::BackendToken,
};

/// What both kinds of requests for Prosody have in common.
#[derive(Debug)]
pub struct ProsodyHead<'r> {
    /// Prosody's virtual host.
    pub xmpp_domain: &'r HeaderValue,
    /// The room, which the query names with its tenant.
    pub room: &'r RoomKey,
    /// The other parameters of the client's query.
    pub parameters: &'r ForwardedParameters,
    /// Whose request it is.
    pub client: ClientAddr,
    /// The client's head, for the few fields that are read from it.
    pub from: &'r HeaderMap,
}

// === impl ProsodyHead ===

impl ProsodyHead<'_> {
    /// A BOSH request: a POST with this body, and with a token only if it creates a session.
    pub fn bosh(&self, token: Option<&BackendToken>, body: Bytes) -> Request<RequestBody> {
        let mut request = self.request(Transport::Bosh, token);
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/xml; charset=utf-8"),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *request.body_mut() = RequestBody::Whole(Some(body));
        request
    }

    /// A WebSocket handshake with the client's key, and nothing of its extensions, which Prosody
    /// does not have.
    pub fn web_socket(
        &self,
        token: Option<&BackendToken>,
        key: HeaderValue,
    ) -> Request<RequestBody> {
        let mut request = self.request(Transport::WebSocket, token);
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
        headers.insert(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        );
        headers.insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static("xmpp"),
        );
        request
    }

    fn request(&self, transport: Transport, token: Option<&BackendToken>) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::Empty);
        *request.uri_mut() = self.uri(transport);
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.xmpp_domain.clone());
        headers.insert(X_FORWARDED_FOR, self.client.header_value());
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        if let Some(agent) = self.from.get(header::USER_AGENT).and_then(plain_agent) {
            headers.insert(header::USER_AGENT, agent);
        }
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, token.authorization());
        }
        request
    }

    fn uri(&self, transport: Transport) -> Uri {
        let query = self.parameters.with_room(self.room);
        let target = format!("{}?{query}", transport.path());
        Uri::try_from(target).expect("a form-encoded query is a valid one")
    }
}

/// The client's name for itself, which Prosody keeps for statistics, if it is short plain text.
fn plain_agent(agent: &HeaderValue) -> Option<HeaderValue> {
    let text = agent.to_str().ok()?;
    (text.len() <= MAX_AGENT_BYTES).then(|| agent.clone())
}

/// Longer than any browser's.
const MAX_AGENT_BYTES: usize = 300;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use model::{
        query::{MAX_VALUE_BYTES, SignallingQuery},
        room::{MAX_NODE_BYTES, Tenant},
    };

    #[test]
    fn the_largest_head_stays_below_what_prosody_hangs_at() {
        // Decoded twice each of these 20 bytes is one letter of a room's name.
        let tenant = Tenant::parse(&"t".repeat(63)).unwrap();
        let parse = |raw: &str| SignallingQuery::parse(Some(tenant.clone()), raw);
        let room = "%25f0%259d%2590%259a".repeat(400);
        assert!(parse(&format!("room={room}")).is_err());
        // A node of percent-encoded bytes only, which the query encodes once more.
        let room = "\u{e9}".repeat(MAX_NODE_BYTES / "%c3%a9".len());
        let id = "/".repeat(MAX_VALUE_BYTES);
        let query = parse(&format!(
            "room={}&previd={id}&customusername={id}&vnode={id}&release={id}",
            percent_encoding::utf8_percent_encode(&room, percent_encoding::NON_ALPHANUMERIC),
        ))
        .unwrap();
        assert!(query.room.node().len() > MAX_NODE_BYTES - "%c3%a9".len());
        let from = [(
            header::USER_AGENT,
            HeaderValue::try_from("u".repeat(300)).unwrap(),
        )]
        .into_iter()
        .collect();
        let domain = HeaderValue::from_static("meet.jitsi");
        let head = ProsodyHead {
            xmpp_domain: &domain,
            room: &query.room,
            parameters: &query.forwarded,
            client: ClientAddr::from(IpAddr::from([0xffff; 8])),
            from: &from,
        };
        let request = head.bosh(None, Bytes::from_static(b"<body/>"));
        let fields: usize = request
            .headers()
            .iter()
            .map(|(n, v)| n.as_str().len() + v.len() + 4)
            .sum();
        let size = request.uri().to_string().len() + fields + 20;
        // Of the 9 KiB that are left to a head, the token may take 5: names and addresses in it
        // are bounded.
        assert!(size < 4 * 1024, "{size}");
        assert_eq!(request.headers()["content-length"], "7");
        assert_eq!(request.headers()["host"], "meet.jitsi");
        assert!(!request.headers().contains_key("authorization"));
    }
}
