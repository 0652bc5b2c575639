//! `Cache-Control` (RFC 9111 § 5.2).

use http::{HeaderMap, HeaderValue, header};

/// The directives of a response that matter to a shared cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `no-store`, `private` in any form, or a field that is not text: nothing is stored.
    pub forbids_storing: bool,
    /// When a stored response may be used without validation.
    pub reuse: Reuse,
    /// `no-transform`: the coding stays that of the server (§ 5.2.2.6).
    pub keeps_coding: bool,
    /// `s-maxage`, in seconds.
    pub shared_max_age: Option<u64>,
    /// `max-age`, in seconds.
    pub max_age: Option<u64>,
    /// `stale-if-error` (RFC 5861 § 4), in seconds.
    pub stale_if_error: Option<u64>,
}

/// When a stored response may be used without validation, from lax to strict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reuse {
    /// While it is fresh, and stale in place of errors if it says so.
    #[default]
    Lax,
    /// `must-revalidate`, `proxy-revalidate` or `s-maxage` (§ 5.2.2.10): never stale.
    Fresh,
    /// `no-cache` in any form: never.
    Never,
}

/// The directives of a request: how old a stored response may be for its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheDemands {
    /// `no-store`, `no-cache`, or a field that is not text: the request goes to the server.
    pub refuses_stored: bool,
    /// `only-if-cached`: the request does not go to the server.
    pub only_stored: bool,
    max_age: Option<u64>,
    min_fresh: Option<u64>,
}

// === impl ResponseDirectives ===

impl ResponseDirectives {
    /// Reads all `Cache-Control` fields of a response.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut read = Self::default();
        let is_text = for_each_directive(headers, |name, value| match name {
            "no-store" | "private" => read.forbids_storing = true,
            "no-cache" => read.restrict(Reuse::Never),
            "no-transform" => read.keeps_coding = true,
            "must-revalidate" | "proxy-revalidate" => read.restrict(Reuse::Fresh),
            "s-maxage" => {
                read.restrict(Reuse::Fresh);
                shorten(&mut read.shared_max_age, value);
            }
            "max-age" => shorten(&mut read.max_age, value),
            "stale-if-error" => shorten(&mut read.stale_if_error, value),
            _ => {}
        });
        read.forbids_storing |= !is_text;
        read
    }

    fn restrict(&mut self, reuse: Reuse) {
        self.reuse = self.reuse.max(reuse);
    }
}

// === impl CacheDemands ===

impl CacheDemands {
    /// Reads `Cache-Control` of a request, or `Pragma` without it (RFC 9111 § 5.4).
    pub fn of(headers: &HeaderMap) -> Self {
        let mut read = Self::default();
        let is_text = for_each_directive(headers, |name, value| match name {
            "no-store" | "no-cache" => read.refuses_stored = true,
            "only-if-cached" => read.only_stored = true,
            "max-age" => shorten(&mut read.max_age, value),
            "min-fresh" => read.min_fresh = Some(seconds(value).unwrap_or(u64::MAX)),
            _ => {}
        });
        let pragma = !headers.contains_key(header::CACHE_CONTROL)
            && crate::headers::list_contains(headers, &header::PRAGMA, "no-cache");
        read.refuses_stored |= pragma || !is_text;
        read
    }

    /// Whether a response of this age that stays fresh for so long may be used, both in seconds.
    pub fn admit(&self, age: u64, fresh_for: u64) -> bool {
        !self.refuses_stored
            && self.max_age.is_none_or(|most| age <= most)
            && self.min_fresh.is_none_or(|least| fresh_for >= least)
    }
}

/// A repeated directive counts as its shortest value, a malformed one as zero (§ 4.2.1).
fn shorten(known: &mut Option<u64>, value: Option<&str>) {
    let seconds = seconds(value).unwrap_or(0);
    *known = Some(known.map_or(seconds, |known| known.min(seconds)));
}

/// Parses `delta-seconds` (§ 1.2.2), which may be quoted and saturates.
pub(super) fn seconds(value: Option<&str>) -> Option<u64> {
    let digits = value?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(MOST).min(MOST))
}

/// Calls `each` with the name in lower case and the unquoted value of each directive. Returns whether
/// all fields are text: a directive in another field could be missed.
fn for_each_directive(headers: &HeaderMap, mut each: impl FnMut(&str, Option<&str>)) -> bool {
    let mut is_text = true;
    for line in headers.get_all(header::CACHE_CONTROL) {
        match line.to_str() {
            Ok(text) => elements(text, |element| {
                let (name, value) = match element.split_once('=') {
                    Some((name, value)) => (name, Some(unquoted(value.trim()))),
                    None => (element, None),
                };
                each(&name.trim().to_ascii_lowercase(), value);
            }),
            Err(_) => is_text = false,
        }
    }
    is_text
}

/// Splits a list at commas outside of quoted strings (RFC 9110 § 5.6.1).
fn elements(text: &str, mut each: impl FnMut(&str)) {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|character| {
        let was_escaped = std::mem::take(&mut escaped);
        match character {
            '"' if !was_escaped => quoted = !quoted,
            '\\' => escaped = quoted && !was_escaped,
            ',' => return !quoted,
            _ => {}
        }
        false
    });
    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .for_each(&mut each);
    // Without its end, a quoted string hides the directives after it.
    if quoted {
        text.split(',').map(str::trim).for_each(each);
    }
}

fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value)
}

/// Whether `Vary` names nothing but `Accept-Encoding`.
pub(super) fn varies_by_coding_only(headers: &HeaderMap) -> bool {
    let is_known = |value: &HeaderValue| {
        let Ok(text) = value.to_str() else {
            return false;
        };
        let mut names = text.split(',').map(str::trim);
        names.all(|name| name.is_empty() || name.eq_ignore_ascii_case("accept-encoding"))
    };
    headers.get_all(header::VARY).iter().all(is_known)
}

/// 2^31 seconds, above which all lifetimes are alike (RFC 9111 § 1.2.2).
const MOST: u64 = 1 << 31;
