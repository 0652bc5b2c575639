//! A test person: somebody whom the gateway lets into one room by a token that only it accepts.

use std::time::Duration;

use config::Config;
use model::{
    clock::Clock,
    identity::{Identity, Invited, Standing},
    policy::{Admission, Features, Role, Situation, Visitor},
    random::Random,
    room::RoomKey,
    session::Pass,
    token::{ClientToken, ClientTokenKind, ClientTokens},
};

/// Makes tokens for test persons of one deployment.
#[derive(Debug)]
pub struct TestPersons {
    tokens: ClientTokens,
    clock: Clock,
    random: Random,
}

// === impl TestPersons ===

impl TestPersons {
    /// Those whom the gateway of this configuration believes.
    pub fn new(config: &Config, clock: Clock, random: Random) -> Self {
        let origin = config.public_url.origin();
        Self {
            tokens: ClientTokens::new(&config.keyring, origin, clock.clone(), random.clone()),
            clock,
            random,
        }
    }

    /// A token for a room's address or a connection to it, as `jwt` or `token`.
    pub fn invite(
        &self,
        room: &RoomKey,
        role: Role,
        person: &Identity,
        lifetime: Duration,
    ) -> ClientToken {
        let now = self.clock.now();
        let validity = now..now.after(lifetime);
        let pass = Pass::issue(room, standing(role), person.clone(), validity, &self.random);
        let (features, kind) = (Features::default(), ClientTokenKind::Embed);
        self.tokens.issue(&pass, role, &features, kind, lifetime)
    }
}

/// As if a member had come by a host's link, so that the rules give the role.
fn standing(role: Role) -> Standing {
    Standing::Invited(Invited {
        link: TEST_LINK.to_owned(),
        host: role == Role::Moderator,
        member: true,
    })
}

/// Whether the rules let a test person into the room at once.
pub(super) fn may_enter(config: &Config, room: &RoomKey, person: &Identity, clock: &Clock) -> bool {
    let standing = standing(Role::Moderator);
    let visitor = Visitor {
        identity: person,
        standing: &standing,
        owner: false,
    };
    let situation = Situation {
        now: clock.now(),
        ..Situation::default()
    };
    let admission = config.policy.decide(room, Some(&visitor), &situation);
    matches!(admission, Admission::Admit(_))
}

/// The links of test persons, by which they can be told in the audit log.
const TEST_LINK: &str = "token-mint";
