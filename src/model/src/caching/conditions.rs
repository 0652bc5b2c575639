//! Conditional requests for a stored response (RFC 9110 § 13).

use http::{HeaderMap, HeaderValue, header};

use super::{date_of, parse_date, single};
use crate::clock::Timestamp;

/// What identifies a version of a file.
#[derive(Clone, Debug, Default)]
pub struct Validators {
    /// `ETag`, with its quotes.
    pub etag: Option<HeaderValue>,
    /// `Last-Modified`, as it was written.
    pub last_modified: Option<HeaderValue>,
}

// === impl Validators ===

impl Validators {
    /// Reads them from a response; malformed ones are none.
    pub fn of(headers: &HeaderMap) -> Self {
        let etag = single(headers, &header::ETAG).filter(|tag| is_entity_tag(tag));
        let last_modified = single(headers, &header::LAST_MODIFIED);
        let last_modified = last_modified.filter(|date| parse_date(date).is_some());
        Self {
            etag: etag.and_then(|_| headers.get(header::ETAG).cloned()),
            last_modified: last_modified.and_then(|_| headers.get(header::LAST_MODIFIED).cloned()),
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// The same with an entity tag that names any coding of the file (§ 8.8.1).
    #[must_use]
    pub fn weakened(&self) -> Self {
        let etag = self.etag.as_ref().and_then(|tag| match tag.to_str() {
            Ok(text) if !text.starts_with("W/") => HeaderValue::try_from(format!("W/{text}")).ok(),
            _ => Some(tag.clone()),
        });
        Self {
            etag,
            last_modified: self.last_modified.clone(),
        }
    }

    fn modified(&self) -> Option<Timestamp> {
        parse_date(self.last_modified.as_ref()?.to_str().ok()?)
    }
}

/// Whether the client of a GET or HEAD has this version already: `If-None-Match`, or
/// `If-Modified-Since` without it (§ 13.2.2).
pub fn is_unchanged(request: &HeaderMap, validators: &Validators) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        let lines = request.get_all(header::IF_NONE_MATCH).iter();
        let own = validators.etag.as_ref().and_then(|tag| tag.to_str().ok());
        let matches = |text: &str| {
            text.trim() == "*"
                || own.is_some_and(|own| entity_tags(text).any(|tag| opaque(tag) == opaque(own)))
        };
        return lines.filter_map(|line| line.to_str().ok()).any(matches);
    }
    let since = date_of(request, &header::IF_MODIFIED_SINCE);
    match (validators.modified(), since) {
        (Some(modified), Some(since)) => modified <= since,
        _ => false,
    }
}

/// Whether `If-Range` lets a range be served: it is absent, or names exactly this version by a strong
/// validator (§ 13.1.5). `date` is that of the response.
pub fn range_condition_holds(
    request: &HeaderMap,
    validators: &Validators,
    date: Option<Timestamp>,
) -> bool {
    if !request.contains_key(header::IF_RANGE) {
        return true;
    }
    let Some(condition) = single(request, &header::IF_RANGE).map(str::trim) else {
        return false;
    };
    if is_entity_tag(condition) {
        let own = validators.etag.as_ref().and_then(|tag| tag.to_str().ok());
        return !condition.starts_with("W/") && own == Some(condition);
    }
    let is_strong = |modified: Timestamp| {
        // Within a second of its making, a file may have changed again (§ 8.8.2.2).
        date.is_some_and(|date| date.since(modified).as_secs() >= 1)
    };
    let modified = validators.modified();
    modified == parse_date(condition) && modified.is_some_and(is_strong)
}

fn is_entity_tag(text: &str) -> bool {
    let opaque = opaque(text);
    opaque.len() >= 2
        && opaque.starts_with('"')
        && opaque.ends_with('"')
        && opaque.matches('"').count() == 2
}

/// An entity tag without the mark of weakness.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The entity tags of a list; a tag may contain commas.
fn entity_tags(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    list.split(move |character| {
        if character == '"' {
            quoted = !quoted;
        }
        character == ',' && !quoted
    })
    .map(str::trim)
}
