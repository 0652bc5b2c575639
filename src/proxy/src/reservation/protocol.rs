//! The texts of `mod_reservations`: what it asks, and what it understands.
//!
//! It compares the `name` of the answer with the room's, wants `id`, `mail_owner`, `start_time` and
//! a number for `duration` in every answer, and takes the room away when the time is over.

use std::{borrow::Cow, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::RoomTerms;
use model::{
    clock::Timestamp,
    room::{RoomKey, Tenant},
    time_format,
};

/// A room that Prosody wants to open, or has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conference {
    asked: Asked,
    room: RoomKey,
}

/// Why Prosody's request cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// The body is too long, or broke off.
    #[error("the form cannot be read")]
    Form,
    /// No name, or one that is no room's canonical one.
    #[error("the name is not that of a room")]
    Name,
    /// Not an id of ours.
    #[error("the id is not known")]
    Id,
}

/// What the answer has to repeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "s")]
    start_time: String,
    #[serde(rename = "o")]
    mail_owner: String,
}

// === impl Conference ===

impl Conference {
    /// Reads the form of a request for a room that opens now.
    pub(super) fn from_form(body: &[u8], now: Timestamp) -> Result<Self, Unreadable> {
        let field = |name: &str| {
            form_urlencoded::parse(body)
                .find_map(|(key, value)| (key == name).then_some(value))
                .map(Cow::into_owned)
        };
        Self::of(Asked {
            name: field("name").ok_or(Unreadable::Name)?,
            start_time: field("start_time")
                .filter(|time| is_time(time))
                .unwrap_or_else(|| time_text(now)),
            mail_owner: field("mail_owner").unwrap_or_default(),
        })
    }

    /// Reads what an id of ours stands for.
    pub(super) fn from_id(id: &str) -> Result<Self, Unreadable> {
        let asked: Asked = BASE64_URL_SAFE_NO_PAD
            .decode(id)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or(Unreadable::Id)?;
        if !is_time(&asked.start_time) {
            return Err(Unreadable::Id);
        }
        Self::of(asked).map_err(|_| Unreadable::Id)
    }

    /// The room.
    pub(super) fn room(&self) -> &RoomKey {
        &self.room
    }

    /// The answer that lets Prosody open the room; `None` if it may not.
    pub(super) fn answer(&self, terms: &RoomTerms) -> Option<Value> {
        let duration = terms.duration.unwrap_or(UNLIMITED);
        if terms.allowed && !duration.is_zero() {
            Some(self.consent(duration, terms.max_people, terms.lobby))
        } else if self.is_breakout() {
            // Nobody comes to it but from a room that they are in.
            Some(self.consent(UNLIMITED, None, false))
        } else {
            None
        }
    }

    fn consent(&self, duration: Duration, max_people: Option<u32>, lobby: bool) -> Value {
        let mut answer = json!({
            "id": self.id(),
            "name": self.asked.name,
            "mail_owner": self.asked.mail_owner,
            "start_time": self.asked.start_time,
            "duration": duration.as_secs(),
        });
        if let Some(map) = answer.as_object_mut() {
            map.extend(max_people.map(|count| ("max_occupants".to_owned(), count.into())));
            map.extend(lobby.then(|| ("lobby".to_owned(), true.into())));
        }
        answer
    }

    fn of(asked: Asked) -> Result<Self, Unreadable> {
        let room = room(&asked.name).ok_or(Unreadable::Name)?;
        Ok(Self { asked, room })
    }

    /// All that an answer is made of: nothing has to be remembered, and any replica can answer.
    fn id(&self) -> String {
        let json = serde_json::to_vec(&self.asked).expect("texts always serialize");
        BASE64_URL_SAFE_NO_PAD.encode(json)
    }

    /// Whether the room's name is one that Prosody gives to breakout rooms: a random UUID. Rules by
    /// name cannot mean those. A room of one's own with such a name gains nothing: tokens for it are
    /// minted by its rule.
    fn is_breakout(&self) -> bool {
        let node = self.room.node();
        let hex = |c: char| c.is_ascii_hexdigit() || c == '-';
        node.chars().all(hex) && node.split('-').map(str::len).eq([8, 4, 4, 4, 12])
    }
}

/// The room of a MUC node, in which a tenant stands in brackets; `None` unless it is spelled as
/// tokens name it.
fn room(name: &str) -> Option<RoomKey> {
    let (tenant, node) = match name.strip_prefix('[') {
        Some(rest) => {
            let (tenant, node) = rest.split_once(']')?;
            (Some(Tenant::parse(tenant).ok()?), node)
        }
        None => (None, name),
    };
    let room = RoomKey::from_query(tenant, node).ok()?;
    let spelled = match room.tenant() {
        Some(tenant) => format!("[{tenant}]{}", room.node()),
        None => room.node().to_owned(),
    };
    (spelled == name).then_some(room)
}

