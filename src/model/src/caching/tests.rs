//! Tables of the cases that public test suites for HTTP caches have, written anew.

mod negotiation;
mod storing;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Header fields, one a line.
fn fields(lines: &[&str]) -> HeaderMap {
    let field = |line: &&str| {
        let (name, value) = line.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        (
            name,
            HeaderValue::from_bytes(value.trim().as_bytes()).unwrap(),
        )
    };
    lines.iter().map(field).collect()
}
