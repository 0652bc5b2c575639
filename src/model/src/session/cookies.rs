//! Request cookies and `Set-Cookie` values, with the checks that defeat cookies planted by
//! neighbouring domains.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header};

use crate::clock::Timestamp;

/// The cookies of one request.
#[derive(Clone, Copy, Debug)]
pub struct RequestCookies<'r>(&'r HeaderMap);

/// A limit on cookies of one kind in a browser: every request carries all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct CookieBudget {
    /// The number of cookies.
    pub(super) cookies: usize,
    /// The total bytes of names and values.
    pub(super) bytes: usize,
}

/// One of the cookies of a kind that a browser stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StoredCookie<'r> {
    /// The time when the content began; `None` if the cookie does not open, so that it is evicted
    /// first.
    began: Option<Timestamp>,
    name: &'r str,
    bytes: usize,
}

// === impl CookieBudget ===

impl CookieBudget {
    /// The names of the oldest cookies that exceed the budget once a cookie of `newest` bytes is
    /// added.
    pub(super) fn evicted(self, newest: usize, mut stored: Vec<StoredCookie<'_>>) -> Vec<&str> {
        stored.sort_unstable();
        let mut bytes = newest;
        let kept = stored.iter().rev().take(self.cookies.saturating_sub(1));
        let kept = kept.take_while(|one| {
            bytes += one.bytes;
            bytes <= self.bytes
        });
        let excess = stored.len() - kept.count();
        let evicted = stored.into_iter().take(excess);
        evicted.map(|one| one.name).collect()
    }
}

// === impl StoredCookie ===

impl<'r> StoredCookie<'r> {
    /// Creates the entry of a cookie whose content began at `began`.
    pub(super) fn new(name: &'r str, value: &str, began: Option<Timestamp>) -> Self {
        Self {
            began,
            name,
            bytes: name.len() + value.len(),
        }
    }
}

// === impl RequestCookies ===

impl<'r> RequestCookies<'r> {
    /// Reads the cookies of a request's head.
    pub fn new(headers: &'r HeaderMap) -> Self {
        Self(headers)
    }

    /// The value of one of the gateway's cookies. `None` if the name occurs twice: one of the two
    /// was planted by a neighbouring domain, and it cannot be told which.
    pub fn value(&self, name: &str) -> Option<&'r str> {
        let mut values = self
            .pairs()
            .filter(|(key, _)| *key == name.as_bytes())
            .map(|(_, value)| value);
        let value = values.next()?;
        values.next().is_none().then(|| text(value)).flatten()
    }

    /// All cookies whose name begins with `prefix`.
    pub fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&'r str, &'r str)> {
        self.pairs()
            .filter(move |(name, _)| name.starts_with(prefix.as_bytes()))
            .filter_map(|(name, value)| text(name).zip(text(value)))
    }

    /// The `Cookie` header for the upstream, without the gateway's own cookies; `None` if nothing
    /// is left.
    pub fn foreign(&self) -> Option<HeaderValue> {
        let mut kept = Vec::new();
        for (name, value) in self.pairs().filter(|(name, _)| !is_own_cookie(name)) {
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(name);
            kept.push(b'=');
            kept.extend_from_slice(value);
        }
        (!kept.is_empty()).then(|| HeaderValue::try_from(kept).ok())?
    }

    /// Pairs of bytes, because cookies of other applications may be in any encoding and are in the
    /// same line.
    fn pairs(&self) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        self.0
            .get_all(header::COOKIE)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
            .take(MAX_COOKIES)
            .filter_map(|pair| {
                let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
                Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
            })
            .filter(|(name, _)| !name.is_empty())
    }
}

/// A `Set-Cookie` value for a `__Host-` cookie.
pub fn set(name: &str, value: &str, lifetime: Duration) -> HeaderValue {
    build(name, value, lifetime, "/")
}

/// A `Set-Cookie` value for a `__Secure-` cookie that is sent below one path only.
pub fn set_below(name: &str, value: &str, lifetime: Duration, path: &str) -> HeaderValue {
    build(name, value, lifetime, path)
}

/// A `Set-Cookie` value that deletes a `__Host-` cookie; browsers require every attribute of the
/// prefix for the deletion, too.
pub fn expire(name: &str) -> HeaderValue {
    build(name, "", Duration::ZERO, "/")
}

/// A `Set-Cookie` value for a `__Host-` cookie in frames of other sites, stored separately for each
/// of these sites (CHIPS, `Partitioned`).
pub fn set_in_frame(name: &str, value: &str, lifetime: Duration) -> HeaderValue {
    let mut cookie = cookie(name, value, lifetime, "/");
    cookie.set_same_site(SameSite::None);
    cookie.set_partitioned(true);
    header_value(&cookie)
}

