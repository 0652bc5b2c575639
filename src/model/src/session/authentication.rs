//! What a session knows about the authentication at the provider.

use std::time::Duration;

use super::Session;
use crate::{authentication_context::AuthenticationContext, clock::Timestamp};

// === impl Session ===

impl Session {
    /// How the person authenticated with the provider.
    pub fn authentication(&self) -> &AuthenticationContext {
        &self.authentication
    }

    /// The same session with the provider's word on the authentication, after a sign-in that asked for
    /// the requirement with the id `asked`.
    #[must_use]
    pub fn authenticated(
        self,
        authentication: AuthenticationContext,
        asked: Option<String>,
    ) -> Self {
        Self {
            authentication,
            asked,
            ..self
        }
    }

    /// Whether the provider was asked for a requirement just now, so that asking it again would be a
    /// loop.
    pub fn was_asked(&self, requirement: &str, now: Timestamp) -> bool {
        self.asked.as_deref() == Some(requirement) && now.since(self.began) < ASKED_AGAIN
    }
}

/// Redirects from the room to the provider and back take seconds; a person who comes back later wants to
/// try again.
const ASKED_AGAIN: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        identity::{Identity, VerifiedIdentity},
        random::Random,
        room::RoomKey,
        seal::Keyring,
        session::{SessionCodec, SessionSettings},
    };

    #[test]
    fn the_authentication_is_kept_by_cookies_and_passes_and_by_revalidation() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000));
        let settings = SessionSettings {
            idle: Duration::from_hours(1),
            absolute: Duration::from_hours(1),
        };
        let keyring = Keyring::single([3; 32]);
        let codec = SessionCodec::new(&keyring, "https://x", settings, clock.clone());
        let who = VerifiedIdentity::by_provider(Identity::default());
        let plain = codec.begin(who, None, &Random::system());
        assert!(plain.authentication().is_empty());
        assert!(!plain.was_asked("gold", clock.now()));
        let context =
            AuthenticationContext::new(Some("gold"), ["mfa"], Some(Timestamp::from_unix(990)));
        let session = plain.authenticated(context.clone(), Some("gold".to_owned()));
        let opened = codec.open(&codec.seal(&session).unwrap()).unwrap();
        assert_eq!(opened, session);
        assert_eq!(*opened.authentication(), context);
        let room = RoomKey::from_text("x").unwrap();
        let pass = opened.pass_to(&room, clock.now().after(Duration::from_mins(1)));
        assert_eq!(*pass.authentication(), context);
        let confirmed = opened.revalidated(&Identity::default(), clock.now());
        assert_eq!(*confirmed.authentication(), context);
        assert!(confirmed.was_asked("gold", clock.now()));
        assert!(!confirmed.was_asked("silver", clock.now()));
        hand.advance(ASKED_AGAIN);
        assert!(!confirmed.was_asked("gold", clock.now()));
    }
}
