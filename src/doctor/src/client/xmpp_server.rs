//! Address, headers and query by which an XMPP server is reached.

use std::time::Duration;

use config::PublicUrl;
use http::{HeaderMap, HeaderValue, header};
use url::form_urlencoded;

use super::{Endpoint, HttpError};

/// An XMPP server behind HTTP: Prosody itself, or the gateway in front of it.
#[derive(Clone)]
pub(crate) struct XmppServer {
    pub(crate) endpoint: Endpoint,
    /// The XMPP domain.
    pub(crate) domain: String,
    /// The value of `Host`.
    pub(super) host: String,
    /// Appended to each path: empty for Prosody, room and token for the gateway.
    query: String,
    /// Headers that a browser would send as well.
    pub(crate) headers: HeaderMap,
    /// The `wait` of BOSH sessions (XEP-0124 § 7.1).
    pub(super) wait: Duration,
}

// === impl XmppServer ===

impl XmppServer {
    /// Prosody, addressed as the gateway addresses it.
    pub(crate) fn prosody(endpoint: Endpoint, domain: &str) -> Self {
        Self {
            endpoint,
            domain: domain.to_owned(),
            host: domain.to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            wait: WAIT,
        }
    }

    /// The gateway, addressed as a page of `public_url` addresses it. An empty token is not sent.
    pub(crate) fn gateway(
        endpoint: Endpoint,
        domain: &str,
        public_url: &PublicUrl,
        room: &str,
        token: &str,
    ) -> Self {
        let origin = HeaderValue::try_from(public_url.origin());
        // Infallible: origins consist of visible ASCII characters.
        let origin = origin.expect("an origin is a header value");
        let mut query = form_urlencoded::Serializer::new(String::from("?"));
        query.append_pair("room", room);
        if !token.is_empty() {
            query.append_pair("token", token);
        }
        Self {
            host: public_url.authority().to_string(),
            query: query.finish(),
            headers: HeaderMap::from_iter([(header::ORIGIN, origin)]),
            ..Self::prosody(endpoint, domain)
        }
    }

    /// The same server for another of its XMPP domains; `Host` stays, as the gateway leaves it.
    pub(crate) fn at_domain(self, domain: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            ..self
        }
    }

    /// Whether the condition that ended a session means that the server has no such domain.
    pub(crate) fn is_absence(condition: &str) -> bool {
        matches!(condition, "improper-addressing" | "host-unknown")
    }

    /// Replaces the endpoint; `Host` and headers stay.
    pub(crate) fn via(self, endpoint: Endpoint) -> Self {
        Self { endpoint, ..self }
    }

    /// Appends to the query.
    pub(crate) fn with_query(self, more: &str) -> Self {
        Self {
            query: format!("{}{more}", self.query),
            ..self
        }
    }

    /// Replaces the time for which the server may hold a BOSH request.
    pub(crate) fn with_wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Appends the query to a path.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{path}{}", self.query)
    }

    /// Sets the headers that all requests have in common.
    pub(super) fn set_headers(&self, headers: &mut HeaderMap) -> Result<(), HttpError> {
        let host = HeaderValue::try_from(&self.host);
        let host = host.map_err(|_| HttpError::Name(self.host.clone()))?;
        headers.insert(header::HOST, host);
        headers.extend(self.headers.clone());
        Ok(())
    }
}

/// Short, so that a login takes few seconds.
const WAIT: Duration = Duration::from_secs(3);
