//! The iCalendar format (RFC 5545), as far as one event needs it.

use std::fmt::Write as _;

use super::{CalendarEvent, basic, clean};
use crate::clock::Timestamp;

/// Formats a file of one event.
///
/// Without `METHOD`, programs add the event. With one, the file would be a message of the scheduling
/// protocol iTIP, which requires an organizer and attendees (RFC 5546 § 3.2).
pub(super) fn file(event: &CalendarEvent, stamp: Timestamp) -> String {
    let mut lines = Lines(String::new());
    lines.push("BEGIN:VCALENDAR");
    lines.push("VERSION:2.0");
    lines.push(PRODUCT);
    lines.push("BEGIN:VEVENT");
    lines.text("UID", &event.uid);
    lines.push(&format!("DTSTAMP:{}", basic(stamp)));
    lines.push(&format!("DTSTART:{}", basic(event.start)));
    lines.push(&format!("DTEND:{}", basic(event.end())));
    lines.text("SUMMARY", &event.title);
    lines.text("DESCRIPTION", &event.details(&event.description));
    // Many programs show `LOCATION` and neither `URL` nor `CONFERENCE`.
    lines.text("LOCATION", event.url.as_str());
    lines.push(&format!("URL:{}", event.url));
    // RFC 7986 § 5.11, which requires `VALUE`.
    lines.push(&format!(
        "CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO:{}",
        event.url
    ));
    lines.push("END:VEVENT");
    lines.push("END:VCALENDAR");
    lines.0
}

/// Folded content lines (RFC 5545 § 3.1).
struct Lines(String);

// === impl Lines ===

impl Lines {
    /// Appends a property with an escaped text value (RFC 5545 § 3.3.11).
    fn text(&mut self, name: &str, value: &str) {
        let mut line = format!("{name}:");
        for c in clean(value).chars() {
            match c {
                '\n' => line.push_str("\\n"),
                '\\' | ';' | ',' => write!(line, "\\{c}").expect("writing to a string works"),
                c => line.push(c),
            }
        }
        self.push(&line);
    }

    /// Appends a line, folded at 75 octets and never within a character.
    fn push(&mut self, line: &str) {
        let mut octets = 0;
        for c in line.chars() {
            if octets + c.len_utf8() > MAX_OCTETS {
                self.0.push_str("\r\n ");
                octets = 1;
            }
            self.0.push(c);
            octets += c.len_utf8();
        }
        self.0.push_str("\r\n");
    }
}

const PRODUCT: &str = "PRODID:-//jitsi-auth-gateway//EN";

/// The octets of a folded line without its line break (RFC 5545 § 3.1).
const MAX_OCTETS: usize = 75;
