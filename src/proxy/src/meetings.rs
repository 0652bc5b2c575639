//! Meetings of members: their rooms, and the links that their hosts pass on.

use std::{sync::Arc, time::Duration};

use model::{
    clock::{Clock, Timestamp},
    identity::{Identity, Invited, Standing},
    invitation::InvitationLink,
    owner::RoomOwner,
    policy::{Admission, Authentication, Policy, Requester, Role, Situation},
    random::Random,
    room::{RoomError, RoomKey},
};

use crate::{authorize::Authorizer, invitations::Invitations};

/// Names the rooms of new meetings, and makes the links of meetings.
#[derive(Debug)]
pub(crate) struct Meetings {
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) invitations: Arc<Invitations>,
    /// How long a guest link can be used.
    pub(crate) link_lifetime: Duration,
    /// How long a host link can be used.
    pub(crate) host_link_lifetime: Duration,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

/// The addresses of one meeting, to be passed on.
pub(crate) struct Addresses {
    pub(crate) room: String,
    pub(crate) host: (String, Timestamp),
    /// None where the rule does not let holders of links in.
    pub(crate) guest: Option<(String, Timestamp)>,
    /// Whether the rule lets guests in at the room's address.
    pub(crate) admits_guests: bool,
}

// === impl Addresses ===

impl Addresses {
    /// The address for people who are invited.
    pub(crate) fn for_calendar(&self) -> &str {
        let guest = self.guest.as_ref().map(|(url, _)| url);
        guest.unwrap_or(&self.room)
    }
}

// === impl Meetings ===

impl Meetings {
    /// A room that carries its creator's tag, on whatever replica, for ever.
    pub(crate) fn new_room(
        &self,
        wish: Option<&str>,
        creator: &Identity,
    ) -> Result<RoomKey, RoomError> {
        let owner = RoomOwner::Subject(&creator.subject);
        self.authorizer
            .owners
            .name(None, wish, &owner, &self.random)
    }

    /// Whether a person could host a meeting that they create.
    pub(crate) fn may_create(&self, policy: &Policy, creator: &Identity) -> bool {
        self.new_room(None, creator)
            .is_ok_and(|room| self.would_host(policy, &room, creator))
    }

    /// Whether a person would be the moderator of a room of theirs.
    pub(crate) fn would_host(&self, policy: &Policy, room: &RoomKey, creator: &Identity) -> bool {
        let visitor = Requester {
            owner: true,
            ..Requester::member(creator)
        };
        let admission = policy.decide(room, Some(&visitor), &self.empty_room());
        matches!(admission, Admission::Admit(grant) if grant.role() == Role::Moderator)
    }

    /// The addresses of a meeting, with links made now by `by`. A guest link is of use only where the
    /// rule lets holders of links in.
    pub(crate) fn addresses(&self, policy: &Policy, room: &RoomKey, by: &str) -> Addresses {
        let link = |host: bool, lifetime: Duration| {
            let expires = self.clock.now().after(lifetime);
            let link = InvitationLink {
                id: self.random.text::<9>(),
                room: room.clone(),
                host,
                name: None,
                email: None,
                begins: None,
                expires,
                uses: None,
                by: by.to_owned(),
            };
            (self.invitations.url(&link), expires)
        };
        Addresses {
            host: link(true, self.host_link_lifetime),
            guest: self
                .takes_links(policy, room)
                .then(|| link(false, self.link_lifetime)),
            admits_guests: matches!(
                policy.decide(room, None, &self.empty_room()),
                Admission::Guest { .. }
            ),
            room: self.invitations.room_url(room),
        }
    }

    /// Whether the holder of a link could enter.
    fn takes_links(&self, policy: &Policy, room: &RoomKey) -> bool {
        let standing = Standing::Invited(Invited {
            link: String::new(),
            host: false,
            member: false,
        });
        let identity = Identity::default();
        let visitor = Requester {
            identity: &identity,
            standing: &standing,
            owner: false,
            authentication: Authentication::Sufficient,
        };
        let admission = policy.decide(room, Some(&visitor), &self.empty_room());
        matches!(admission, Admission::Admit(_) | Admission::Wait(_))
    }

    fn empty_room(&self) -> Situation {
        Situation {
            now: self.clock.now(),
            ..Situation::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use model::policy::{EntryRule, Glob, Rule};

    use super::*;
    use crate::testing::{Deployment, key, person};

    fn meetings(deployment: &Deployment) -> Meetings {
        Meetings {
            authorizer: Arc::clone(&deployment.authorizer),
            invitations: Arc::new(deployment.invitations()),
            link_lifetime: Duration::from_hours(1),
            host_link_lifetime: Duration::from_hours(2),
            clock: deployment.clock.clone(),
            random: Random::system(),
        }
    }

    #[tokio::test]
    async fn rules_decide_who_creates_meetings_and_which_links_are_of_use() {
        let deployment = Deployment::new();
        let meetings = meetings(&deployment);
        let ann = person("ann");
        let now = deployment.clock.now();
        for (enter, hosts, creates, takes_links) in [
            (&["member"][..], &["owner"][..], true, false),
            (&["member"], &["group:bob"], false, false),
            (&["member", "link"], &["owner"], true, true),
            (&["group:bob"], &["owner"], false, false),
        ] {
            let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            let policy = Policy::new(vec![Rule {
                hosts: parse(hosts),
                ..Rule::new(Glob::folded("*"), EntryRule::Where(parse(enter)))
            }]);
            let case = format!("{enter:?} {hosts:?}");
            assert_eq!(meetings.may_create(&policy, &ann), creates, "{case}");
            let addresses = meetings.addresses(&policy, &key("x"), "ann");
            assert_eq!(addresses.guest.is_some(), takes_links, "{case}");
            let host = (addresses.host, true, Duration::from_hours(2));
            let guest = addresses.guest;
            let guest = guest.map(|guest| (guest, false, Duration::from_hours(1)));
            for ((url, expires), host, lifetime) in guest.into_iter().chain([host]) {
                assert_eq!(expires, now.after(lifetime), "{case}");
                let token = url.strip_prefix(&*format!("{}?invite=", addresses.room));
                let opened = meetings.invitations.open(token.unwrap(), &key("x"));
                let link = opened.unwrap();
                let content = (link.host, &*link.by, link.expires);
                assert_eq!(content, (host, "ann", expires), "{case}");
            }
        }
    }

    #[tokio::test]
    async fn a_new_room_belongs_to_its_creator_only() {
        let deployment = Deployment::new();
        let room = meetings(&deployment)
            .new_room(Some("weekly"), &person("ann"))
            .unwrap();
        let owners = &deployment.authorizer.owners;
        assert!(room.to_string().starts_with("weekly"), "{room}");
        assert!(owners.is_owner(&room, &person("ann")));
        assert!(!owners.is_owner(&room, &person("bob")));
    }
}
