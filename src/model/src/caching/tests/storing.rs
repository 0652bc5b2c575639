//! What is stored, and how long it is fresh.

use std::time::Duration;

use http::StatusCode;

use super::fields;
use crate::{
    caching::{CacheDemands, ContentCoding, Exchange, Freshness, NotStorable, check_storable},
    clock::Timestamp,
};

/// 2027-01-15 08:00:00.
const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const DATE: &str = "date: Fri, 15 Jan 2027 08:00:00 GMT";
const SCRIPT: &str = "content-type: text/javascript";

fn freshness(lines: &[&str], versioned: bool) -> Freshness {
    let exchange = Exchange {
        requested: NOW,
        received: NOW,
    };
    Freshness::of(&fields(lines), exchange, versioned)
}

#[test]
fn lifetimes_are_those_of_the_strictest_reading() {
    for (lines, left) in [
        (&["cache-control: max-age=60"][..], 60),
        (&["cache-control: MAX-AGE=60"], 60),
        (&["cache-control: max-age=\"60\""], 60),
        (&["cache-control: public, max-age = 60"], 60),
        (&["cache-control: max-age=60, max-age=5"], 5),
        (
            &["cache-control: max-age=5", "cache-control: max-age=60"],
            5,
        ),
        (&["cache-control: max-age=60, s-maxage=7"], 7),
        (&["cache-control: s-maxage=7, max-age=60"], 7),
        (&["cache-control: max-age=60, s-maxage=0"], 0),
        (&["cache-control: max-age=-1"], 0),
        (&["cache-control: max-age=6e3"], 0),
        (&["cache-control: max-age=1.5"], 0),
        (&["cache-control: max-age"], 0),
        (&["cache-control: max-age=60, no-cache"], 0),
        (&["cache-control: max-age=60, No-Cache=\"x-a\""], 0),
        (&["cache-control: max-age=99999999999999999999"], 1 << 31),
        (&["cache-control: x=\"max-age=60\""], 0),
        (&["cache-control: x=\"a, max-age=60\""], 0),
        (&["cache-control: x=\"a\\\", b\", max-age=60"], 60),
        (&["cache-control: public"], 0),
        (&["cache-control: immutable"], 0),
        (&["expires: Fri, 15 Jan 2027 08:01:00 GMT", DATE], 60),
        (&["expires: Friday, 15-Jan-27 08:01:00 GMT", DATE], 60),
        (&["expires: Fri Jan 15 08:01:00 2027", DATE], 60),
        (&["expires: Fri, 15 Jan 2027 08:01:00 GMT"], 60),
        (&["expires: Fri, 15 Jan 2027 07:00:00 GMT", DATE], 0),
        (&["expires: 0", DATE], 0),
        (&["expires: -1"], 0),
        (&["expires: 60"], 0),
        (&["expires: Fri, 15 Jan 2027 08:01:00 +0100", DATE], 0),
        (&["expires: Fri, 15 Jan 2027 08:01:00 GMT", "expires: 0"], 0),
        (
            &[
                "cache-control: max-age=5",
                "expires: Fri, 15 Jan 2027 08:01:00 GMT",
            ],
            5,
        ),
        (&["cache-control: max-age=60", "pragma: no-cache"], 60),
        (&[], 0),
    ] {
        assert_eq!(freshness(lines, false).left(NOW), left, "{lines:?}");
    }
}

#[test]
fn a_heuristic_needs_a_version_and_is_bounded() {
    let modified = |date: &str| format!("last-modified: {date}");
    for (lines, versioned, left) in [
        (modified("Fri, 15 Jan 2027 07:00:00 GMT"), true, 360),
        (modified("Fri, 15 Jan 2027 07:00:00 GMT"), false, 0),
        (modified("Fri, 15 Jan 2021 07:00:00 GMT"), true, 86_400),
        (modified("Fri, 15 Jan 2027 09:00:00 GMT"), true, 0),
        (modified("yesterday"), true, 0),
        ("etag: \"a\"".to_owned(), true, 0),
    ] {
        let found = freshness(&[DATE, &lines], versioned).left(NOW);
        assert_eq!(found, left, "{lines} {versioned}");
    }
    // What is said explicitly counts.
    let modified = modified("Fri, 15 Jan 2021 07:00:00 GMT");
    for line in [
        "cache-control: max-age=0",
        "cache-control: no-cache",
        "expires: 0",
    ] {
        assert_eq!(
            freshness(&[DATE, &modified, line], true).left(NOW),
            0,
            "{line}"
        );
    }
}

