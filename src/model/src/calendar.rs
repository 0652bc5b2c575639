//! Calendar entries of a meeting: an iCalendar file, and addresses of prefilled web forms.
//!
//! No calendar account is involved; the visitor imports the file or submits the form.

mod ics;

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::{clock::Timestamp, time_format};

/// One meeting. Title and description are hostile texts; the URL is the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarEvent {
    /// The stable id (RFC 5545 § 3.8.4.7): a second import updates the entry.
    pub uid: String,
    /// The title; one line.
    pub title: String,
    /// The start time.
    pub start: Timestamp,
    /// The duration.
    pub duration: Duration,
    /// The meeting's page.
    pub url: Url,
    /// Further text; may have several lines.
    pub description: String,
}

/// An edition of Outlook on the web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Microsoft 365, of an organization.
    Work,
    /// Outlook.com, of a person.
    Personal,
}

// === impl CalendarEvent ===

impl CalendarEvent {
    /// The iCalendar file (RFC 5545); `stamp` is its creation time.
    pub fn ics(&self, stamp: Timestamp) -> String {
        ics::file(self, stamp)
    }

    /// The address of Google Calendar's prefilled form.
    pub fn google_url(&self) -> String {
        let dates = format!("{}/{}", basic(self.start), basic(self.end()));
        address(
            "https://calendar.google.com/calendar/render",
            &[
                ("action", "TEMPLATE"),
                ("text", &shortened(&self.title)),
                ("dates", &dates),
                ("location", self.url.as_str()),
                ("details", &self.details(&shortened(&self.description))),
            ],
        )
    }

    /// The address of Outlook's prefilled form.
    pub fn outlook_url(&self, edition: Outlook) -> String {
        address(
            edition.form(),
            &[
                ("path", "/calendar/action/compose"),
                ("rru", "addevent"),
                ("subject", &shortened(&self.title)),
                ("startdt", &extended(self.start)),
                ("enddt", &extended(self.end())),
                ("location", self.url.as_str()),
                ("body", &self.details(&shortened(&self.description))),
            ],
        )
    }

    fn end(&self) -> Timestamp {
        self.start.after(self.duration)
    }

    /// The description followed by the URL: some programs do not show the location as a link.
    fn details(&self, description: &str) -> String {
        if description.is_empty() {
            self.url.to_string()
        } else {
            format!("{description}\n\n{}", self.url)
        }
    }
}

// === impl Outlook ===

impl Outlook {
    const fn form(self) -> &'static str {
        match self {
            Self::Work => "https://outlook.office.com/calendar/0/deeplink/compose",
            Self::Personal => "https://outlook.live.com/calendar/0/deeplink/compose",
        }
    }
}

/// Appends a query, with `%20` for spaces: Outlook shows `+` literally.
fn address(form: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, IN_QUERY)))
        .collect();
    format!("{form}?{}", pairs.join("&"))
}

/// Cleans a text and truncates it for an address.
fn shortened(text: &str) -> String {
    clean(text).chars().take(MAX_IN_ADDRESS).collect()
}

/// Replaces every kind of line end by a line feed and removes other control characters.
fn clean(text: &str) -> String {
    text.replace("\r\n", "\n")
        .replace(['\r', '\u{85}', '\u{2028}', '\u{2029}'], "\n")
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect()
}

/// Formats as `2026-11-21T09:30:00Z` (RFC 3339).
fn extended(time: Timestamp) -> String {
    time_format::format_rfc3339(time.as_unix())
}

/// Formats as `20261121T093000Z` (RFC 5545 § 3.3.5).
fn basic(time: Timestamp) -> String {
    extended(time).replace(['-', ':'], "")
}

/// All but the unreserved characters (RFC 3986 § 2.3).
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Keeps an address below the 8000 characters that browsers and servers accept: it has two such
/// texts, and a character becomes up to 12.
const MAX_IN_ADDRESS: usize = 300;

#[cfg(test)]
mod tests;
