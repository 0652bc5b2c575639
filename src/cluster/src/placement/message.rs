//! What replicas write of shards for each other, in JSON.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use model::{
    room::RoomKey,
    shard::{ShardName, ShardState},
};

/// Where a room is. Of two pins of a room the greater counts, on every replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Pin {
    // The order of the fields is that of the pins.
    /// Greater than that of the pin it took the place of; else the time.
    #[serde(rename = "n")]
    pub(super) number: u64,
    #[serde(rename = "s")]
    pub(super) shard: ShardName,
}

/// A room and its pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pinned {
    #[serde(rename = "r")]
    pub(super) room: RoomKey,
    #[serde(flatten)]
    pub(super) pin: Pin,
}

/// A state that an operator set over the configured one, or took back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) shard: ShardName,
    pub(super) state: Option<ShardState>,
    /// The later counts.
    pub(super) number: u64,
}

/// Which shards a replica reaches, and which it does not; of others it does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reach {
    pub(super) reached: Vec<ShardName>,
    pub(super) lost: Vec<ShardName>,
}

/// One thing that a replica says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    /// Who says it.
    pub(super) replica: String,
    #[serde(flatten)]
    pub(super) said: Said,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Said {
    /// These rooms live.
    Pins(Vec<Pinned>),
    /// An operator wants this.
    Order(Order),
    /// I am here, and reach these.
    Reach(Reach),
    /// Tell me what you reach.
    Who,
    /// I stop.
    Bye,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    #[serde(rename = "v")]
    version: u32,
    #[serde(flatten)]
    what: T,
}

pub(super) fn write(what: &impl Serialize) -> String {
    let version = VERSION;
    serde_json::to_string(&Versioned { version, what }).expect("texts, numbers and lists are JSON")
}

/// `None` for what another release wrote.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    let read: Versioned<T> = serde_json::from_str(text).ok()?;
    (read.version == VERSION).then_some(read.what)
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_other_versions_are_not() {
        let pinned = Pinned {
            room: RoomKey::from_text("acme/café").unwrap(),
            pin: Pin {
                number: 7,
                shard: ShardName::parse("s1").unwrap(),
            },
        };
        let order = Order {
            shard: ShardName::parse("s1").unwrap(),
            state: None,
            number: 3,
        };
        assert_eq!(read::<Pin>(&write(&pinned.pin)).as_ref(), Some(&pinned.pin));
        assert_eq!(read::<Pinned>(&write(&pinned)).as_ref(), Some(&pinned));
        assert_eq!(read::<Order>(&write(&order)).as_ref(), Some(&order));
        let said = [
            Said::Pins(vec![pinned]),
            Said::Order(order),
            Said::Reach(Reach::default()),
            Said::Who,
            Said::Bye,
        ];
        for said in said {
            let replica = "a".to_owned();
            let message = Message { replica, said };
            let text = write(&message);
            assert_eq!(read(&text), Some(message));
            assert_eq!(read::<Message>(&text.replace("\"v\":1", "\"v\":2")), None);
        }
        assert_eq!(read::<Pin>("no JSON"), None);
        assert_eq!(read::<Pin>(r#"{"v":1,"n":1,"s":"a b"}"#), None);
    }
}
