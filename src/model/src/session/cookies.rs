//! Cookies in and out, by the rules that keep neighbours from planting them.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header};

use crate::clock::Timestamp;

/// The cookies of one request.
#[derive(Clone, Copy, Debug)]
pub struct RequestCookies<'r>(&'r HeaderMap);

/// How much of one kind a browser is to keep for us: every request carries all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct CookieBudget {
    /// How many cookies.
    pub(super) cookies: usize,
    /// How many bytes of names and values.
    pub(super) bytes: usize,
}

/// One of several cookies of a kind that a browser has gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StoredCookie<'r> {
    /// None for what cannot be read any more.
    began: Option<Timestamp>,
    name: &'r str,
    bytes: usize,
}

// === impl CookieBudget ===

impl CookieBudget {
    /// The names of those cookies, the oldest first, that have to go when one of so many bytes
    /// comes to them.
    pub(super) fn evicted(self, newest: usize, mut gathered: Vec<StoredCookie<'_>>) -> Vec<&str> {
        gathered.sort_unstable();
        let mut bytes = newest;
        let kept = gathered.iter().rev().take(self.cookies.saturating_sub(1));
        let kept = kept.take_while(|one| {
            bytes += one.bytes;
            bytes <= self.bytes
        });
        let surplus = gathered.len() - kept.count();
        let gone = gathered.into_iter().take(surplus);
        gone.map(|one| one.name).collect()
    }
}

// === impl StoredCookie ===

impl<'r> StoredCookie<'r> {
    /// A cookie, and when what is in it began.
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
    /// The cookies that the request's head carries.
    pub fn new(headers: &'r HeaderMap) -> Self {
        Self(headers)
    }

    /// The value of a cookie of ours. A name that comes twice has no value: one of them was planted
    /// by a neighbour domain, and nobody can tell which.
    pub fn value(&self, name: &str) -> Option<&'r str> {
        let mut values = self
            .pairs()
            .filter(|(own, _)| *own == name.as_bytes())
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

    /// The `Cookie` header without our own cookies, for the upstream; `None` if nothing is left.
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

    /// Bytes, because a neighbour's cookie may be in any encoding, and stands in one line with ours.
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

/// A `Set-Cookie` value for a `__Host-` cookie of ours.
pub fn set(name: &str, value: &str, lifetime: Duration) -> HeaderValue {
    build(name, value, lifetime, "/")
}

/// A `Set-Cookie` value for a `__Secure-` cookie that is sent below one path only.
pub fn set_below(name: &str, value: &str, lifetime: Duration, path: &str) -> HeaderValue {
    build(name, value, lifetime, path)
}

/// A `Set-Cookie` value that deletes a `__Host-` cookie; browsers want every attribute that the
/// prefix demands for that, too.
pub fn expire(name: &str) -> HeaderValue {
    build(name, "", Duration::ZERO, "/")
}

/// A `Set-Cookie` value for a `__Host-` cookie that works in other sites' frames, and is another one
/// in each of these sites (CHIPS).
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
        // Lax, so that the provider's redirect back brings the sign-in cookie along.
        .same_site(SameSite::Lax)
        .max_age(time::Duration::seconds(seconds))
        .build()
}

fn header_value(cookie: &Cookie<'_>) -> HeaderValue {
    HeaderValue::try_from(cookie.to_string())
        .expect("our cookie names and values are base64url and punctuation")
}

/// Whether a cookie is one of ours, in any spelling that something upstream might fold.
pub fn is_own_cookie(name: &[u8]) -> bool {
    OWN_PREFIXES.iter().any(|prefix| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    })
}

/// What we wrote is ASCII.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.is_ascii())
}

/// Every cookie of ours begins with one of these.
const OWN_PREFIXES: &[&[u8]] = &[b"__Host-gateway-", b"__Secure-gateway-"];

/// More cookies than any browser keeps for one site (RFC 6265bis § 6.1 asks for 50).
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
    fn a_planted_twin_makes_both_worthless() {
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
    fn a_neighbours_cookie_in_another_encoding_does_not_hide_ours() {
        let line =
            HeaderValue::from_bytes(b"a=\xe9; __Host-gateway-session=x; b=Zo\xc3\xab").unwrap();
        let mixed: HeaderMap = [(header::COOKIE, line)].into_iter().collect();
        let jar = RequestCookies::new(&mixed);
        assert_eq!(jar.value("__Host-gateway-session"), Some("x"));
        assert_eq!(jar.foreign().unwrap().as_bytes(), b"a=\xe9; b=Zo\xc3\xab");
        // Nor does one that would be ours.
        let line = HeaderValue::from_bytes(b"__Host-gateway-session=\xe9; c=1").unwrap();
        let odd: HeaderMap = [(header::COOKIE, line)].into_iter().collect();
        assert_eq!(
            RequestCookies::new(&odd).value("__Host-gateway-session"),
            None
        );
        assert_eq!(RequestCookies::new(&odd).foreign().unwrap(), "c=1");
    }

    #[test]
    fn our_cookies_never_go_upstream() {
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
    fn cookies_are_set_and_deleted_with_what_their_prefix_demands() {
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
    fn floods_of_cookies_are_cut() {
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
