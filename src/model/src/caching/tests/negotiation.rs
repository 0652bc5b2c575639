//! Codings, ranges and conditions of requests for a stored response.

use super::fields;
use crate::{
    caching::{
        AcceptedCodings, ByteRange, ContentCoding, RangeOutcome, Validators, is_unchanged,
        range_condition_holds,
    },
    clock::Timestamp,
};

#[test]
fn codings_are_weighed() {
    for (line, brotli, gzip, identity) in [
        ("accept-encoding: gzip, deflate, br", 1000, 1000, 1),
        ("accept-encoding: gzip;q=0.5, br;q=0.25", 250, 500, 1),
        ("accept-encoding: GZIP ; Q=0.005", 0, 5, 1),
        ("accept-encoding: gzip;q=0", 0, 0, 1),
        ("accept-encoding: gzip;q=1.000, identity;q=0", 0, 1000, 0),
        ("accept-encoding: *", 1000, 1000, 1),
        ("accept-encoding: *;q=0", 0, 0, 0),
        ("accept-encoding: identity;q=1, *;q=0", 0, 0, 1000),
        ("accept-encoding: br, *;q=0", 1000, 0, 0),
        ("accept-encoding: x-gzip", 0, 1000, 1),
        ("accept-encoding: gzip;q=2", 0, 0, 1),
        ("accept-encoding: gzip;q=-1", 0, 0, 1),
        ("accept-encoding: gzip;q=0.1234", 0, 0, 1),
        ("accept-encoding: gzip;q=+.5", 0, 0, 1),
        ("accept-encoding: gzip;x=1", 0, 0, 1),
        ("accept-encoding: gzip;q", 0, 0, 1),
        ("accept-encoding:", 0, 0, 1),
        ("x: y", 0, 0, 1),
    ] {
        let found = AcceptedCodings::of(&fields(&[line]));
        let weights = [
            ContentCoding::Brotli,
            ContentCoding::Gzip,
            ContentCoding::Identity,
        ]
        .map(|coding| found.weight(coding));
        assert_eq!(weights, [brotli, gzip, identity], "{line}");
    }
    let ask = |line| AcceptedCodings::of(&fields(&[line])).to_ask();
    assert_eq!(ask("accept-encoding: br, gzip"), ContentCoding::Gzip);
    assert_eq!(ask("accept-encoding: br"), ContentCoding::Identity);
    let media = "accept-encoding: identity;q=1, *;q=0";
    assert_eq!(ask(media), ContentCoding::Identity);
}

#[test]
fn one_range_is_served_and_others_are_ignored() {
    let part = |bytes| RangeOutcome::Part(ByteRange { bytes, of: 10 });
    for (line, outcome) in [
        ("range: bytes=0-3", part(0..4)),
        ("range: Bytes=0-0", part(0..1)),
        ("range: bytes=4-", part(4..10)),
        ("range: bytes=4-99999999999999999999999", part(4..10)),
        ("range: bytes=-3", part(7..10)),
        ("range: bytes=-30", part(0..10)),
        ("range: bytes=9-9", part(9..10)),
        ("range: bytes=10-", RangeOutcome::Unsatisfiable),
        ("range: bytes=10-12", RangeOutcome::Unsatisfiable),
        ("range: bytes=-0", RangeOutcome::Unsatisfiable),
        (
            "range: bytes=99999999999999999999999-",
            RangeOutcome::Unsatisfiable,
        ),
        ("range: bytes=0-1,4-5", RangeOutcome::Whole),
        ("range: bytes=5-4", RangeOutcome::Whole),
        ("range: bytes=-", RangeOutcome::Whole),
        ("range: bytes=a-b", RangeOutcome::Whole),
        ("range: bytes=+1-2", RangeOutcome::Whole),
        ("range: bytes 0-3", RangeOutcome::Whole),
        ("range: lines=0-3", RangeOutcome::Whole),
        ("range:", RangeOutcome::Whole),
        ("x: y", RangeOutcome::Whole),
    ] {
        assert_eq!(ByteRange::of(&fields(&[line]), 10), outcome, "{line}");
    }
    let twice = fields(&["range: bytes=0-1", "range: bytes=4-5"]);
    assert_eq!(ByteRange::of(&twice, 10), RangeOutcome::Whole);
    let empty = ByteRange::of(&fields(&["range: bytes=0-"]), 0);
    assert_eq!(empty, RangeOutcome::Unsatisfiable);
    let part = ByteRange {
        bytes: 4..10,
        of: 10,
    };
    assert_eq!(part.content_range(), "bytes 4-9/10");
}

#[test]
fn a_known_version_is_not_sent_again() {
    let strong = Validators::of(&fields(&[
        "etag: \"a,b\"",
        "last-modified: Fri, 15 Jan 2027 07:00:00 GMT",
    ]));
    let weak = strong.weakened();
    for (lines, unchanged) in [
        (&["if-none-match: \"a,b\""][..], true),
        (&["if-none-match: W/\"a,b\""], true),
        (&["if-none-match: \"x\", \"a,b\""], true),
        (&["if-none-match: \"x\"", "if-none-match: W/\"a,b\""], true),
        (&["if-none-match: *"], true),
        (&["if-none-match: \"x\""], false),
        (&["if-none-match: a,b"], false),
        (&["if-none-match:"], false),
        (&["if-modified-since: Fri, 15 Jan 2027 07:00:00 GMT"], true),
        (&["if-modified-since: Fri, 15 Jan 2027 07:00:01 GMT"], true),
        (&["if-modified-since: Fri, 15 Jan 2027 06:59:59 GMT"], false),
        (&["if-modified-since: now"], false),
        // The entity tag counts where there is one (RFC 9110 § 13.1.3).
        (
            &[
                "if-none-match: \"x\"",
                "if-modified-since: Fri, 15 Jan 2027 07:00:00 GMT",
            ],
            false,
        ),
        (&[], false),
    ] {
        for validators in [&strong, &weak] {
            let found = is_unchanged(&fields(lines), validators);
            assert_eq!(found, unchanged, "{lines:?}");
        }
    }
    let none = Validators::default();
    assert!(!is_unchanged(&fields(&["if-none-match: \"x\""]), &none));
    assert!(!is_unchanged(
        &fields(&["if-modified-since: Fri, 15 Jan 2027 07:00:00 GMT"]),
        &none
    ));
}

#[test]
fn a_range_of_another_version_is_not_served() {
    let strong = Validators::of(&fields(&[
        "etag: \"a\"",
        "last-modified: Fri, 15 Jan 2027 07:00:00 GMT",
    ]));
    let later = Timestamp::parse("2027-01-15T08:00:00Z");
    let same = Timestamp::parse("2027-01-15T07:00:00Z");
    let modified = "if-range: Fri, 15 Jan 2027 07:00:00 GMT";
    for (line, date, holds) in [
        ("x: y", later, true),
        ("if-range: \"a\"", later, true),
        ("if-range: W/\"a\"", later, false),
        ("if-range: \"b\"", later, false),
        ("if-range: a", later, false),
        (modified, later, true),
        (modified, same, false),
        (modified, None, false),
        ("if-range: Fri, 15 Jan 2027 07:00:01 GMT", later, false),
    ] {
        let found = range_condition_holds(&fields(&[line]), &strong, date);
        assert_eq!(found, holds, "{line} {date:?}");
    }
    let weak = strong.weakened();
    assert!(!range_condition_holds(
        &fields(&["if-range: \"a\""]),
        &weak,
        later
    ));
    assert!(!range_condition_holds(
        &fields(&["if-range: W/\"a\""]),
        &weak,
        later
    ));
}
