//! Decisions of a shared cache for public files (RFC 9111), and the parts of RFC 9110 that a server of
//! stored responses needs: content negotiation by coding, conditions and ranges.
//!
//! A strict subset: only what is certain to be public, fresh and complete is stored, and whatever is
//! malformed or unknown counts as the stricter case; only a malformed `Age` counts as none (RFC 9111 § 5.1).

mod accept_encoding;
mod byte_range;
mod conditions;
mod directives;
mod freshness;
mod storability;

pub use self::{
    accept_encoding::{AcceptedCodings, ContentCoding},
    byte_range::{ByteRange, RangeOutcome},
    conditions::{Validators, is_unchanged, range_condition_holds},
    directives::{CacheDemands, ResponseDirectives, Reuse},
    freshness::{Exchange, Freshness},
    storability::{NotStorable, check_storable},
};

use http::{HeaderMap, HeaderName};

use crate::clock::Timestamp;

/// The `Date` of a response.
pub fn response_date(headers: &HeaderMap) -> Option<Timestamp> {
    date_of(headers, &http::header::DATE)
}

/// Parses an HTTP date in any of its three forms (RFC 9110 § 5.6.7).
fn parse_date(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_unix(since.as_secs()))
}

/// The date in a field that occurs once; `None` if it is absent, repeated or malformed.
fn date_of(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    parse_date(single(headers, name)?)
}

/// The text of a field that occurs once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    match values.next() {
        None => value.to_str().ok(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