/// Digits and separators of a time in UTC, as Prosody writes it.
fn is_time(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | 'T' | 'Z');
    text.len() <= MAX_TIME_CHARS
        && text.chars().all(plain)
        && text.ends_with('Z')
        && time_format::parse_rfc3339(text).is_some()
}

/// `2026-11-21T09:30:00.000Z`.
fn time_text(time: Timestamp) -> String {
    time_format::format_rfc3339_millis(time.as_unix())
}

/// Longer than any meeting: Prosody has no word for "until everybody has left".
const UNLIMITED: Duration = Duration::from_hours(365 * 24);

/// A time with milliseconds has 24.
const MAX_TIME_CHARS: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
    const OPEN: RoomTerms = RoomTerms {
        allowed: true,
        duration: None,
        max_people: None,
        lobby: false,
    };

    fn asked(name: &str) -> Result<Conference, Unreadable> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("name", name)
            .append_pair("start_time", "2027-01-15T08:00:00.000Z")
            .append_pair("mail_owner", "a1b2@meet.jitsi")
            .finish();
        Conference::from_form(form.as_bytes(), NOW)
    }

    #[test]
    fn an_answer_repeats_what_was_asked_and_says_the_terms() {
        let terms = RoomTerms {
            duration: Some(Duration::from_mins(45)),
            max_people: Some(20),
            lobby: true,
            ..OPEN
        };
        let mut answer = asked("[acme]caf%c3%a9").unwrap().answer(&terms).unwrap();
        let id = answer.as_object_mut().unwrap().remove("id").unwrap();
        let expected = json!({
            "name": "[acme]caf%c3%a9", "mail_owner": "a1b2@meet.jitsi",
            "start_time": "2027-01-15T08:00:00.000Z", "duration": 2700,
            "max_occupants": 20, "lobby": true,
        });
        assert_eq!(answer, expected);
        let again = Conference::from_id(id.as_str().unwrap()).unwrap();
        assert_eq!(again.room().to_string(), "acme/caf%c3%a9");
        assert_eq!(again, asked("[acme]caf%c3%a9").unwrap());
    }

    #[test]
    fn without_terms_nothing_is_limited_and_every_field_is_there() {
        let conference = Conference::from_form(b"name=team&start_time=soon", NOW).unwrap();
        let answer = conference.answer(&OPEN).unwrap();
        assert_eq!(answer["start_time"], "2027-01-15T08:00:00.000Z");
        assert_eq!(answer["mail_owner"], "");
        assert!(answer["duration"].as_u64().unwrap() > 30 * 86_400);
        assert!(answer.get("max_occupants").is_none() && answer.get("lobby").is_none());
    }

    #[test]
    fn rooms_that_may_not_be_are_refused_and_breakout_rooms_are_not() {
        let over = RoomTerms {
            duration: Some(Duration::ZERO),
            ..OPEN
        };
        let team = asked("team").unwrap();
        assert_eq!(team.answer(&RoomTerms::default()), None);
        assert_eq!(team.answer(&over), None);
        let breakout = asked("6a3f2c8e-54a1-4b9d-8b1e-0f6d2c4a7e95").unwrap();
        assert!(breakout.answer(&RoomTerms::default()).is_some());
        for name in [
            "6a3f2c8e-54a1-4b9d-8b1e",
            "xa3f2c8e-54a1-4b9d-8b1e-0f6d2c4a7e95",
        ] {
            assert_eq!(asked(name).unwrap().answer(&RoomTerms::default()), None);
        }
    }

    #[test]
    fn names_that_are_no_rooms_node_are_refused() {
        for name in [
            "",
            "Team",
            "café",
            "a b",
            "[acme",
            "[]x",
            "[Acme]x",
            "[a.b]x",
            "[acme]",
            "a/b",
            "a%zz",
            "%74eam",
            "__jicofo-health-check",
        ] {
            assert_eq!(asked(name), Err(Unreadable::Name), "{name}");
        }
        assert_eq!(asked("(private)").unwrap().room().node(), "(private)");
        assert_eq!(Conference::from_form(b"", NOW), Err(Unreadable::Name));
        for id in ["", "x", "e30", "bnVsbA"] {
            assert_eq!(Conference::from_id(id), Err(Unreadable::Id), "{id}");
        }
    }

    proptest! {
        #[test]
        fn any_form_is_read_or_refused(body: Vec<u8>, id in "\\PC{0,60}") {
            let _ = Conference::from_form(&body, NOW);
            let _ = Conference::from_id(&id);
        }
    }
}