#[test]
fn the_age_is_the_greater_of_the_stated_and_the_apparent_one() {
    let lived = "cache-control: max-age=100";
    for (lines, age) in [
        (&[lived][..], 0),
        (&[lived, "age: 40"], 40),
        (
            &[lived, "age: 40", "date: Fri, 15 Jan 2027 07:59:30 GMT"],
            40,
        ),
        (
            &[lived, "age: 20", "date: Fri, 15 Jan 2027 07:59:30 GMT"],
            30,
        ),
        // A server's clock that is ahead.
        (&[lived, "date: Fri, 15 Jan 2027 09:00:00 GMT"], 0),
        // An invalid one is ignored, and of several the first counts (RFC 9111 § 5.1).
        (&[lived, "age: x"], 0),
        (&[lived, "age: -5"], 0),
        (&[lived, "age: 5.0"], 0),
        (&[lived, "age: 5;a=6"], 0),
        (&[lived, "age:"], 0),
        (
            &[lived, "age: x", "date: Fri, 15 Jan 2027 07:59:30 GMT"],
            30,
        ),
        (&[lived, "age: 7", "age: 8"], 7),
        (&[lived, "age: 8, 7"], 8),
        (&[lived, "age: , 8"], 8),
        (&[lived, "age: x", "age: 8"], 0),
        (&[lived, "age: 99999999999"], 1 << 31),
    ] {
        assert_eq!(freshness(lines, false).age(NOW), age, "{lines:?}");
    }
    let slow = Exchange {
        requested: NOW.before(Duration::from_secs(9)),
        received: NOW,
    };
    let found = Freshness::of(&fields(&[lived, "age: 5"]), slow, false);
    assert_eq!(found.age(NOW), 14, "with the delay of the answer");
    let later = NOW.after(Duration::from_secs(85));
    assert!(found.is_fresh(later) && found.age(later) == 99);
    assert!(!found.is_fresh(NOW.after(Duration::from_secs(86))));
}

#[test]
fn a_stale_response_replaces_an_error_only_if_it_says_so() {
    for (line, seconds) in [
        ("cache-control: max-age=10", 10),
        ("cache-control: max-age=10, stale-if-error=30", 40),
        ("cache-control: max-age=10, stale-if-error", 10),
        ("cache-control: max-age=10, stale-if-error=x", 10),
        (
            "cache-control: max-age=10, stale-if-error=30, must-revalidate",
            10,
        ),
        (
            "cache-control: max-age=10, stale-if-error=30, proxy-revalidate",
            10,
        ),
        ("cache-control: s-maxage=10, stale-if-error=30", 10),
        ("cache-control: max-age=10, stale-if-error=30, no-cache", 0),
        ("cache-control: max-age=10, stale-while-revalidate=30", 10),
    ] {
        let found = freshness(&[line], false);
        let usable = |at| found.is_usable_on_error(NOW.after(Duration::from_secs(at)));
        assert!(seconds == 0 || usable(seconds - 1), "{line}");
        assert!(!usable(seconds), "{line}");
    }
}

