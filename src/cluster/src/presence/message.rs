//! The JSON form of presence: messages between replicas, and the list of each replica in the store.

use model::room::RoomKey;
use serde::{Deserialize, Serialize};

/// A message of one replica to all.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Message {
    #[serde(rename = "v")]
    version: u32,
    /// Name of the sender.
    pub(super) replica: String,
    #[serde(flatten)]
    pub(super) payload: Payload,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Payload {
    /// People entered or left.
    Changes(Changes),
    /// The sender is alive; its list in the store includes the changes up to this number.
    #[serde(rename = "beat")]
    Heartbeat(u64),
    /// Asks all replicas for a heartbeat.
    #[serde(rename = "who")]
    HeartbeatRequest,
    /// The sender stops and has no occupants any more.
    #[serde(rename = "bye")]
    Leave,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Changes {
    /// One more than that of the sender's previous batch.
    #[serde(rename = "n")]
    pub(super) number: u64,
    #[serde(rename = "c")]
    pub(super) changes: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    #[serde(rename = "r")]
    pub(super) room: RoomKey,
    #[serde(rename = "w")]
    pub(super) person: String,
    /// `None` if the person has left; else whether they may start the meeting.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub(super) presence: Option<bool>,
    /// Whether the meeting is open according to the sender.
    #[serde(rename = "o", default)]
    pub(super) open: bool,
}

/// All occupants of one replica.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct List {
    #[serde(rename = "v")]
    version: u32,
    /// Number of the last change that the list includes.
    #[serde(rename = "n")]
    pub(super) number: u64,
    #[serde(rename = "r")]
    pub(super) rooms: Vec<ListedRoom>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ListedRoom {
    #[serde(rename = "r")]
    pub(super) room: RoomKey,
    #[serde(rename = "o", default)]
    pub(super) open: bool,
    /// Occupants, and whether each may start the meeting. Empty for an open room whose occupants
    /// left within the grace period.
    #[serde(rename = "p", default)]
    pub(super) people: Vec<(String, bool)>,
}

// === impl Message ===

impl Message {
    pub(super) fn to_json(replica: &str, payload: Payload) -> String {
        json(&Self {
            version: VERSION,
            replica: replica.to_owned(),
            payload,
        })
    }

    /// Parses a message; `None` if it is malformed or of another version.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        let message: Self = serde_json::from_str(text).ok()?;
        (message.version == VERSION).then_some(message)
    }
}

// === impl List ===

impl List {
    pub(super) fn new(number: u64, rooms: Vec<ListedRoom>) -> Self {
        Self {
            version: VERSION,
            number,
            rooms,
        }
    }

    pub(super) fn to_json(&self) -> String {
        json(self)
    }

    /// Parses a list; `None` if it is malformed or of another version.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        let list: Self = serde_json::from_str(text).ok()?;
        (list.version == VERSION).then_some(list)
    }
}

fn json(value: &impl Serialize) -> String {
    // Infallible: the types have string keys and no fallible `Serialize`.
    serde_json::to_string(value).expect("messages serialize to JSON")
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip_and_other_versions_are_rejected() {
        let change = Change {
            room: RoomKey::from_text("acme/café").unwrap(),
            person: "id".to_owned(),
            presence: Some(true),
            open: true,
        };
        let changes = Changes {
            number: 7,
            changes: vec![change],
        };
        for (payload, wire) in [
            (Payload::Changes(changes), "\"changes\":{"),
            (Payload::Heartbeat(3), "\"beat\":3"),
            (Payload::HeartbeatRequest, "\"who\""),
            (Payload::Leave, "\"bye\""),
        ] {
            let text = Message::to_json("a", payload);
            assert!(text.contains(wire), "{text}");
            let message = Message::from_json(&text).unwrap();
            assert_eq!(Message::to_json("a", message.payload), text);
            assert!(Message::from_json(&text.replace("\"v\":1", "\"v\":2")).is_none());
        }
        assert!(Message::from_json("no JSON").is_none());
    }
}
