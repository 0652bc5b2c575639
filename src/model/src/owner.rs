//! Whose room it is, told by the room's name alone, so that any replica knows it without a store.
//!
//! A meeting that somebody makes is named `calm-otter-4821-k7qd3m2a`. The last part is a tag over
//! the name, the tenant and the owner, made with a key that only the gateway has: whoever signs in
//! and gives the same tag is the owner, and nobody else can make up a name that gives theirs.

mod slug;
mod word_list;

use crate::{
    identity::Identity,
    random::Random,
    room::{RoomError, RoomKey, Tenant},
    seal::{Tagger, is_short_tag},
};

/// Names rooms for their owners, and knows owners by the names.
#[derive(Debug)]
pub struct OwnerTags {
    tagger: Tagger,
}

/// Whom a room is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomOwner<'o> {
    /// Somebody by the id that rules go by ([`Identity::subject`]).
    Subject(&'o str),
    /// Somebody by an e-mail address, who may never have signed in yet; case does not matter.
    Email(&'o str),
}

// === impl OwnerTags ===

impl OwnerTags {
    /// `tagger` is the one for [`Purpose::Owner`](crate::seal::Purpose::Owner).
    pub fn new(tagger: Tagger) -> Self {
        Self { tagger }
    }

    /// A name for a room of this owner: memorable random words, or what they wished for folded to
    /// what is readable in an address; and the tag.
    ///
    /// # Errors
    ///
    /// [`RoomError::Empty`] when nothing of the wish can stand in an address. An empty wish is none.
    pub fn name(
        &self,
        tenant: Option<&Tenant>,
        wish: Option<&str>,
        owner: &RoomOwner<'_>,
        random: &Random,
    ) -> Result<RoomKey, RoomError> {
        let stem = match wish.map(str::trim).filter(|wish| !wish.is_empty()) {
            Some(wish) => slug::slugify(wish),
            None => word_list::random_slug(random),
        };
        let named = |name: &str| RoomKey::from_query(tenant.cloned(), name);
        // The tag is over the canonical form, which is what comes back from an address.
        let stem = named(&stem)?;
        let tag = self.tag(stem.node(), tenant, owner);
        named(&format!("{}{SEPARATOR}{tag}", stem.node()))
    }

    /// Whether the room was made for this person.
    ///
    /// Only for people whom the provider vouches for: an integration or a guest could claim any
    /// subject.
    pub fn is_owner(&self, room: &RoomKey, who: &Identity) -> bool {
        let Some((stem, tag)) = split(room) else {
            return false;
        };
        let email = who.email.as_deref().filter(|_| who.email_verified);
        [
            Some(RoomOwner::Subject(&who.subject)),
            email.map(RoomOwner::Email),
        ]
        .into_iter()
        .flatten()
        .any(|owner| {
            let (kind, id) = owner.parts();
            let parts = [kind, &id, stem, tenant_part(room.tenant())];
            !id.is_empty() && self.tagger.verify_short(&parts, tag)
        })
    }

    /// Whether the room's name could end in a tag, so that it may have an owner.
    pub fn shaped(room: &RoomKey) -> bool {
        split(room).is_some()
    }

    fn tag(&self, stem: &str, tenant: Option<&Tenant>, owner: &RoomOwner<'_>) -> String {
        let (kind, id) = owner.parts();
        self.tagger
            .short_tag(&[kind, &id, stem, tenant_part(tenant)])
    }
}

// === impl RoomOwner ===

impl RoomOwner<'_> {
    /// The kind, so that no address is taken for a subject, and the id.
    fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Subject(subject) => ("subject", (*subject).to_owned()),
            Self::Email(address) => ("email", address.trim().to_lowercase()),
        }
    }
}

/// The stem of a room's name, and what has the shape of a tag.
fn split(room: &RoomKey) -> Option<(&str, &str)> {
    let (stem, tag) = room.node().rsplit_once(SEPARATOR)?;
    (!stem.is_empty() && is_short_tag(tag)).then_some((stem, tag))
}

/// No tenant is the empty one, which no tenant can be.
fn tenant_part(tenant: Option<&Tenant>) -> &str {
    tenant.map_or("", Tenant::as_str)
}

