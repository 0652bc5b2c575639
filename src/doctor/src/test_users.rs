//! Test users: identities that the gateway admits to one room by a token of its own.

use std::time::Duration;

use config::Config;
use model::{
    clock::Clock,
    identity::{Identity, Invited, Standing},
    policy::{Admission, Features, Requester, Role, Situation},
    random::Random,
    room::RoomKey,
    session::Pass,
    token::{ClientToken, ClientTokenKind, ClientTokens, PersonalClaims},
};

/// Issues tokens for test users of one deployment.
#[derive(Debug)]
pub struct TestUsers {
    tokens: ClientTokens,
    clock: Clock,
    random: Random,
}

// === impl TestUsers ===

impl TestUsers {
    /// Signs with the keys of the configuration, so that its gateway accepts the tokens.
    pub fn new(config: &Config, clock: Clock, random: Random) -> Self {
        let origin = config.public_url.origin();
        Self {
            tokens: ClientTokens::new(&config.keyring, origin, clock.clone(), random.clone()),
            clock,
            random,
        }
    }

    /// A token for one room: `jwt` of its page, `token` of its connections.
    pub fn invite(
        &self,
        room: &RoomKey,
        role: Role,
        user: &Identity,
        lifetime: Duration,
    ) -> ClientToken {
        let now = self.clock.now();
        let validity = now..now.after(lifetime);
        let pass = Pass::issue(room, standing(role), user.clone(), validity, &self.random);
        let (features, kind) = (Features::default(), ClientTokenKind::Embed);
        self.tokens
            .issue(&pass, role, &features, kind, lifetime, PersonalClaims::ALL)
    }
}

/// The standing of a member with an invitation, a host link for moderators: the rules derive the
/// role.
fn standing(role: Role) -> Standing {
    Standing::Invited(Invited {
        link: TEST_LINK.to_owned(),
        host: role == Role::Moderator,
        member: true,
    })
}

/// Whether the policy admits a test user to the room without waiting.
pub(super) fn is_admitted(config: &Config, room: &RoomKey, user: &Identity, clock: &Clock) -> bool {
    let standing = standing(Role::Moderator);
    let visitor = Requester {
        identity: user,
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

/// Marks test users in the audit log.
const TEST_LINK: &str = "token-mint";
