//! BOSH session ids that are bound to their owner.
//!
//! The client's `sid` is `<Prosody's sid>[.<shard>[.<visitor node>]].<creation time>.<tag>`. The tag
//! covers the other parts, the gateway session and the room. Without shards and with a visitor node the
//! shard is empty.

use bytes::{Bytes, BytesMut};

use super::{
    BoshBodyError,
    start_tag::{Span, StartTag},
};
use crate::{clock::Timestamp, room::RoomKey, seal::Tagger};

/// Binds BOSH session ids to the gateway session and the room that they were created for.
#[derive(Debug)]
pub struct BoshSessionIds(Tagger);

/// The gateway session and the room of a BOSH session.
#[derive(Clone, Copy, Debug)]
pub struct BoshBinding<'b> {
    /// The owner's id: the same for all requests of one gateway session or client token.
    pub owner: &'b str,
    /// The room in the address of the request.
    pub room: &'b RoomKey,
}

/// The Prosody of a BOSH session, among those of the deployment. No other knows the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoshPlace {
    /// The shard, if the deployment has shards.
    pub shard: Option<String>,
    /// The visitor node, if the session is not at the main Prosody.
    pub visitor_node: Option<String>,
}

/// The parts of a bound session id whose tag was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoshSessionId {
    /// Prosody's session id.
    pub sid: String,
    /// The creation time.
    pub began: Timestamp,
    /// The Prosody that created the session.
    pub place: BoshPlace,
}

// === impl BoshSessionIds ===

impl BoshSessionIds {
    /// `tagger` is the one for [`Purpose::BoshSession`](crate::seal::Purpose::BoshSession).
    pub fn new(tagger: Tagger) -> Self {
        Self(tagger)
    }

    /// Binds the `sid` in Prosody's response to a session creation request.
    ///
    /// A response without a BOSH body or without a `sid` created no session and is returned
    /// unchanged.
    pub fn bind(
        &self,
        response: &Bytes,
        binding: &BoshBinding<'_>,
        now: Timestamp,
        place: &BoshPlace,
    ) -> Bytes {
        let Ok(StartTag {
            sid: Some(span), ..
        }) = StartTag::parse(response)
        else {
            return response.clone();
        };
        let Some(sid) = text_at(response, span) else {
            return response.clone();
        };
        let began = now.as_unix().to_string();
        let room = binding.room.to_string();
        let place = place.parts();
        let tag = self
            .0
            .tag(&[&[sid, &began, binding.owner, &room], &*place].concat());
        let suffix: String = place
            .into_iter()
            .chain([&*began, &*tag])
            .flat_map(|part| [SEPARATOR, part])
            .collect();
        let end = Span {
            start: span.end,
            end: span.end,
        };
        replaced(response, end, &suffix)
    }

    /// Replaces the bound `sid` of a request body by Prosody's, and returns its parts.
    ///
    /// # Errors
    ///
    /// [`BoshBodyError::Foreign`] if the id is not bound, or not to this session and room.
    pub fn unbind(
        &self,
        tag: &StartTag,
        body: &Bytes,
        binding: &BoshBinding<'_>,
    ) -> Result<(Bytes, BoshSessionId), BoshBodyError> {
        let span = tag.sid.ok_or(BoshBodyError::Foreign)?;
        let bound = text_at(body, span).ok_or(BoshBodyError::Foreign)?;
        let id = self.open(bound, binding).ok_or(BoshBodyError::Foreign)?;
        let suffix = Span {
            start: span.start + id.sid.len(),
            end: span.end,
        };
        Ok((replaced(body, suffix, ""), id))
    }

    fn open(&self, bound: &str, binding: &BoshBinding<'_>) -> Option<BoshSessionId> {
        let room = binding.room.to_string();
        let (rest, tag) = bound.rsplit_once(SEPARATOR)?;
        let (rest, began) = rest.rsplit_once(SEPARATOR)?;
        let (sid, place) = (0..=BoshPlace::MAX_PARTS).find_map(|parts| {
            let mut split = rest.rsplitn(parts + 1, SEPARATOR);
            let mut place: Vec<_> = split.by_ref().take(parts).collect();
            place.reverse();
            let sid = split.next()?;
            let tagged = [&[sid, began, binding.owner, &room], &*place].concat();
            self.0.verify(&tagged, tag).then_some((sid, place))
        })?;
        Some(BoshSessionId {
            sid: sid.to_owned(),
            began: Timestamp::from_unix(began.parse().ok()?),
            place: BoshPlace::from_parts(&place),
        })
    }
}

// === impl BoshPlace ===

impl BoshPlace {
    const MAX_PARTS: usize = 2;

    /// The names in a bound id: none for the only Prosody of a deployment.
    fn parts(&self) -> Vec<&str> {
        let shard = self.shard.as_deref();
        match &self.visitor_node {
            Some(node) => vec![shard.unwrap_or_default(), node],
            None => shard.into_iter().collect(),
        }
    }

    fn from_parts(parts: &[&str]) -> Self {
        let part = |at: usize| parts.get(at).filter(|part| !part.is_empty());
        Self {
            shard: part(0).map(|name| (*name).to_owned()),
            visitor_node: part(1).map(|name| (*name).to_owned()),
        }
    }
}

fn text_at(bytes: &Bytes, span: Span) -> Option<&str> {
    std::str::from_utf8(bytes.get(span.start..span.end)?).ok()
}

