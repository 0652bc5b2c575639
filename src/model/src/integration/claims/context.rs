//! The form of `context`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::Context;

/// An object, or a text, which counts as absent: Rocket.Chat writes `""` for people without an
/// account.
pub(super) fn object_or_text<'de, D>(deserializer: D) -> Result<Option<Context>, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(ObjectOrText)
}

struct ObjectOrText;

// === impl ObjectOrText ===

impl<'de> Visitor<'de> for ObjectOrText {
    type Value = Option<Context>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Context::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}
