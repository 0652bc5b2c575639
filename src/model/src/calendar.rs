//! One meeting as calendars take it: an iCalendar file, and the addresses that open a filled-in form.
//!
//! Nothing here knows an account or sends anything; the person whose calendar it is does.

mod ics;

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::{clock::Timestamp, time_format};

/// One meeting. Its texts are hostile; its address is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Names the event for ever: importing it again changes it in place of adding another.
    pub uid: String,
    /// What it is called.
    pub title: String,
    /// When it begins.
    pub start: Timestamp,
    /// How long it takes.
    pub duration: Duration,
    /// The meeting's page.
    pub url: Url,
    /// What else is to be said; may have lines.
    pub description: String,
}

/// Whose Outlook on the web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// An organisation's (Microsoft 365).
    Work,
    /// A person's own (Outlook.com).
    Personal,
}

// === impl Event ===

impl Event {
    /// The iCalendar file (RFC 5545), made at `stamp`.
    pub fn ics(&self, stamp: Timestamp) -> String {
        ics::file(self, stamp)
    }

    /// The address of Google Calendar's form.
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

    /// The address of Outlook's form.
    pub fn outlook_url(&self, whose: Outlook) -> String {
        address(
            whose.form(),
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

    /// A description with the address below it, because not everything shows the place as a link.
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

/// Spaces as `%20`: Outlook shows the form's `+` as it is.
fn address(form: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, IN_QUERY)))
        .collect();
    format!("{form}?{}", pairs.join("&"))
}

/// What of a text goes into an address: no control characters but line feeds, and not too much.
fn shortened(text: &str) -> String {
    clean(text).chars().take(MAX_IN_ADDRESS).collect()
}

/// Line feeds for every kind of line end, and no other control characters.
fn clean(text: &str) -> String {
    text.replace("\r\n", "\n")
        .replace(['\r', '\u{85}', '\u{2028}', '\u{2029}'], "\n")
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect()
}

/// `2026-11-21T09:30:00Z`.
fn extended(time: Timestamp) -> String {
    time_format::format_rfc3339(time.as_unix())
}

/// `20261121T093000Z`.
fn basic(time: Timestamp) -> String {
    extended(time).replace(['-', ':'], "")
}

/// The unreserved characters stay (RFC 3986 § 2.3).
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Browsers and servers take addresses of 8000 characters; one of ours has two texts of up to 9
/// characters for each of theirs.
const MAX_IN_ADDRESS: usize = 300;

#[cfg(test)]
mod tests;
