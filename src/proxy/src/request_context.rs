//! The request context: client address, scheme, request id; and the check of the `Host`, which
//! follows the route.

use std::fmt;

use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};

use crate::Connection;
use model::{
    headers::{ClientAddr, TrustedProxies, forwarded_https},
    path::PathError,
    room::RoomError,
    route::Closed,
};
use observe::traces::Traceparent;

/// Properties of a request that every phase may need, taken from its connection and head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestContext {
    /// Where it comes from.
    pub(crate) client: ClientAddr,
    /// Whether the client came by HTTPS, here or at a trusted proxy.
    pub(crate) secure: bool,
    /// Whether a trusted proxy sent it on.
    pub(crate) proxied: bool,
    /// Its name in logs and on error pages.
    pub(crate) id: RequestId,
    /// Its place in a trace, if it is traced.
    pub(crate) trace: Option<Traceparent>,
}

/// The name of a request: unique over replicas and restarts, worth nothing to anybody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestId {
    /// Random, drawn when the worker started.
    pub(crate) worker: u32,
    /// Counts the worker's requests.
    pub(crate) number: u64,
}

/// Why a request reaches no handler.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    /// The path has no one meaning.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The path names no room.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The `Host` is missing, there twice, or contradicts the target.
    #[error("the request does not name one host")]
    BadHost,
    /// Another host's request.
    #[error("the request is for another host")]
    Misdirected,
    /// Not a method of this route.
    #[error("this method is not for this address")]
    Method {
        /// What may be used.
        allow: &'static str,
    },
    /// Nothing is there.
    #[error("nothing is at this address")]
    NotFound,
    /// The path is never forwarded.
    #[error("this address is closed")]
    Closed(Closed),
}

// === impl RequestContext ===

impl RequestContext {
    pub(crate) fn of<B>(
        request: &Request<B>,
        connection: Connection,
        trusted: &TrustedProxies,
        id: RequestId,
    ) -> Self {
        let headers = request.headers();
        let nobody = TrustedProxies::default();
        let trusted = if connection.anonymous {
            &nobody
        } else {
            trusted
        };
        Self {
            client: ClientAddr::of(connection.peer, headers, trusted),
            proxied: trusted.contains(connection.peer),
            secure: connection.tls || forwarded_https(connection.peer, headers, trusted),
            id,
            trace: None,
        }
    }
}

// === impl RequestId ===

impl RequestId {
    /// The value of `X-Request-Id`, by which an error report finds its log line.
    pub(crate) fn header_value(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("hexadecimal digits can stand in a header")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:x}", self.worker, self.number)
    }
}

/// Refuses methods other than GET and HEAD.
pub(crate) fn require_reading(method: &Method) -> Result<(), ContextError> {
    if is_reading(method) {
        Ok(())
    } else {
        Err(ContextError::Method { allow: "GET, HEAD" })
    }
}

/// Whether the method is GET or HEAD.
pub(crate) fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Checks that a request names this site, once and without contradiction (RFC 9112 § 3.2).
pub(crate) fn check_authority(
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
    own: &Authority,
) -> Result<(), ContextError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts
        .next()
        .map(|host| host.to_str().map_err(|_| ContextError::BadHost))
        .transpose()?;
    if hosts.next().is_some() {
        return Err(ContextError::BadHost);
    }
    let named = match (uri.authority(), host) {
        (Some(target), Some(host)) if !target.as_str().eq_ignore_ascii_case(host) => {
            return Err(ContextError::BadHost);
        }
        (Some(target), _) => target.as_str(),
        (None, Some(host)) => host,
        (None, None) if version == Version::HTTP_10 => return Err(ContextError::Misdirected),
        (None, None) => return Err(ContextError::BadHost),
    };
    if own.is(named) {
        Ok(())
    } else {
        Err(ContextError::Misdirected)
    }
}

/// The site's own host and port.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    text: String,
    with_port: Option<String>,
}

// === impl Authority ===

impl Authority {
    pub(crate) fn new(text: String) -> Self {
        // `:443` may be written or not.
        let has_port = text
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = (!has_port).then(|| format!("{text}:443"));
        Self { text, with_port }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    fn is(&self, named: &str) -> bool {
        named.eq_ignore_ascii_case(&self.text)
            || self
                .with_port
                .as_ref()
                .is_some_and(|full| named.eq_ignore_ascii_case(full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, hosts: &[&'static str]) -> Result<(), ContextError> {
        let headers = hosts
            .iter()
            .map(|host| (header::HOST, HeaderValue::from_static(host)))
            .collect();
        let own = Authority::new("meet.example.org".to_owned());
        check_authority(&uri.parse().unwrap(), Version::HTTP_11, &headers, &own)
    }

    #[test]
    fn exactly_this_site_is_asked_for() {
        assert!(check("/", &["meet.example.org"]).is_ok());
        assert!(check("/", &["MEET.example.org:443"]).is_ok());
        assert!(check("https://meet.example.org/x", &[]).is_ok());
        for foreign in [
            "meet.example.org.",
            "x.meet.example.org",
            "meet.example.org:80",
            "10.0.0.1",
        ] {
            let headers = [(header::HOST, HeaderValue::from_str(foreign).unwrap())];
            let own = Authority::new("meet.example.org".to_owned());
            let checked = check_authority(
                &Uri::from_static("/"),
                Version::HTTP_11,
                &headers.into_iter().collect(),
                &own,
            );
            assert!(
                matches!(checked, Err(ContextError::Misdirected)),
                "{foreign}"
            );
        }
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(matches!(check("/", &[]), Err(ContextError::BadHost)));
        assert!(matches!(
            check("/", &["meet.example.org", "meet.example.org"]),
            Err(ContextError::BadHost)
        ));
        assert!(matches!(
            check("http://meet.example.org/", &["evil.test"]),
            Err(ContextError::BadHost)
        ));
    }
}
