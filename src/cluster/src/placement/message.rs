//! The JSON form of pins, overrides and reachability, in the store and in messages.

use model::{
    room::RoomKey,
    shard::{ShardName, ShardState},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The shard of a room. Of two pins of a room the greater wins, on every replica.
///
/// The derived order compares the version first: a replica that moves a room gives its pin a
/// greater version, so the move wins over the pins of the other replicas. Equal versions arise when
/// two replicas place a room in the same second without the store; then the greater name of a shard
/// wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Pin {
    // The derived order depends on the order of the fields. The version is Unix time in seconds, or
    // one more than that of the replaced pin if that is greater: a clock that runs behind does not
    // make a pin lose.
    #[serde(rename = "n")]
    pub(super) version: u64,
    #[serde(rename = "s")]
    pub(super) shard: ShardName,
}

/// A room with its pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoomPin {
    #[serde(rename = "r")]
    pub(super) room: RoomKey,
    #[serde(flatten)]
    pub(super) pin: Pin,
}

/// An operator's override of a shard's configured state, or its removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Override {
    pub(super) shard: ShardName,
    /// `None` for the configured state.
    pub(super) state: Option<ShardState>,
    /// Of two overrides of a shard the greater version wins; computed like that of a [`Pin`].
    #[serde(rename = "number")]
    pub(super) version: u64,
}

/// The results of a replica's probes. A shard in neither list is not probed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reach {
    pub(super) reached: Vec<ShardName>,
    pub(super) lost: Vec<ShardName>,
}

/// A message of one replica to all.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    /// Name of the sender.
    pub(super) replica: String,
    #[serde(flatten)]
    pub(super) payload: Payload,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Payload {
    /// Pins of live rooms.
    Pins(Vec<RoomPin>),
    /// An override.
    #[serde(rename = "order")]
    Override(Override),
    /// The heartbeat: the shards that the sender reaches.
    Reach(Reach),
    /// Asks all replicas for a heartbeat.
    #[serde(rename = "who")]
    ReachRequest,
    /// The sender stops.
    #[serde(rename = "bye")]
    Leave,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    #[serde(rename = "v")]
    form: u32,
    #[serde(flatten)]
    value: T,
}

/// Formats a value with the version of its JSON form.
pub(super) fn to_json(value: &impl Serialize) -> String {
    let form = FORM;
    // Infallible: the types have string keys and no fallible `Serialize`.
    serde_json::to_string(&Versioned { form, value }).expect("placement types serialize to JSON")
}

/// Parses a value; `None` if it is malformed or of another version.
pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Option<T> {
    let versioned: Versioned<T> = serde_json::from_str(text).ok()?;
    (versioned.form == FORM).then_some(versioned.value)
}

const FORM: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_and_other_versions_are_rejected() {
        let room_pin = RoomPin {
            room: RoomKey::from_text("acme/café").unwrap(),
            pin: Pin {
                version: 7,
                shard: ShardName::parse("s1").unwrap(),
            },
        };
        let drain = Override {
            shard: ShardName::parse("s1").unwrap(),
            state: None,
            version: 3,
        };
        assert_eq!(
            from_json::<Pin>(&to_json(&room_pin.pin)).as_ref(),
            Some(&room_pin.pin)
        );
        assert_eq!(
            from_json::<RoomPin>(&to_json(&room_pin)).as_ref(),
            Some(&room_pin)
        );
        assert_eq!(
            from_json::<Override>(&to_json(&drain)).as_ref(),
            Some(&drain)
        );
        for (payload, wire) in [
            (Payload::Pins(vec![room_pin]), "\"pins\":[{\"r\":"),
            (
                Payload::Override(drain),
                "\"order\":{\"shard\":\"s1\",\"state\":null,\"number\":3}",
            ),
            (Payload::Reach(Reach::default()), "\"reach\":{"),
            (Payload::ReachRequest, "\"who\""),
            (Payload::Leave, "\"bye\""),
        ] {
            let replica = "a".to_owned();
            let message = Message { replica, payload };
            let text = to_json(&message);
            assert!(text.contains(wire), "{text}");
            assert_eq!(from_json(&text), Some(message));
            assert_eq!(
                from_json::<Message>(&text.replace("\"v\":1", "\"v\":2")),
                None
            );
        }
        assert_eq!(from_json::<Pin>("no JSON"), None);
        assert_eq!(from_json::<Pin>(r#"{"v":1,"n":1,"s":"a b"}"#), None);
    }
}
