//! The messages of `mod_reservations` (Jitsi, `resources/prosody-plugins/mod_reservations.lua`).
//!
//! A request is a form with `name`, `start_time` and `mail_owner`. An answer has to repeat all three
//! beside an `id` and a numeric `duration` in seconds; the module compares `name`, and destroys the
//! room after `duration`.

use std::{borrow::Cow, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use model::{
    clock::Timestamp,
    room::{RoomKey, Tenant},
    time_format,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::RoomTerms;

/// A request for a room, or one that was answered before, decoded from its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reservation {
    fields: EchoedFields,
    room: RoomKey,
}

/// A request of Prosody is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReservationError {
    /// The body is too long, late or incomplete.
    #[error("the form is too long or incomplete")]
    Form,
    /// No name, or not the canonical spelling of a room.
    #[error("the name is not that of a room")]
    Name,
    /// The id does not decode to a reservation.
    #[error("unknown id")]
    Id,
}

/// Fields of the request that each answer repeats; as JSON in Base64 they are the id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EchoedFields {
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "s")]
    start_time: String,
    #[serde(rename = "o")]
    mail_owner: String,
}

// === impl Reservation ===

impl Reservation {
    /// Parses the form of a request for a room that is created `now`.
    pub(super) fn from_form(body: &[u8], now: Timestamp) -> Result<Self, ReservationError> {
        let field = |name: &str| {
            form_urlencoded::parse(body)
                .find_map(|(key, value)| (key == name).then_some(value))
                .map(Cow::into_owned)
        };
        Self::new(EchoedFields {
            name: field("name").ok_or(ReservationError::Name)?,
            start_time: field("start_time")
                .filter(|time| is_time(time))
                .unwrap_or_else(|| time_text(now)),
            mail_owner: field("mail_owner").unwrap_or_default(),
        })
    }

    /// Decodes an id that an earlier answer contained.
    pub(super) fn from_id(id: &str) -> Result<Self, ReservationError> {
        let fields: EchoedFields = BASE64_URL_SAFE_NO_PAD
            .decode(id)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or(ReservationError::Id)?;
        if !is_time(&fields.start_time) {
            return Err(ReservationError::Id);
        }
        Self::new(fields).map_err(|_| ReservationError::Id)
    }

    /// The room in question.
    pub(super) fn room(&self) -> &RoomKey {
        &self.room
    }

    /// Makes the answer that permits the room; `None` if the terms refuse it.
    pub(super) fn answer(&self, terms: &RoomTerms) -> Option<Value> {
        let duration = terms.duration.unwrap_or(UNLIMITED);
        if terms.allowed && !duration.is_zero() {
            Some(self.permit(duration, terms.max_people, terms.lobby))
        } else if self.is_breakout() {
            // Only occupants of its main room can enter it, and those are within the terms.
            Some(self.permit(UNLIMITED, None, false))
        } else {
            None
        }
    }

    fn permit(&self, duration: Duration, max_people: Option<u32>, lobby: bool) -> Value {
        let mut answer = json!({
            "id": self.id(),
            "name": self.fields.name,
            "mail_owner": self.fields.mail_owner,
            "start_time": self.fields.start_time,
            "duration": duration.as_secs(),
        });
        if let Some(map) = answer.as_object_mut() {
            map.extend(max_people.map(|count| ("max_occupants".to_owned(), count.into())));
            map.extend(lobby.then(|| ("lobby".to_owned(), true.into())));
        }
        answer
    }

    fn new(fields: EchoedFields) -> Result<Self, ReservationError> {
        let room = parse_room(&fields.name).ok_or(ReservationError::Name)?;
        Ok(Self { fields, room })
    }

    /// Encodes the fields of the request, so that no replica has to store them.
    fn id(&self) -> String {
        // Infallible: a struct of strings always serializes.
        let json = serde_json::to_vec(&self.fields).expect("strings serialize");
        BASE64_URL_SAFE_NO_PAD.encode(json)
    }

    /// Whether the name has the form of a breakout room: Prosody gives those a random UUID, which no
    /// rule by name can match.
    ///
    /// A main room with such a name gains nothing: tokens for it are still minted by its rule.
    fn is_breakout(&self) -> bool {
        let node = self.room.node();
        let hex = |c: char| c.is_ascii_hexdigit() || c == '-';
        node.chars().all(hex) && node.split('-').map(str::len).eq([8, 4, 4, 4, 12])
    }
}

