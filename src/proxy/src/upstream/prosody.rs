//! Request heads for Prosody, built from a closed list of fields.
//!
//! Prosody 0.12's HTTP parser ignores `Transfer-Encoding`, treats a repeated `Content-Length` as
//! absent, splits lines at a bare line feed, and hangs on a head above 10 KiB. A head that is copied
//! from the client could therefore smuggle a request. No byte of it is copied: each field is written
//! here from a checked value, with one exact `Content-Length`.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use model::{
    headers::{ClientAddr, X_FORWARDED_FOR, X_FORWARDED_PROTO, X_PROXY_REGION},
    query::ForwardedParameters,
    room::RoomKey,
    route::Transport,
    token::BackendToken,
};

use super::RequestBody;

/// The parts that BOSH requests and WebSocket handshakes for Prosody have in common.
#[derive(Debug)]
pub struct ProsodyHead<'r> {
    /// The `Host`; selects Prosody's virtual host.
    pub xmpp_domain: &'r HeaderValue,
    /// The room, which the query names with its tenant.
    pub room: &'r RoomKey,
    /// The other parameters of the client's query.
    pub parameters: &'r ForwardedParameters,
    /// The client, for `X-Forwarded-For`.
    pub client: ClientAddr,
    /// The region of the person, for `X-Proxy-Region`.
    pub region: Option<HeaderValue>,
    /// The client's headers; only `User-Agent` is read.
    pub client_headers: &'r HeaderMap,
}

// === impl ProsodyHead ===

impl ProsodyHead<'_> {
    /// Builds a BOSH request; `token` only for the creation of a session.
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

    /// Builds a WebSocket handshake (RFC 6455 § 4.1, subprotocol of RFC 7395) with the client's key.
    /// Extensions are not offered, as Prosody implements none.
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
        if let Some(address) = self.client.header_value() {
            headers.insert(X_FORWARDED_FOR, address);
        }
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        if let Some(agent) = self
            .client_headers
            .get(header::USER_AGENT)
            .and_then(forwardable_agent)
        {
            headers.insert(header::USER_AGENT, agent);
        }
        if let Some(region) = &self.region {
            headers.insert(X_PROXY_REGION, region.clone());
        }
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, token.authorization());
        }
        request
    }

    fn uri(&self, transport: Transport) -> Uri {
        let query = self.parameters.with_room(self.room);
        let target = format!("{}?{query}", transport.path());
        // Infallible: the path is a constant, and form encoding yields URI characters only.
        Uri::try_from(target).expect("a form-encoded query is valid in a URI")
    }
}

/// Returns the `User-Agent`, which Prosody logs, if it is short visible ASCII.
fn forwardable_agent(agent: &HeaderValue) -> Option<HeaderValue> {
    let text = agent.to_str().ok()?;
    (text.len() <= MAX_AGENT_BYTES).then(|| agent.clone())
}

