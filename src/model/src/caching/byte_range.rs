//! `Range` of one part (RFC 9110 § 14).

use std::ops::Range;

use http::{HeaderMap, header};

use super::single;

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Positions of its bytes.
    pub bytes: Range<usize>,
    /// The length of the whole body.
    pub of: usize,
}

/// What a request for a range gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeOutcome {
    /// The whole body: no range, one of another unit, several, or a malformed one (§ 14.2).
    Whole,
    /// A part of it.
    Part(ByteRange),
    /// 416: the body has no such part.
    Unsatisfiable,
}

// === impl ByteRange ===

impl ByteRange {
    /// Reads `Range` for a body of this length.
    pub fn of(headers: &HeaderMap, length: usize) -> RangeOutcome {
        let range = single(headers, &header::RANGE).and_then(parse);
        let (from, to) = match range {
            None => return RangeOutcome::Whole,
            Some((None, suffix)) => (length.saturating_sub(suffix), length),
            Some((Some(from), last)) => (from, last.saturating_add(1).min(length)),
        };
        if from < to {
            let bytes = from..to;
            RangeOutcome::Part(Self { bytes, of: length })
        } else {
            RangeOutcome::Unsatisfiable
        }
    }

    /// The value of `Content-Range`.
    pub fn content_range(&self) -> String {
        let Range { start, end } = self.bytes;
        format!("bytes {start}-{}/{}", end.saturating_sub(1), self.of)
    }
}

/// First and last position, or the length of a suffix; `None` for what is ignored.
fn parse(text: &str) -> Option<(Option<usize>, usize)> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    match (first, last) {
        ("", suffix) => Some((None, number(suffix)?)),
        (first, "") => Some((Some(number(first)?), usize::MAX)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            // The last position before the first makes the field invalid (§ 14.1.2).
            (first <= last).then_some((Some(first), last))
        }
    }
}

/// A decimal number; saturates.
fn number(digits: &str) -> Option<usize> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(usize::MAX))
}
