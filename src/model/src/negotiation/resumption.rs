//! Resumption ids of stream management (XEP-0198 § 5) that are bound to their owner.
//!
//! At Prosody the id of a stream is the only credential for its resumption: any
//! client with a token for the room and the id takes the stream over. The gateway therefore never
//! sends the plain id to a client. The client's id is `<Prosody's id>-<tag>`. The tag covers the id, the credentials that the
//! stream began with, and the room. Only these credentials resume the stream, and it
//! ends with them. Any replica can check a tag; nothing is stored.
//!
//! Clients may keep an id in an address and look for it there by `[\w-]+` (lib-jitsi-meet
//! `modules/xmpp/ResumeTask.ts`), so the form has no other characters.

use std::sync::Arc;

use crate::{room::RoomKey, seal::Tagger, xml::Element};

/// Tags resumption ids.
#[derive(Debug)]
pub struct ResumptionIds(Tagger);

/// The owner of the streams of one connection.
#[derive(Clone, Debug)]
pub struct ResumptionBinding {
    ids: Arc<ResumptionIds>,
    owner: String,
    room: String,
}

/// A stream that Prosody keeps for resumption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumableStream {
    /// Prosody's id of it.
    pub id: String,
    /// The domain that the stream was opened to.
    pub domain: String,
    /// The client's count of stanzas when it resumed the stream over this connection; otherwise 0.
    pub handled: u32,
}

/// Stream management in the negotiation of one connection.
#[derive(Debug)]
pub(super) struct Resumption {
    binding: ResumptionBinding,
    stream: ResumableStream,
    answer: Option<Answer>,
}

/// What Prosody answered to a request for stream management.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It keeps the stream when the connection breaks.
    Resumable,
    /// It counts stanzas only.
    Counting,
}

// === impl ResumptionIds ===

impl ResumptionIds {
    /// `tagger` is the one for [`Purpose::Resumption`](crate::seal::Purpose::Resumption).
    pub fn new(tagger: Tagger) -> Self {
        Self(tagger)
    }
}

// === impl ResumptionBinding ===

impl ResumptionBinding {
    /// `owner` names all credentials of the connection.
    pub fn new(ids: Arc<ResumptionIds>, owner: String, room: &RoomKey) -> Self {
        Self {
            ids,
            owner,
            room: room.to_string(),
        }
    }

    /// The client's id of a stream.
    pub fn bind(&self, id: &str) -> String {
        let tag = self.ids.0.tag(&[id, &self.owner, &self.room]);
        format!("{id}{SEPARATOR}{tag}")
    }

    /// Prosody's id of a stream; `None` if the stream is not the owner's.
    pub fn unbind<'b>(&self, bound: &'b str) -> Option<&'b str> {
        // Ids and tags may have hyphens.
        let at = bound.len().checked_sub(TAG_CHARS)?;
        let (id, tag) = bound.split_at_checked(at)?;
        let id = id.strip_suffix(SEPARATOR)?;
        let parts = [id, &self.owner, &self.room];
        self.ids.0.verify(&parts, tag).then_some(id)
    }
}

// === impl Resumption ===

impl Resumption {
    pub(super) fn new(binding: ResumptionBinding) -> Self {
        Self {
            binding,
            stream: ResumableStream {
                id: String::new(),
                domain: String::new(),
                handled: 0,
            },
            answer: None,
        }
    }

    pub(super) fn note_domain(&mut self, domain: &str) {
        domain.clone_into(&mut self.stream.domain);
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answer.is_some()
    }

    pub(super) fn stream(&self) -> Option<&ResumableStream> {
        (self.answer == Some(Answer::Resumable)).then_some(&self.stream)
    }

    /// The client's `<resume>` with Prosody's id of the stream; `None` if the stream is not the client's.
    pub(super) fn unbind(&mut self, resume: &Element) -> Option<Element> {
        let id = self.binding.unbind(resume.attribute("previd")?)?;
        let handled = resume.attribute("h").and_then(|count| count.parse().ok());
        self.stream.handled = handled.unwrap_or_default();
        Some(resume_with(id, resume))
    }

    /// Prosody's `<enabled>` or `<resumed>` with the client's id of the stream; `None` if it has none.
    pub(super) fn bind(&mut self, answer: &Element) -> Option<Element> {
        let mut ids = ["id", "previd"].into_iter();
        let Some(id) = ids.find_map(|name| answer.attribute(name)) else {
            self.answer = Some(Answer::Counting);
            return None;
        };
        id.clone_into(&mut self.stream.id);
        self.answer = Some(Answer::Resumable);
        Some(copy(answer, |name, value| match name {
            "id" | "previd" => self.binding.bind(value),
            _ => value.to_owned(),
        }))
    }
}

/// The client's `<resume>` with another id.
pub(super) fn resume_with(id: &str, resume: &Element) -> Element {
    let count = |value: &str| value.parse::<u32>().unwrap_or_default().to_string();
    copy(resume, |name, value| match name {
        "previd" => id.to_owned(),
        _ => count(value),
    })
}

/// Copies an element of stream management, which has no other attributes than these.
fn copy(element: &Element, value_of: impl Fn(&str, &str) -> String) -> Element {
    let names = match element.name() {
        "enabled" => &["id", "resume", "max", "location"][..],
        _ => &["h", "previd"],
    };
    names
        .iter()
        .filter_map(|name| Some((*name, element.attribute(name)?)))
        .fold(
            Element::new(element.name(), element.namespace()),
            |copied, (name, value)| copied.with(name, &value_of(name, value)),
        )
}

/// A previous id that no Prosody has: it answers that it does not know the stream, and the client
/// begins a new one.
pub(super) const UNKNOWN_STREAM: &str = "unknown";

/// Matches `\w` or `-`, as all characters of the tag do.
const SEPARATOR: char = '-';

/// The length of [`Tagger::tag`].
const TAG_CHARS: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{Keyring, Purpose};

    fn binding(owner: &str, room: &str) -> ResumptionBinding {
        let ids = ResumptionIds::new(Keyring::single([9; 32]).tagger(Purpose::Resumption));
        let room = RoomKey::from_text(room).unwrap();
        ResumptionBinding::new(Arc::new(ids), owner.to_owned(), &room)
    }

    #[test]
    fn an_id_is_accepted_only_with_the_credentials_and_room_it_is_bound_to() {
        for id in ["xR4-_a9Tq2Lm", "7d3f-1", "-", "a-b-"] {
            let bound = binding("session-1", "room-a").bind(id);
            // What lib-jitsi-meet takes for an id in an address.
            assert!(
                bound
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')),
                "{bound}"
            );
            assert_eq!(binding("session-1", "room-a").unbind(&bound), Some(id));
            for (owner, room) in [
                ("session-2", "room-a"),
                ("session-1", "room-b"),
                ("", "room-a"),
            ] {
                assert_eq!(binding(owner, room).unbind(&bound), None, "{owner} {room}");
            }
            let changed = bound.replacen(id, "other", 1);
            for forged in [id, &bound[1..], &changed, "", "é-0123456789012345678901"] {
                assert_eq!(binding("session-1", "room-a").unbind(forged), None);
            }
        }
    }
}