/// Above that of any browser.
const MAX_AGENT_BYTES: usize = 300;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use model::{
        query::{MAX_VALUE_BYTES, SignallingQuery},
        room::{MAX_NODE_BYTES, Tenant},
    };

    use super::*;
    use model::identity::MAX_REGION_BYTES;

    #[test]
    fn the_largest_head_is_below_the_limit_of_prosody() {
        // Each group of 20 bytes is one letter of a room name that is percent-encoded twice, the longest
        // spelling of a letter.
        let tenant = Tenant::parse(&"t".repeat(63)).unwrap();
        let parse = |raw: &str| SignallingQuery::parse(Some(tenant.clone()), raw);
        let room = "%25f0%259d%2590%259a".repeat(400);
        assert!(parse(&format!("room={room}")).is_err());
        // A node of percent-encoded bytes only, which the query encodes once more.
        let left = MAX_NODE_BYTES - "[]".len() - tenant.as_str().len();
        let room = "\u{e9}".repeat(left / "%c3%a9".len());
        let id = "/".repeat(MAX_VALUE_BYTES);
        let query = parse(&format!(
            "room={}&previd={id}&customusername={id}&vnode={id}&release={id}",
            percent_encoding::utf8_percent_encode(&room, percent_encoding::NON_ALPHANUMERIC),
        ))
        .unwrap();
        let client_headers = [(
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
            region: Some(HeaderValue::try_from("r".repeat(MAX_REGION_BYTES)).unwrap()),
            client_headers: &client_headers,
        };
        let request = head.bosh(None, Bytes::from_static(b"<body/>"));
        let fields: usize = request
            .headers()
            .iter()
            .map(|(n, v)| n.as_str().len() + v.len() + 4)
            .sum();
        let size = request.uri().to_string().len() + fields + 20;
        // The token may take 5 of the 10 KiB: names and addresses in it are bounded.
        assert!(size < 4 * 1024, "{size}");
        assert_eq!(request.headers()["content-length"], "7");
        assert_eq!(request.headers()["host"], "meet.jitsi");
        assert!(!request.headers().contains_key("authorization"));
    }

    fn headers_of(request: &Request<RequestBody>) -> Vec<&str> {
        let mut names: Vec<_> = request
            .headers()
            .keys()
            .map(header::HeaderName::as_str)
            .collect();
        names.sort_unstable();
        names
    }

    fn with_head<T>(client_headers: &HeaderMap, test: impl FnOnce(ProsodyHead<'_>) -> T) -> T {
        test(ProsodyHead {
            xmpp_domain: &HeaderValue::from_static("meet.jitsi"),
            room: &RoomKey::from_text("team").unwrap(),
            parameters: &ForwardedParameters::default(),
            client: ClientAddr::from(IpAddr::from([203, 0, 113, 9])),
            region: None,
            client_headers,
        })
    }

    /// Fields of a client that must not reach Prosody.
    fn hostile_headers() -> HeaderMap {
        [
            (header::HOST, "other.example"),
            (header::TRANSFER_ENCODING, "chunked"),
            (header::CONTENT_LENGTH, "0"),
            (header::COOKIE, "a=b"),
            (header::AUTHORIZATION, "Bearer x"),
            (header::SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate"),
            (X_FORWARDED_FOR, "10.0.0.1"),
            (X_PROXY_REGION, "moon"),
        ]
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .into_iter()
        .collect()
    }

    #[test]
    fn a_bosh_head_has_only_the_listed_fields() {
        with_head(&hostile_headers(), |head| {
            let request = head.bosh(None, Bytes::from_static(b"<body/>"));
            assert_eq!(request.uri(), "/http-bind?room=team");
            assert_eq!(
                headers_of(&request),
                [
                    "content-length",
                    "content-type",
                    "host",
                    "x-forwarded-for",
                    "x-forwarded-proto",
                ]
            );
            assert_eq!(request.headers()["host"], "meet.jitsi");
            assert_eq!(request.headers()["x-forwarded-for"], "203.0.113.9");
            assert_eq!(request.headers()["content-length"], "7");
        });
    }

    #[test]
    fn a_web_socket_head_has_only_the_listed_fields() {
        with_head(&hostile_headers(), |head| {
            let request = head.web_socket(None, HeaderValue::from_static("a2V5"));
            assert_eq!(request.uri(), "/xmpp-websocket?room=team");
            assert_eq!(
                headers_of(&request),
                [
                    "connection",
                    "host",
                    "sec-websocket-key",
                    "sec-websocket-protocol",
                    "sec-websocket-version",
                    "upgrade",
                    "x-forwarded-for",
                    "x-forwarded-proto",
                ]
            );
        });
    }

    #[test]
    fn a_region_is_that_of_the_head_and_never_the_clients() {
        for (region, expected) in [(Some("eu-west"), Some("eu-west")), (None, None)] {
            with_head(&hostile_headers(), |mut head| {
                head.region = region.map(HeaderValue::from_static);
                let request = head.bosh(None, Bytes::from_static(b"<body/>"));
                let sent = request.headers().get("x-proxy-region");
                assert_eq!(sent.map(|value| value.to_str().unwrap()), expected);
            });
        }
    }

    #[test]
    fn a_user_agent_is_forwarded_if_it_is_short_and_visible() {
        let forwarded = |agent: &[u8]| {
            let agent = HeaderValue::from_bytes(agent).unwrap();
            let headers = HeaderMap::from_iter([(header::USER_AGENT, agent)]);
            with_head(&headers, |head| {
                let request = head.bosh(None, Bytes::new());
                request.headers().contains_key(header::USER_AGENT)
            })
        };
        assert!(forwarded(b"Mozilla/5.0"));
        assert!(forwarded(&[b'u'; MAX_AGENT_BYTES]));
        assert!(!forwarded(&[b'u'; MAX_AGENT_BYTES + 1]));
        assert!(!forwarded(b"caf\xe9"));
    }
}