/// Parses a MUC node, `room` or `[tenant]room`; `None` unless it has the canonical spelling, which is
/// the one in tokens.
fn parse_room(name: &str) -> Option<RoomKey> {
    let (tenant, node) = match name.strip_prefix('[') {
        Some(rest) => {
            let (tenant, node) = rest.split_once(']')?;
            (Some(Tenant::parse(tenant).ok()?), node)
        }
        None => (None, name),
    };
    let room = RoomKey::from_query(tenant, node).ok()?;
    let canonical = match room.tenant() {
        Some(tenant) => format!("[{tenant}]{}", room.node()),
        None => room.node().to_owned(),
    };
    (canonical == name).then_some(room)
}

/// Whether the text is a time in UTC as Prosody writes it (RFC 3339).
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

/// Above any meeting: the protocol cannot express an unlimited duration.
const UNLIMITED: Duration = Duration::from_hours(365 * 24);

/// A time with milliseconds has 24 characters.
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

    fn request(name: &str) -> Result<Reservation, ReservationError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("name", name)
            .append_pair("start_time", "2027-01-15T08:00:00.000Z")
            .append_pair("mail_owner", "a1b2@meet.jitsi")
            .finish();
        Reservation::from_form(form.as_bytes(), NOW)
    }

    #[test]
    fn an_answer_repeats_the_request_and_has_the_terms() {
        let terms = RoomTerms {
            duration: Some(Duration::from_mins(45)),
            max_people: Some(20),
            lobby: true,
            ..OPEN
        };
        let mut answer = request("[acme]caf%c3%a9").unwrap().answer(&terms).unwrap();
        let id = answer.as_object_mut().unwrap().remove("id").unwrap();
        let expected = json!({
            "name": "[acme]caf%c3%a9", "mail_owner": "a1b2@meet.jitsi",
            "start_time": "2027-01-15T08:00:00.000Z", "duration": 2700,
            "max_occupants": 20, "lobby": true,
        });
        assert_eq!(answer, expected);
        let decoded = Reservation::from_id(id.as_str().unwrap()).unwrap();
        assert_eq!(decoded.room().to_string(), "acme/caf%c3%a9");
        assert_eq!(decoded, request("[acme]caf%c3%a9").unwrap());
    }

    #[test]
    fn an_unlimited_answer_has_all_required_fields() {
        let reservation = Reservation::from_form(b"name=team&start_time=soon", NOW).unwrap();
        let answer = reservation.answer(&OPEN).unwrap();
        assert_eq!(answer["start_time"], "2027-01-15T08:00:00.000Z");
        assert_eq!(answer["mail_owner"], "");
        assert!(answer["duration"].as_u64().unwrap() > 30 * 86_400);
        assert!(answer.get("max_occupants").is_none() && answer.get("lobby").is_none());
    }

    #[test]
    fn closed_rooms_are_refused_and_breakout_rooms_are_not() {
        let over = RoomTerms {
            duration: Some(Duration::ZERO),
            ..OPEN
        };
        let team = request("team").unwrap();
        assert_eq!(team.answer(&RoomTerms::default()), None);
        assert_eq!(team.answer(&over), None);
        let breakout = request("6a3f2c8e-54a1-4b9d-8b1e-0f6d2c4a7e95").unwrap();
        assert!(breakout.answer(&RoomTerms::default()).is_some());
        for name in [
            "6a3f2c8e-54a1-4b9d-8b1e",
            "xa3f2c8e-54a1-4b9d-8b1e-0f6d2c4a7e95",
        ] {
            assert_eq!(request(name).unwrap().answer(&RoomTerms::default()), None);
        }
    }

    #[test]
    fn names_and_ids_of_another_form_are_rejected() {
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
            assert_eq!(request(name), Err(ReservationError::Name), "{name}");
        }
        assert_eq!(request("(private)").unwrap().room().node(), "(private)");
        assert_eq!(
            Reservation::from_form(b"", NOW),
            Err(ReservationError::Name)
        );
        for id in ["", "x", "e30", "bnVsbA"] {
            assert_eq!(Reservation::from_id(id), Err(ReservationError::Id), "{id}");
        }
    }

    proptest! {
        #[test]
        fn any_form_and_id_is_parsed_or_rejected(body: Vec<u8>, id in "\\PC{0,60}") {
            let _ = Reservation::from_form(&body, NOW);
            let _ = Reservation::from_id(&id);
        }
    }
}
