//! Jicofo's conference request in JSON: parsed, checked against one room, and written anew.
//!
//! Jitsi's client sends it over HTTP if `config.js` has a `conferenceRequestUrl` (lib-jitsi-meet
//! `modules/xmpp/moderator.js`). Jicofo opens any room for any sender (jicofo
//! `ktor/Application.kt`), so no byte of the client's body is forwarded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::negotiation::RoomScope;

/// A conference request for a room that its sender may enter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConferenceRequest {
    room: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine_uid: Option<String>,
    properties: BTreeMap<String, String>,
}

/// The members that clients send. Jicofo's answers also have `focusJid`, `ready`, `identity` and
/// `vnode`, which a request has no use for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawConferenceRequest {
    room: String,
    session_id: Option<String>,
    machine_uid: Option<String>,
    #[serde(default)]
    properties: BTreeMap<String, Value>,
}

/// Why a conference request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConferenceRequestError {
    /// The body is not a JSON object with a `room` and properties of plain values.
    #[error("the body is not a conference request")]
    Form,
    /// The room is another than that of the address.
    #[error("the conference request is for another room than its address")]
    OtherRoom,
}

// === impl ConferenceRequest ===

impl ConferenceRequest {
    /// Parses a request, whose room has to be that of the scope, or a breakout room.
    ///
    /// # Errors
    ///
    /// [`ConferenceRequestError`].
    pub fn parse(body: &[u8], scope: &RoomScope) -> Result<Self, ConferenceRequestError> {
        let raw: RawConferenceRequest =
            serde_json::from_slice(body).map_err(|_| ConferenceRequestError::Form)?;
        // A resource would make it an occupant's address.
        if raw.room.contains('/') || !scope.covers(&raw.room) {
            return Err(ConferenceRequestError::OtherRoom);
        }
        let mut properties = BTreeMap::new();
        for (name, value) in raw.properties {
            // Clients send truth values and numbers, which Jicofo reads as texts.
            let text = match value {
                Value::String(text) => text,
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Null => continue,
                Value::Array(_) | Value::Object(_) => return Err(ConferenceRequestError::Form),
            };
            properties.insert(name, text);
        }
        Ok(Self {
            room: raw.room,
            session_id: raw.session_id,
            machine_uid: raw.machine_uid,
            properties,
        })
    }

    /// The body for Jicofo.
    pub fn to_json(&self) -> String {
        // Infallible: texts and a map with texts as keys.
        serde_json::to_string(self).expect("texts are JSON")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::room::RoomKey;

    fn parse(room: &str, body: &str) -> Result<ConferenceRequest, ConferenceRequestError> {
        let room = RoomKey::from_text(room).unwrap();
        ConferenceRequest::parse(body.as_bytes(), &RoomScope::new(&room, "meet.jitsi"))
    }

    #[test]
    fn a_request_of_jitsis_client_is_written_anew_with_texts_as_properties() {
        let sent = json!({
            "room": "team%20call@muc.meet.jitsi",
            "machineUid": "abc",
            "sessionId": "def",
            "identity": "root@auth.meet.jitsi",
            "focusJid": "focus@evil.example",
            "vnode": "v9",
            "properties": {"rtcstatsEnabled": false, "startAudioMuted": 9, "visitors-version": 1,
                "visitor": "true", "gone": null},
        });
        let request = parse("Team Call", &sent.to_string()).unwrap();
        let written: Value = serde_json::from_str(&request.to_json()).unwrap();
        assert_eq!(
            written,
            json!({
                "room": "team%20call@muc.meet.jitsi",
                "machineUid": "abc",
                "sessionId": "def",
                "properties": {"rtcstatsEnabled": "false", "startAudioMuted": "9",
                    "visitors-version": "1", "visitor": "true"},
            })
        );
    }

    #[test]
    fn a_request_is_for_the_room_of_its_address_or_a_breakout_room() {
        let other = Err(ConferenceRequestError::OtherRoom);
        for (room, address, expected) in [
            ("open-x", "open-x@muc.meet.jitsi", Ok(())),
            ("open-x", "open-x@conference.meet.jitsi", Ok(())),
            ("open-x", "3f2a@breakout.meet.jitsi", Ok(())),
            ("open-x", "board@muc.meet.jitsi", other),
            ("open-x", "open-x@muc.meet.jitsi/focus", other),
            ("open-x", "open-x@muc.acme.meet.jitsi", other),
            ("open-x", "open-x@muc.other.example", other),
            ("open-x", "Open-X@muc.meet.jitsi", other),
            ("open-x", "open-x", other),
            ("acme/plan", "plan@muc.acme.meet.jitsi", Ok(())),
            ("acme/plan", "plan@muc.meet.jitsi", other),
            ("caf\u{e9}", "caf%c3%a9@muc.meet.jitsi", Ok(())),
            ("caf\u{e9}", "caf\u{e9}@muc.meet.jitsi", other),
        ] {
            let body = json!({ "room": address }).to_string();
            assert_eq!(parse(room, &body).map(drop), expected, "{room}: {address}");
        }
    }

    #[test]
    fn other_bodies_are_refused() {
        for body in [
            "",
            "{}",
            "[]",
            "{\"room\":7}",
            "{\"room\":\"open-x@muc.meet.jitsi\",\"properties\":{\"a\":{}}}",
            "{\"room\":\"open-x@muc.meet.jitsi\",\"properties\":[]}",
            // Parsers differ in which of the two they take.
            "{\"room\":\"open-x@muc.meet.jitsi\",\"room\":\"board@muc.meet.jitsi\"}",
            "{\"room\":\"open-x@muc.meet.jitsi\"} {}",
        ] {
            let expected = Err(ConferenceRequestError::Form);
            assert_eq!(parse("open-x", body), expected, "{body}");
        }
    }
}