const SEPARATOR: char = '-';

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seal::{Keyring, Purpose};

    const HANNA: RoomOwner<'_> = RoomOwner::Subject("4711");

    fn tags(keys: &[&str]) -> OwnerTags {
        let ring = Keyring::parse(&keys.join("\n")).unwrap();
        OwnerTags::new(ring.tagger(Purpose::Owner))
    }

    const OLD: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA";
    const NEW: &str = "3q2-7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs";

    fn member(subject: &str) -> Identity {
        Identity {
            subject: subject.to_owned(),
            ..Identity::default()
        }
    }

    fn with_email(subject: &str, email: &str, verified: bool) -> Identity {
        Identity {
            email: Some(email.to_owned()),
            email_verified: verified,
            ..member(subject)
        }
    }

    fn wish(
        tags: &OwnerTags,
        tenant: Option<&Tenant>,
        wish: &str,
        owner: &RoomOwner<'_>,
    ) -> RoomKey {
        tags.name(tenant, Some(wish), owner, &Random::predictable(1))
            .unwrap()
    }

    fn changed(room: &RoomKey, from: &str, to: &str) -> RoomKey {
        let text = room.to_string();
        assert!(text.contains(from), "{text}");
        RoomKey::try_from(text.replacen(from, to, 1)).unwrap()
    }

    #[test]
    fn only_the_owner_is_the_owner() {
        let tags = tags(&[OLD]);
        let room = wish(&tags, None, "Team Call", &HANNA);
        assert!(room.node().starts_with("team-call-"), "{room}");
        assert!(OwnerTags::shaped(&room));
        assert!(tags.is_owner(&room, &member("4711")));
        assert!(!tags.is_owner(&room, &member("4712")));
        assert!(!tags.is_owner(&room, &member("")));
        // Not by calling an address what is a subject.
        assert!(!tags.is_owner(&room, &with_email("1", "4711", true)));
    }

    #[test]
    fn a_changed_tag_stem_or_tenant_has_no_owner() {
        let tags = tags(&[OLD]);
        let acme = Tenant::parse("acme").unwrap();
        let room = wish(&tags, Some(&acme), "plan", &HANNA);
        let hanna = member("4711");
        assert!(tags.is_owner(&room, &hanna));
        let last = room.node().chars().last().unwrap();
        let other = if last == '0' { "1" } else { "0" };
        let mut text = room.to_string();
        text.pop();
        let retagged = RoomKey::try_from(text + other).unwrap();
        for room in [
            retagged,
            changed(&room, "plan", "plans"),
            changed(&room, "plan-", "plan--"),
            changed(&room, "acme/", "acne/"),
            changed(&room, "acme/", ""),
        ] {
            assert!(OwnerTags::shaped(&room), "{room}");
            assert!(!tags.is_owner(&room, &hanna), "{room}");
        }
    }

    #[test]
    fn a_room_keeps_its_owner_when_keys_rotate_until_the_old_one_is_gone() {
        let room = wish(&tags(&[OLD]), None, "plan", &HANNA);
        assert!(tags(&[NEW, OLD]).is_owner(&room, &member("4711")));
        assert!(!tags(&[NEW]).is_owner(&room, &member("4711")));
        let newer = wish(&tags(&[NEW, OLD]), None, "plan", &HANNA);
        assert_ne!(newer, room);
    }

    #[test]
    fn an_address_counts_when_the_provider_verified_it() {
        let tags = tags(&[OLD]);
        let room = wish(&tags, None, "plan", &RoomOwner::Email("Hanna@Example.org"));
        assert!(tags.is_owner(&room, &with_email("1", "hanna@example.ORG", true)));
        assert!(!tags.is_owner(&room, &with_email("1", "hanna@example.org", false)));
        assert!(!tags.is_owner(&room, &with_email("1", "max@example.org", true)));
        assert!(!tags.is_owner(&room, &member("hanna@example.org")));
    }

    #[test]
    fn no_wish_gives_words_and_an_impossible_one_nothing() {
        let tags = tags(&[OLD]);
        let named = |wish| tags.name(None, wish, &HANNA, &Random::predictable(3));
        let room = named(None).unwrap();
        assert_eq!(room.node().split('-').count(), 4, "{room}");
        assert_eq!(named(Some("  ")).unwrap(), room);
        assert!(tags.is_owner(&room, &member("4711")));
        assert_eq!(named(Some("?!")), Err(RoomError::Empty));
    }

    #[test]
    fn ordinary_rooms_have_no_owner() {
        let tags = tags(&[OLD]);
        for name in ["team", "team-call", "k7qd3m2a", "a-k7qd3m2", "a-k7qd3m2l"] {
            let room = RoomKey::from_text(name).unwrap();
            assert!(!OwnerTags::shaped(&room), "{name}");
            assert!(!tags.is_owner(&room, &member("4711")), "{name}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_wished_for_is_the_owners_in_every_spelling(
            text in "\\PC{1,80}",
            subject in "\\PC{1,40}",
        ) {
            let tags = tags(&[NEW]);
            let owner = RoomOwner::Subject(&subject);
            if let Ok(room) = tags.name(None, Some(&text), &owner, &Random::predictable(1)) {
                prop_assert!(tags.is_owner(&room, &member(&subject)));
                let page = RoomKey::from_page(None, room.node()).unwrap();
                prop_assert_eq!(&page.key, &room);
                prop_assert_eq!(page.respelled, None);
                let typed = RoomKey::from_text(&room.readable()).unwrap();
                prop_assert!(tags.is_owner(&typed, &member(&subject)));
            }
        }
    }
}