fn build(name: &str, value: &str, lifetime: Duration, path: &str) -> HeaderValue {
    header_value(&cookie(name, value, lifetime, path))
}

fn cookie<'c>(name: &'c str, value: &'c str, lifetime: Duration, path: &'c str) -> Cookie<'c> {
    let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    Cookie::build((name, value))
        .path(path)
        .secure(true)
        .http_only(true)
        // `Lax`, so that the redirect from the provider carries the sign-in cookie.
        .same_site(SameSite::Lax)
        .max_age(time::Duration::seconds(seconds))
        .build()
}

fn header_value(cookie: &Cookie<'_>) -> HeaderValue {
    HeaderValue::try_from(cookie.to_string())
        .expect("our cookie names and values are base64url and punctuation")
}

/// Whether a cookie is one of the gateway's, in any case or spelling that an upstream might
/// normalize to it.
pub fn is_own_cookie(name: &[u8]) -> bool {
    OWN_PREFIXES.iter().any(|prefix| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    })
}

/// The gateway's own cookies are ASCII; others are skipped.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.is_ascii())
}

/// The prefixes of all cookies of the gateway.
const OWN_PREFIXES: &[&[u8]] = &[b"__Host-gateway-", b"__Secure-gateway-"];

/// Bounds the work on a forged header; RFC 6265bis § 6.1 requires browsers to keep only 50 cookies
/// per domain.
const MAX_COOKIES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (header::COOKIE, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_cookie_name_that_occurs_twice_has_no_value() {
        let one = headers(&["a=1; __Host-gateway-session=x"]);
        assert_eq!(
            RequestCookies::new(&one).value("__Host-gateway-session"),
            Some("x")
        );
        let two = headers(&["__Host-gateway-session=x", "b=2;__Host-gateway-session=y"]);
        assert_eq!(
            RequestCookies::new(&two).value("__Host-gateway-session"),
            None
        );
        let odd = headers(&[
            ";;;;",
            "=__Host-gateway-session=x",
            "__host-gateway-session=x; $Version=1",
        ]);
        assert_eq!(
            RequestCookies::new(&odd).value("__Host-gateway-session"),
            None
        );
    }

    #[test]
    fn a_cookie_in_another_encoding_does_not_hide_the_session() {
        let line =
            HeaderValue::from_bytes(b"a=\xe9; __Host-gateway-session=x; b=Zo\xc3\xab").unwrap();
        let mixed: HeaderMap = [(header::COOKIE, line)].into_iter().collect();
        let jar = RequestCookies::new(&mixed);
        assert_eq!(jar.value("__Host-gateway-session"), Some("x"));
        assert_eq!(jar.foreign().unwrap().as_bytes(), b"a=\xe9; b=Zo\xc3\xab");
        // Neither does a value that is not ASCII in a cookie with a gateway's name.
        let line = HeaderValue::from_bytes(b"__Host-gateway-session=\xe9; c=1").unwrap();
        let odd: HeaderMap = [(header::COOKIE, line)].into_iter().collect();
        assert_eq!(
            RequestCookies::new(&odd).value("__Host-gateway-session"),
            None
        );
        assert_eq!(RequestCookies::new(&odd).foreign().unwrap(), "c=1");
    }

    #[test]
    fn own_cookies_are_not_forwarded() {
        let mixed = headers(&["a=1; __Host-gateway-session=x; __host-GATEWAY-y=1; b=\"q\""]);
        assert_eq!(
            RequestCookies::new(&mixed).foreign().unwrap(),
            "a=1; b=\"q\""
        );
        let hint = headers(&["__Secure-gateway-hint=x; c=1"]);
        assert_eq!(RequestCookies::new(&hint).foreign().unwrap(), "c=1");
        assert!(
            RequestCookies::new(&headers(&["__Host-gateway-session=x"]))
                .foreign()
                .is_none()
        );
    }

    #[test]
    fn cookies_are_set_and_deleted_with_the_attributes_of_their_prefix() {
        let cookie = set("__Host-gateway-session", "abc", Duration::from_mins(1));
        assert_eq!(
            cookie,
            "__Host-gateway-session=abc; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        assert!(
            expire("__Host-gateway-session")
                .to_str()
                .unwrap()
                .ends_with("Path=/; Max-Age=0")
        );
    }

    #[test]
    fn excess_cookies_are_ignored() {
        let flood: String = "c=1;".repeat(10_000);
        let headers: HeaderMap = [(
            header::COOKIE,
            HeaderValue::try_from(flood + "__Host-gateway-session=x").unwrap(),
        )]
        .into_iter()
        .collect();
        assert_eq!(
            RequestCookies::new(&headers).value("__Host-gateway-session"),
            None
        );
    }
}