#[test]
fn only_public_complete_files_are_stored() {
    use NotStorable::{Coding, Cookie, Forbidden, Page, Status, Varies};
    let gzip = ContentCoding::Gzip;
    for (lines, refused) in [
        (&[SCRIPT][..], None),
        (
            &[SCRIPT, "content-encoding: gzip", "vary: Accept-Encoding"],
            None,
        ),
        (&[SCRIPT, "content-encoding: GZIP"], None),
        (&[SCRIPT, "vary: accept-encoding, Accept-Encoding,"], None),
        (&[SCRIPT, "cache-control: public, no-transform"], None),
        (&[SCRIPT, "set-cookie: a=1"], Some(Cookie)),
        (&[SCRIPT, "set-cookie2: a=1"], Some(Cookie)),
        (
            &[
                SCRIPT,
                "set-cookie: a=1",
                "cache-control: public, max-age=9",
            ],
            Some(Cookie),
        ),
        (&[SCRIPT, "cache-control: no-store"], Some(Forbidden)),
        (
            &[SCRIPT, "cache-control: max-age=9, No-Store"],
            Some(Forbidden),
        ),
        (&[SCRIPT, "cache-control: private"], Some(Forbidden)),
        (
            &[SCRIPT, "cache-control: PRIVATE, max-age=9"],
            Some(Forbidden),
        ),
        (
            &[SCRIPT, "cache-control: private=\"x-name\""],
            Some(Forbidden),
        ),
        (
            &[SCRIPT, "cache-control: public", "cache-control: private"],
            Some(Forbidden),
        ),
        (
            &[SCRIPT, "cache-control: x=\"unclosed, no-store"],
            Some(Forbidden),
        ),
        (
            &[SCRIPT, "cache-control: max-age=9, no-store, x=\u{e9}"],
            Some(Forbidden),
        ),
        (&[SCRIPT, "www-authenticate: Basic"], Some(Forbidden)),
        (&[SCRIPT, "vary: *"], Some(Varies)),
        (&[SCRIPT, "vary: origin"], Some(Varies)),
        (&[SCRIPT, "vary: accept-encoding, cookie"], Some(Varies)),
        (
            &[SCRIPT, "vary: accept-encoding", "vary: user-agent"],
            Some(Varies),
        ),
        (&[SCRIPT, "vary: \u{e9}"], Some(Varies)),
        (&[SCRIPT, "content-encoding: br"], Some(Coding)),
        (&[SCRIPT, "content-encoding: zstd"], Some(Coding)),
        (&[SCRIPT, "content-encoding: gzip, gzip"], Some(Coding)),
        (
            &[SCRIPT, "content-encoding: gzip", "content-encoding: br"],
            Some(Coding),
        ),
        (&["content-type: text/html; charset=utf-8"], Some(Page)),
        (&["content-type: TEXT/HTML"], Some(Page)),
        (&["content-type: application/xhtml+xml"], Some(Page)),
        (&[], Some(Page)),
        (&[SCRIPT, "content-range: bytes 0-1/2"], Some(Status)),
    ] {
        let found = check_storable(StatusCode::OK, &fields(lines), gzip).err();
        assert_eq!(found, refused, "{lines:?}");
    }
    let coded = fields(&[SCRIPT, "content-encoding: gzip"]);
    let unasked = check_storable(StatusCode::OK, &coded, ContentCoding::Identity);
    assert_eq!(unasked, Err(Coding));
    for status in [201, 203, 204, 206, 301, 304, 400, 404, 410, 500] {
        let status = StatusCode::from_u16(status).unwrap();
        let found = check_storable(status, &fields(&[SCRIPT]), gzip);
        assert_eq!(found, Err(Status), "{status}");
    }
}

#[test]
fn requests_can_demand_a_newer_response() {
    for (lines, admitted) in [
        (&[][..], true),
        (&["cache-control: max-age=30"], true),
        (&["cache-control: max-age=29"], false),
        (&["cache-control: max-age=0"], false),
        (&["cache-control: max-age=x"], false),
        (&["cache-control: no-cache"], false),
        (&["cache-control: No-Store"], false),
        (&["cache-control: min-fresh=60"], true),
        (&["cache-control: min-fresh=61"], false),
        (&["cache-control: min-fresh"], false),
        (&["cache-control: max-stale"], true),
        (&["cache-control: only-if-cached"], true),
        (&["pragma: no-cache"], false),
        (&["pragma: no-cache", "cache-control: max-age=60"], true),
        (&["cache-control: \u{e9}"], false),
    ] {
        let demands = CacheDemands::of(&fields(lines));
        assert_eq!(demands.admit(30, 60), admitted, "{lines:?}");
    }
    assert!(CacheDemands::of(&fields(&["cache-control: only-if-cached"])).only_stored);
}
