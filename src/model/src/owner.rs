//! Room owners, encoded in the room's name: any replica recognizes them without a store.
//!
//! A meeting is named `calm-otter-4821-k7qd3m2a`. The last part is a MAC over slug, tenant and
//! owner's id, by a key of the gateway. A member whose id yields the same tag is the owner; without
//! the key a name with a given owner cannot be found.

mod slug;
mod word_list;

use crate::{
    identity::{Identity, fold_email},
    random::Random,
    room::{RoomError, RoomKey, Tenant},
    seal::{Tagger, is_short_tag},
};

/// Creates names with owner tags, and verifies them.
#[derive(Debug)]
pub struct OwnerTags {
    tagger: Tagger,
}

/// The owner of a new room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomOwner<'o> {
    /// By subject ([`Identity::subject`]).
    Subject(&'o str),
    /// By e-mail address in any case; the owner may never have signed in yet.
    Email(&'o str),
}

// === impl OwnerTags ===

impl OwnerTags {
    /// `tagger` is the one for [`Purpose::Owner`](crate::seal::Purpose::Owner).
    pub fn new(tagger: Tagger) -> Self {
        Self { tagger }
    }

    /// Creates the key of a new room from the slug of the wished name, or from random words if the
    /// wish is absent or blank, and the owner tag.
    ///
    /// # Errors
    ///
    /// [`RoomError::Empty`] if the wish has no character that a slug keeps.
    pub fn name(
        &self,
        tenant: Option<&Tenant>,
        wish: Option<&str>,
        owner: &RoomOwner<'_>,
        random: &Random,
    ) -> Result<RoomKey, RoomError> {
        let slug = match wish.map(str::trim).filter(|wish| !wish.is_empty()) {
            Some(wish) => slug::slugify(wish),
            None => word_list::random_slug(random),
        };
        let named = |name: &str| RoomKey::from_query(tenant.cloned(), name);
        // The tag covers the canonical form, because an address is parsed into that.
        let slug = named(&slug)?;
        let tag = self.tag(slug.node(), tenant, owner);
        named(&format!("{}{SEPARATOR}{tag}", slug.node()))
    }

    /// Whether the room's tag is that of this identity.
    ///
    /// The caller passes identities of members only: an integration or a guest could claim any
    /// subject.
    pub fn is_owner(&self, room: &RoomKey, who: &Identity) -> bool {
        let Some((slug, tag)) = split(room) else {
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
            let parts = [kind, &id, slug, tenant_part(room.tenant())];
            !id.is_empty() && self.tagger.verify_short(&parts, tag)
        })
    }

    fn tag(&self, slug: &str, tenant: Option<&Tenant>, owner: &RoomOwner<'_>) -> String {
        let (kind, id) = owner.parts();
        self.tagger
            .short_tag(&[kind, &id, slug, tenant_part(tenant)])
    }
}

// === impl RoomOwner ===

impl RoomOwner<'_> {
    /// The kind and the id; the kind keeps an address from matching an equal subject.
    fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Subject(subject) => ("subject", (*subject).to_owned()),
            Self::Email(address) => ("email", fold_email(address.trim())),
        }
    }
}

/// Splits a room's name into slug and tag, if its end has the form of a tag.
fn split(room: &RoomKey) -> Option<(&str, &str)> {
    let (slug, tag) = room.node().rsplit_once(SEPARATOR)?;
    (!slug.is_empty() && is_short_tag(tag)).then_some((slug, tag))
}

/// The tenant in the tag's input; a tenant is never empty, so `""` means none.
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
    fn a_room_belongs_only_to_the_subject_in_its_tag() {
        let tags = tags(&[OLD]);
        let room = wish(&tags, None, "Team Call", &HANNA);
        assert!(room.node().starts_with("team-call-"), "{room}");
        assert!(tags.is_owner(&room, &member("4711")));
        assert!(!tags.is_owner(&room, &member("4712")));
        assert!(!tags.is_owner(&room, &member("")));
        assert!(!tags.is_owner(&room, &with_email("1", "4711", true)));
    }

    #[test]
    fn a_changed_tag_slug_or_tenant_has_no_owner() {
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
            assert!(split(&room).is_some(), "{room}");
            assert!(!tags.is_owner(&room, &hanna), "{room}");
        }
    }

    #[test]
    fn a_room_keeps_its_owner_until_its_key_leaves_the_keyring() {
        let room = wish(&tags(&[OLD]), None, "plan", &HANNA);
        assert!(tags(&[NEW, OLD]).is_owner(&room, &member("4711")));
        assert!(!tags(&[NEW]).is_owner(&room, &member("4711")));
        let newer = wish(&tags(&[NEW, OLD]), None, "plan", &HANNA);
        assert_ne!(newer, room);
    }

    #[test]
    fn an_owner_by_address_needs_a_verified_address() {
        let tags = tags(&[OLD]);
        let room = wish(&tags, None, "plan", &RoomOwner::Email("Hanna@Example.org"));
        assert!(tags.is_owner(&room, &with_email("1", "hanna@example.ORG", true)));
        assert!(!tags.is_owner(&room, &with_email("1", "hanna@example.org", false)));
        assert!(!tags.is_owner(&room, &with_email("1", "max@example.org", true)));
        assert!(!tags.is_owner(&room, &member("hanna@example.org")));
        // The Kelvin sign, whose small letter is that of ASCII.
        let room = wish(&tags, None, "plan", &RoomOwner::Email("mike@example.org"));
        assert!(tags.is_owner(&room, &with_email("1", "MIKE@example.org", true)));
        assert!(!tags.is_owner(&room, &with_email("1", "mi\u{212a}e@example.org", true)));
    }

    #[test]
    fn a_blank_wish_gives_random_words_and_an_unusable_one_an_error() {
        let tags = tags(&[OLD]);
        let named = |wish| tags.name(None, wish, &HANNA, &Random::predictable(3));
        let room = named(None).unwrap();
        assert_eq!(room.node().split('-').count(), 4, "{room}");
        assert_eq!(named(Some("  ")).unwrap(), room);
        assert!(tags.is_owner(&room, &member("4711")));
        assert_eq!(named(Some("?!")), Err(RoomError::Empty));
    }

    #[test]
    fn names_without_a_tag_have_no_owner() {
        let tags = tags(&[OLD]);
        for name in ["team", "team-call", "k7qd3m2a", "a-k7qd3m2", "a-k7qd3m2l"] {
            let room = RoomKey::from_text(name).unwrap();
            assert!(split(&room).is_none(), "{name}");
            assert!(!tags.is_owner(&room, &member("4711")), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_spelling_of_a_named_room_has_its_owner(
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
