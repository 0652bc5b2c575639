//! Issue of passes: to guests, to holders of links, and to people of other systems.

use std::time::Duration;

use model::{
    clock::{Clock, Timestamp},
    identity::{Identity, Invited, Standing},
    invitation::InvitationLink,
    random::Random,
    room::RoomKey,
    session::{Pass, SessionId, Validity},
};

/// Issues passes to one room, which last as long as a guest may stay.
#[derive(Clone, Debug)]
pub(crate) struct PassIssuer {
    pub(crate) lifetime: Duration,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

// === impl PassIssuer ===

impl PassIssuer {
    /// A guest's pass, with the name that the guest stated, if any.
    pub(crate) fn guest(&self, room: &RoomKey, name: Option<String>) -> Pass {
        let identity = Identity {
            name,
            ..Identity::default()
        };
        self.issue(room, Standing::Guest, identity)
    }

    /// The pass of a link's holder, who may state another name. It lasts on even if the link ends.
    pub(crate) fn invited(&self, link: &InvitationLink, name: Option<String>) -> Pass {
        let identity = Identity {
            name: name.or_else(|| link.name.clone()),
            email: link.email.clone(),
            ..Identity::default()
        };
        let standing = Standing::Invited(Invited {
            link: link.id.clone(),
            host: link.host,
            member: false,
        });
        self.issue(&link.room, standing, identity)
    }

    /// The pass of a person that an integration's token names. One token is one person in the
    /// room, however often it is shown: `id` and `issued` are of the token.
    pub(crate) fn for_token(
        &self,
        room: &RoomKey,
        standing: Standing,
        identity: Identity,
        id: SessionId,
        issued: Timestamp,
    ) -> Pass {
        let pass = self.issue(room, standing, identity);
        pass.named(id).with_token_issued(issued)
    }

    /// The pass of one of several people who may show the same token, which names none of them:
    /// each is a person of their own.
    pub(crate) fn for_shared_token(
        &self,
        room: &RoomKey,
        standing: Standing,
        mut identity: Identity,
        token: &SessionId,
        issued: Timestamp,
    ) -> Pass {
        let own = self.random.text::<OWN_ID_BYTES>();
        identity.subject = format!("{}{ONE_OF_MANY}{own}", identity.subject);
        let id = SessionId::from(format!("{}{ONE_OF_MANY}{own}", token.as_str()).as_str());
        self.for_token(room, standing, identity, id, issued)
    }

    fn issue(&self, room: &RoomKey, standing: Standing, identity: Identity) -> Pass {
        let validity = Validity::beginning_now(&self.clock, self.lifetime);
        Pass::issue(room, standing, identity, validity, &self.random)
    }
}

/// Separates the id of a token, which is base64url, from that of its bearer.
pub(crate) const ONE_OF_MANY: char = '.';

/// 64 bits: no two of a meeting's people are the same.
const OWN_ID_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{key, link};

    #[test]
    fn passes_are_for_one_room_and_last_as_long_as_a_guest_may_stay() {
        let now = Timestamp::from_unix(1_000_000);
        let issuer = PassIssuer {
            lifetime: Duration::from_hours(2),
            clock: Clock::manual(now).0,
            random: Random::system(),
        };
        let by_link = InvitationLink {
            name: Some("Ann".to_owned()),
            ..link("l1", "x")
        };
        let named = |name: &str| Some(name.to_owned());
        let embedded = crate::testing::embedded("moodle");
        let id = SessionId::from("t1");
        for (pass, name, standing) in [
            (issuer.guest(&key("x"), None), None, Standing::Guest),
            (
                issuer.guest(&key("x"), named("Bo")),
                named("Bo"),
                Standing::Guest,
            ),
            (
                issuer.invited(&by_link, None),
                named("Ann"),
                crate::testing::invited("l1"),
            ),
            (
                issuer.invited(&by_link, named("Bo")),
                named("Bo"),
                crate::testing::invited("l1"),
            ),
            (
                issuer.for_token(
                    &key("x"),
                    embedded.clone(),
                    Identity::default(),
                    id.clone(),
                    now,
                ),
                None,
                embedded.clone(),
            ),
        ] {
            assert_eq!(pass.room(), &key("x"));
            assert_eq!(pass.identity().name, name);
            assert_eq!(pass.standing(), &standing);
            assert_eq!(pass.began(), now);
            assert_eq!(pass.ends(), now.after(Duration::from_hours(2)));
            assert_eq!(*pass.id() == id, standing == embedded);
        }
    }
}