fn replaced(bytes: &Bytes, span: Span, text: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes.len() + text.len());
    out.extend_from_slice(bytes.get(..span.start).unwrap_or_default());
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(bytes.get(span.end..).unwrap_or_default());
    out.freeze()
}

/// Occurs neither in Prosody's ids, which are UUIDs, nor in names of shards and visitor nodes.
const SEPARATOR: &str = ".";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{Keyring, Purpose};

    const NOW: Timestamp = Timestamp::from_unix(1000);

    const CREATED: &str = "<body xmlns='http://jabber.org/protocol/httpbind' wait='60' \
        sid='7d3f-1' authid='7d3f-1'><stream:features/></body>";

    fn ids() -> BoshSessionIds {
        BoshSessionIds::new(Keyring::single([9; 32]).tagger(Purpose::BoshSession))
    }

    fn bind(response: &str, shard: Option<&str>) -> String {
        bind_at(response, shard, None)
    }

    fn bind_at(response: &str, shard: Option<&str>, visitor_node: Option<&str>) -> String {
        let place = BoshPlace {
            shard: shard.map(ToOwned::to_owned),
            visitor_node: visitor_node.map(ToOwned::to_owned),
        };
        let room = RoomKey::from_text("room-a").unwrap();
        let binding = BoshBinding {
            owner: "session-1",
            room: &room,
        };
        let bound = ids().bind(&Bytes::from(response.to_owned()), &binding, NOW, &place);
        String::from_utf8(bound.into()).unwrap()
    }

    fn unbind(
        body: &str,
        owner: &str,
        room: &str,
    ) -> Result<(Bytes, BoshSessionId), BoshBodyError> {
        let room = RoomKey::from_text(room).unwrap();
        let binding = BoshBinding { owner, room: &room };
        let tag = StartTag::parse(body.as_bytes()).unwrap();
        ids().unbind(&tag, &Bytes::from(body.to_owned()), &binding)
    }

    #[test]
    fn an_id_is_accepted_only_from_the_session_and_room_it_is_bound_to() {
        let bound = bind(CREATED, None);
        let (_, rest) = bound.split_once("sid='").unwrap();
        let (sid, _) = rest.split_once('\'').unwrap();
        assert!(sid.starts_with("7d3f-1.") && sid.len() > 20);
        assert!(bound.ends_with("authid='7d3f-1'><stream:features/></body>"));

        let body = format!("<body rid='2' sid='{sid}'><iq id='é'/></body>");
        let (plain, id) = unbind(&body, "session-1", "room-a").unwrap();
        assert_eq!(plain, "<body rid='2' sid='7d3f-1'><iq id='é'/></body>");
        assert_eq!((id.sid.as_str(), id.began), ("7d3f-1", NOW));
        for (owner, room) in [
            ("session-2", "room-a"),
            ("session-1", "room-b"),
            ("", "room-a"),
        ] {
            assert_eq!(unbind(&body, owner, room), Err(BoshBodyError::Foreign));
        }
    }

    #[test]
    fn a_changed_creation_time_is_refused() {
        let later = bind(CREATED, None).replace(".1000.", ".2000.");
        assert!(later.contains(".2000."));
        assert_eq!(
            unbind(&later, "session-1", "room-a"),
            Err(BoshBodyError::Foreign)
        );
    }

    #[test]
    fn an_unbound_id_is_refused() {
        assert_eq!(
            unbind("<body rid='2' sid='7d3f-1'/>", "session-1", "room-a"),
            Err(BoshBodyError::Foreign)
        );
    }

    #[test]
    fn an_id_carries_its_shard_and_a_changed_shard_is_refused() {
        let bound = bind(CREATED, Some("s1"));
        assert!(bound.contains("sid='7d3f-1.s1.1000."), "{bound}");
        let (plain, id) = unbind(&bound, "session-1", "room-a").unwrap();
        assert_eq!(plain, CREATED);
        assert_eq!(
            (&*id.sid, id.place.shard.as_deref()),
            ("7d3f-1", Some("s1"))
        );
        for (part, forged) in [
            (".s1.", ".s2."),
            (".s1.", "."),
            ("-1.s1.", "-1-s1."),
            ("7d3f", "7d3e"),
        ] {
            assert_eq!(
                unbind(&bound.replace(part, forged), "session-1", "room-a"),
                Err(BoshBodyError::Foreign),
                "{forged}"
            );
        }
    }

    #[test]
    fn an_id_carries_its_visitor_node_and_a_changed_node_is_refused() {
        for (shard, begins) in [
            (None, "sid='7d3f-1..v0."),
            (Some("s1"), "sid='7d3f-1.s1.v0."),
        ] {
            let bound = bind_at(CREATED, shard, Some("v0"));
            assert!(bound.contains(begins), "{bound}");
            let (plain, id) = unbind(&bound, "session-1", "room-a").unwrap();
            assert_eq!(plain, CREATED);
            assert_eq!(&*id.sid, "7d3f-1");
            assert_eq!(id.place.shard.as_deref(), shard);
            assert_eq!(id.place.visitor_node.as_deref(), Some("v0"));
            for forged in [".v1.", ".", ".."] {
                let changed = bound.replace(".v0.", forged);
                assert_eq!(
                    unbind(&changed, "session-1", "room-a"),
                    Err(BoshBodyError::Foreign),
                    "{changed}"
                );
            }
        }
    }

    #[test]
    fn responses_without_an_id_are_unchanged() {
        for response in ["<body type='terminate' condition='x'/>", "not xml", ""] {
            assert_eq!(bind(response, None), response);
        }
    }
}
