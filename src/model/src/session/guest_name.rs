//! The cookie with the name that a guest entered last, which the next form begins with.
//!
//! It is readable and unsealed: its value is what its sender claims, and nothing but the initial text of a
//! field. It is no session and no pass, and no rule reads it.

use std::time::Duration;

use http::HeaderValue;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::cookies::{self, RequestCookies};

/// The `Set-Cookie` value that stores a name; `None` if the name is too long for the cookie.
pub fn remember_guest_name(name: &str) -> Option<HeaderValue> {
    let value = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    (value.len() <= MAX_BYTES).then(|| cookies::set(GUEST_NAME_COOKIE, &value, LIFETIME))
}

/// The text that the browser stores, which any program may have written: check it like a typed name.
pub fn remembered_guest_name(jar: RequestCookies<'_>) -> Option<String> {
    let value = jar.value(GUEST_NAME_COOKIE)?;
    if value.len() > MAX_BYTES {
        return None;
    }
    let name = percent_decode_str(value).decode_utf8().ok()?;
    Some(name.into_owned())
}

/// The `Set-Cookie` value that deletes the name; `None` if the browser has none.
pub fn forget_guest_name(jar: RequestCookies<'_>) -> Option<HeaderValue> {
    jar.with_prefix(GUEST_NAME_COOKIE)
        .next()
        .map(|_| cookies::expire(GUEST_NAME_COOKIE))
}

/// The cookie's name. Room pages have the form, so the path cannot be that of the gateway's own endpoints.
const GUEST_NAME_COOKIE: &str = "__Host-gateway-name";

/// 60 letters of Chinese or Japanese, which have nine bytes each; every request carries them.
const MAX_BYTES: usize = 540;

/// Long enough for meetings of a term.
const LIFETIME: Duration = Duration::from_hours(90 * 24);

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::*;

    fn jar(cookies: &str) -> HeaderMap {
        let value = HeaderValue::from_str(cookies).unwrap();
        HeaderMap::from_iter([(header::COOKIE, value)])
    }

    #[test]
    fn a_name_in_any_script_is_stored_and_read_again() {
        for name in ["Zoë", "李小龍", "\"; Domain=evil.test; x=<b>", "a%2fb"] {
            let cookie = remember_guest_name(name).unwrap();
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            assert!(!attributes.contains("evil"), "{cookie}");
            assert!(attributes.starts_with("HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age="));
            let jar = jar(pair);
            let jar = RequestCookies::new(&jar);
            assert_eq!(remembered_guest_name(jar).as_deref(), Some(name));
            let deletion = forget_guest_name(jar).unwrap();
            assert!(deletion.to_str().unwrap().ends_with("Max-Age=0"));
        }
    }

    #[test]
    fn long_malformed_and_repeated_values_are_no_name() {
        let most = "李".repeat(60);
        assert!(remember_guest_name(&most).is_some());
        assert!(remember_guest_name(&format!("{most}a")).is_none());
        for cookies in [
            format!("{GUEST_NAME_COOKIE}={}", "a".repeat(MAX_BYTES + 1)),
            format!("{GUEST_NAME_COOKIE}=%ff"),
            format!("{GUEST_NAME_COOKIE}=Ann; {GUEST_NAME_COOKIE}=Bob"),
            "a=b".to_owned(),
        ] {
            let jar = jar(&cookies);
            assert_eq!(remembered_guest_name(RequestCookies::new(&jar)), None);
        }
        let none = jar("a=b");
        assert!(forget_guest_name(RequestCookies::new(&none)).is_none());
    }
}
