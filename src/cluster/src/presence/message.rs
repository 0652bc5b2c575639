//! What replicas say to each other of presence, as JSON.
//!
//! Each numbers what it says of changes. Now and then, and when asked, it writes its whole list
//! under a key of its own and says up to which number the list goes: whoever missed something
//! reads it.

use serde::{Deserialize, Serialize};

use model::room::RoomKey;

/// One thing that a replica says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Message {
    #[serde(rename = "v")]
    version: u32,
    /// Who says it.
    pub(super) replica: String,
    #[serde(flatten)]
    pub(super) said: Said,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Said {
    /// People came and went.
    Changes(Changes),
    /// I am here, and my list goes up to this number.
    Beat(u64),
    /// Tell me of your lists.
    Who,
    /// I stop; nobody is here any more.
    Bye,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Changes {
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
    pub(super) who: String,
    /// Whether they are there, and if so, whether they may start the meeting.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub(super) here: Option<bool>,
    /// The replica takes the meeting for open.
    #[serde(rename = "o", default)]
    pub(super) open: bool,
}

/// All that a replica knows of its own.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct List {
    #[serde(rename = "v")]
    version: u32,
    #[serde(rename = "n")]
    pub(super) number: u64,
    #[serde(rename = "r")]
    pub(super) rooms: Vec<Listed>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "r")]
    pub(super) room: RoomKey,
    #[serde(rename = "o", default)]
    pub(super) open: bool,
    /// Who is there, and whether they may start the meeting. Nobody is in an open room that was
    /// left a moment ago.
    #[serde(rename = "p", default)]
    pub(super) people: Vec<(String, bool)>,
}

// === impl Message ===

impl Message {
    pub(super) fn write(replica: &str, said: Said) -> String {
        to_json(&Self {
            version: VERSION,
            replica: replica.to_owned(),
            said,
        })
    }

    /// `None` for what another release says.
    pub(super) fn read(text: &str) -> Option<Self> {
        let message: Self = serde_json::from_str(text).ok()?;
        (message.version == VERSION).then_some(message)
    }
}

// === impl List ===

impl List {
    pub(super) fn new(number: u64, rooms: Vec<Listed>) -> Self {
        Self {
            version: VERSION,
            number,
            rooms,
        }
    }

    pub(super) fn write(&self) -> String {
        to_json(self)
    }

    /// `None` for what another release wrote.
    pub(super) fn read(text: &str) -> Option<Self> {
        let list: Self = serde_json::from_str(text).ok()?;
        (list.version == VERSION).then_some(list)
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and lists are JSON")
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_other_versions_are_not() {
        let change = Change {
            room: RoomKey::from_text("acme/café").unwrap(),
            who: "id".to_owned(),
            here: Some(true),
            open: true,
        };
        for said in [
            Said::Changes(Changes {
                number: 7,
                changes: vec![change],
            }),
            Said::Beat(3),
            Said::Who,
            Said::Bye,
        ] {
            let text = Message::write("a", said);
            let message = Message::read(&text).unwrap();
            assert_eq!(Message::write("a", message.said), text);
            assert!(Message::read(&text.replace("\"v\":1", "\"v\":2")).is_none());
        }
        assert!(Message::read("no JSON").is_none());
    }
}
