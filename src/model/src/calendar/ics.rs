//! iCalendar files (RFC 5545).

use std::fmt::Write as _;

use super::{CalendarEvent, basic, clean};
use crate::clock::Timestamp;

/// A file of one event.
///
/// There is no `METHOD`: it would make the file a message of a scheduling protocol, which wants an
/// organizer and attendees (RFC 5546 § 3.2). Without one, programs just add the event.
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
    // Many programs show the place and neither of the two below.
    lines.text("LOCATION", event.url.as_str());
    lines.push(&format!("URL:{}", event.url));
    // RFC 7986 § 5.11; `VALUE` has to be there.
    lines.push(&format!(
        "CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO:{}",
        event.url
    ));
    lines.push("END:VEVENT");
    lines.push("END:VCALENDAR");
    lines.0
}

/// Content lines, folded.
struct Lines(String);

// === impl Lines ===

impl Lines {
    /// A property whose value is a text (RFC 5545 § 3.3.11).
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

    /// A line, folded so that none is longer than 75 octets and no character is torn
    /// (RFC 5545 § 3.1).
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

/// Without the line break.
const MAX_OCTETS: usize = 75;
