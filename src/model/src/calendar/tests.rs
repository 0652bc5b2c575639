use icalendar::{Calendar, CalendarComponent, Component};
use proptest::prelude::*;

use super::*;

const STAMP: Timestamp = Timestamp::from_unix(1_795_000_000);

fn event(title: &str, description: &str) -> CalendarEvent {
    CalendarEvent {
        uid: "calm-otter-4821-k7qd3m2a@meet.example.org".to_owned(),
        title: title.to_owned(),
        start: Timestamp::from_unix(1_800_000_000),
        duration: Duration::from_mins(45),
        url: Url::parse("https://meet.example.org/calm-otter-4821-k7qd3m2a").unwrap(),
        description: description.to_owned(),
    }
}

/// The event that another implementation parses from the file.
fn read(file: &str) -> icalendar::Event {
    let calendar: Calendar = file.parse().unwrap();
    let [CalendarComponent::Event(event)] = calendar.components.as_slice() else {
        panic!("{file}");
    };
    event.clone()
}

#[test]
fn the_file_has_the_properties_of_the_event() {
    assert_eq!(
        event("Plan", "Bring tea").ics(STAMP).replace("\r\n", "\n"),
        "BEGIN:VCALENDAR\n\
         VERSION:2.0\n\
         PRODID:-//jitsi-auth-gateway//EN\n\
         BEGIN:VEVENT\n\
         UID:calm-otter-4821-k7qd3m2a@meet.example.org\n\
         DTSTAMP:20261118T110640Z\n\
         DTSTART:20270115T080000Z\n\
         DTEND:20270115T084500Z\n\
         SUMMARY:Plan\n\
         DESCRIPTION:Bring tea\\n\\nhttps://meet.example.org/calm-otter-4821-k7qd3m2a\n\
         LOCATION:https://meet.example.org/calm-otter-4821-k7qd3m2a\n\
         URL:https://meet.example.org/calm-otter-4821-k7qd3m2a\n\
         CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO:https://meet.example.org/calm-otte\n r-4821-k7qd3m2a\n\
         END:VEVENT\n\
         END:VCALENDAR\n"
    );
}

#[test]
fn hostile_texts_add_no_property() {
    let hostile = [
        "a\r\nATTENDEE:mailto:x@example.org",
        "a\nEND:VEVENT",
        "a\rBEGIN:VALARM",
        "a\u{2028}METHOD:REQUEST",
        "a\u{85}METHOD:REQUEST",
        "back\\slash, comma; semicolon: colon \"quote\"",
        "\\n\\N\\\\",
        "\u{0}\u{7}\u{1b}[31m",
        "<script>alert(1)</script>",
    ];
    for text in hostile {
        let file = event(text, text).ics(STAMP);
        let mut properties = 0;
        for line in unfolded(&file) {
            let name = line.split([':', ';']).next().unwrap();
            assert!(NAMES.contains(&name), "{line:?}");
            properties += 1;
        }
        assert_eq!(properties, 15, "{file}");
        let read = read(&file);
        assert_eq!(read.get_summary().unwrap(), clean(text), "{text:?}");
    }
}

#[test]
fn addresses_prefill_the_forms() {
    let event = event("Tea & \"talk\" #1\r\n+x", "50% off?");
    let expected = "https://meet.example.org/calm-otter-4821-k7qd3m2a";
    let google = Url::parse(&event.google_url()).unwrap();
    assert_eq!(google.host_str(), Some("calendar.google.com"));
    assert_eq!(field(&google, "text"), "Tea & \"talk\" #1\n+x");
    assert_eq!(field(&google, "dates"), "20270115T080000Z/20270115T084500Z");
    assert_eq!(field(&google, "details"), format!("50% off?\n\n{expected}"));
    assert_eq!(google.fragment(), None);
    for (edition, host) in [
        (Outlook::Work, "outlook.office.com"),
        (Outlook::Personal, "outlook.live.com"),
    ] {
        let outlook = Url::parse(&event.outlook_url(edition)).unwrap();
        assert_eq!(outlook.host_str(), Some(host));
        assert_eq!(field(&outlook, "subject"), "Tea & \"talk\" #1\n+x");
        assert_eq!(field(&outlook, "startdt"), "2027-01-15T08:00:00Z");
        assert_eq!(field(&outlook, "enddt"), "2027-01-15T08:45:00Z");
        assert_eq!(field(&outlook, "location"), expected);
        assert!(!outlook.query().unwrap().contains('+'));
    }
}

#[test]
fn long_texts_and_far_times_stay_within_limits() {
    let far = CalendarEvent {
        start: Timestamp::from_unix(u64::MAX),
        ..event(&"ä".repeat(10_000), &"\u{1f389}".repeat(10_000))
    };
    assert!(far.google_url().len() < 8000 && far.outlook_url(Outlook::Work).len() < 8000);
    assert!(far.ics(STAMP).contains("DTSTART:99991231T235959Z\r\n"));
}

proptest! {
    #[test]
    fn another_implementation_parses_any_title(title in "\\PC{0,120}", description: String) {
        let file = event(&title, &description).ics(STAMP);
        for line in file.split_terminator("\r\n") {
            prop_assert!(line.len() <= 75, "{line:?}");
            prop_assert!(!line.contains(['\r', '\n']));
        }
        let read = read(&file);
        let expected = clean(&title);
        prop_assert_eq!(read.get_summary().unwrap_or_default(), expected);
        prop_assert_eq!(read.get_url(), Some("https://meet.example.org/calm-otter-4821-k7qd3m2a"));
        prop_assert!(read.get_start().is_some() && read.get_end().is_some());
    }
}

fn unfolded(file: &str) -> Vec<String> {
    let lines = file.replace("\r\n ", "");
    lines
        .split_terminator("\r\n")
        .map(ToOwned::to_owned)
        .collect()
}

fn field(url: &Url, name: &str) -> String {
    url.query_pairs()
        .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
        .unwrap()
}

const NAMES: &[&str] = &[
    "BEGIN",
    "VERSION",
    "PRODID",
    "UID",
    "DTSTAMP",
    "DTSTART",
    "DTEND",
    "SUMMARY",
    "DESCRIPTION",
    "LOCATION",
    "URL",
    "CONFERENCE",
    "END",
];
