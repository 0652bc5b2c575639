//! Sessions of members: what a sealed cookie says of a person who signed in, so that any replica
//! can read it. [`Pass`]es are the same for one room; [`Visitor`] is what a request's cookies amount
//! to.

mod cookies;
mod jitsi_state;
mod pass;
mod pass_cookies;
mod return_to;
mod sign_in;
mod visitor;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::debug;

pub use self::{
    cookies::{RequestCookies, expire, is_own_cookie, set, set_below, set_in_frame},
    jitsi_state::{App, JitsiState},
    pass::Pass,
    pass_cookies::{BrowsingContext, PassCookies},
    return_to::ReturnTo,
    sign_in::{Afterwards, SignIn, SignInCookies, SignInError},
    visitor::{Credential, Principal, Visitor},
};
use crate::{
    clock::{Clock, Timestamp},
    identity::{Identity, VerifiedIdentity},
    random::Random,
    room::RoomKey,
    seal::{Keyring, Purpose, Sealer},
};

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettings {
    /// Without any request for this long the session is over.
    pub idle: Duration,
    /// This long after signing in the session is over, whatever happens.
    pub absolute: Duration,
}

/// The session of a person who signed in with the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    #[serde(rename = "i")]
    id: SessionId,
    /// The provider's id of its own session (`sid`), for back-channel logout.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    provider_session: Option<String>,
    #[serde(rename = "w")]
    identity: Identity,
    #[serde(rename = "b")]
    began: Timestamp,
    /// When the cookie was sealed last: idling counts from here.
    #[serde(rename = "l")]
    seen: Timestamp,
}

/// The random name of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

/// Turns sessions into cookies and back.
#[derive(Debug)]
pub struct SessionCodec {
    sealer: Sealer,
    settings: SessionSettings,
    clock: Clock,
}

/// Why a session cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The cookie would be larger than browsers keep.
    #[error(
        "the account has more groups and claims that rules name than a cookie can hold ({0} bytes)"
    )]
    TooLarge(usize),
}

// === impl Session ===

impl Session {
    /// The random name that revocations and the connection registry go by.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The person's identity, as the provider proved it.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The time of the sign-in.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// What revocations may name of this session.
    pub fn credential(&self) -> Credential<'_> {
        Credential {
            id: &self.id,
            provider_session: self.provider_session.as_deref(),
            identity: &self.identity,
            began: self.began,
            link: None,
        }
    }

    /// The member's pass to one room: for a client that keeps no cookie of the session, and must not
    /// get one for all rooms.
    #[must_use]
    pub fn pass_to(&self, room: &RoomKey, ends: Timestamp) -> Pass {
        Pass::of_member(self, room, ends)
    }
}

// === impl SessionId ===

impl SessionId {
    /// The text of the id: unguessable, but no credential.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SessionId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

// === impl SessionCodec ===

impl SessionCodec {
    /// A codec for the deployment at `origin`.
    pub fn new(keyring: &Keyring, origin: &str, settings: SessionSettings, clock: Clock) -> Self {
        Self {
            sealer: keyring.sealer(Purpose::Session, origin),
            settings,
            clock,
        }
    }

    /// Begins the session of a person whose identity the provider proved.
    pub fn begin(
        &self,
        who: VerifiedIdentity,
        provider_session: Option<String>,
        random: &Random,
    ) -> Session {
        let now = self.clock.now();
        Session {
            id: SessionId(random.text::<16>()),
            provider_session,
            identity: who.into_inner(),
            began: now,
            seen: now,
        }
    }

    /// The cookie's value, which is no longer than browsers keep.
    pub fn seal(&self, session: &Session) -> Result<String, SessionError> {
        let plain = serde_json::to_vec(session).unwrap_or_default();
        let sealed = self.sealer.seal(&plain);
        if sealed.len() > MAX_COOKIE_BYTES {
            return Err(SessionError::TooLarge(sealed.len()));
        }
        Ok(sealed)
    }

    /// The session of a cookie's value, if it is ours and not over.
    pub fn open(&self, value: &str) -> Option<Session> {
        if value.len() > MAX_COOKIE_BYTES {
            return None;
        }
        let plain = self.sealer.open(value)?;
        let session: Session = serde_json::from_slice(&plain)
            .inspect_err(|error| debug!(%error, "a session cookie of another version was ignored"))
            .ok()?;
        (self.clock.now() < self.ends(&session)).then_some(session)
    }

    /// The cookie's new value when the session was last seen so long ago that idling would soon end
    /// it, else `None`.
    pub fn renew(&self, session: &Session) -> Option<String> {
        let now = self.clock.now();
        let stale = now.since(session.seen) >= self.settings.idle / RENEWALS_PER_IDLE;
        if !stale {
            return None;
        }
        self.seal(&Session {
            seen: now,
            ..session.clone()
        })
        .ok()
    }

    /// The end of a session that makes no further request.
    pub fn ends(&self, session: &Session) -> Timestamp {
        let idle = session.seen.after(self.settings.idle);
        idle.min(self.latest_end_of(session))
    }

    /// The end of a session, however active it is.
    pub fn latest_end_of(&self, session: &Session) -> Timestamp {
        session.began.after(self.settings.absolute)
    }

    /// The end of a principal's stay, however active: of the session, of the pass, or of the one
    /// that ends first.
    pub fn latest_end(&self, principal: &Principal) -> Timestamp {
        match principal {
            Principal::Member(session) => self.latest_end_of(session),
            Principal::Pass(pass) => self.latest_end_of_pass(pass),
            Principal::MemberWithPass { member, pass } => {
                self.latest_end_of(member).min(pass.ends())
            }
        }
    }

    /// The end of a pass; no pass outlives a session that began with it.
    pub fn latest_end_of_pass(&self, pass: &Pass) -> Timestamp {
        pass.ends().min(pass.began().after(self.settings.absolute))
    }

    /// How long the browser should keep the cookie.
    pub fn cookie_lifetime(&self) -> Duration {
        self.settings.idle.min(self.settings.absolute)
    }
}

/// The session cookie's name. `__Host-` makes browsers refuse it from other hosts of the domain
/// (RFC 6265bis § 4.1.3.2).
pub const SESSION_COOKIE: &str = "__Host-gateway-session";

/// The cookie that keeps the ID token for the provider's logout; sent to our own pages only.
pub const HINT_COOKIE: &str = "__Secure-gateway-hint";

/// What one cookie may hold: browsers keep 4096 bytes of name, value and attributes (RFC 6265bis
/// § 5.6), and the attributes take their part.
pub const MAX_COOKIE_BYTES: usize = 3800;

/// A cookie is renewed at most this often within the idle time: often enough that nobody loses a
/// tenth of it, rarely enough that answers stay cookie-free.
const RENEWALS_PER_IDLE: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(clock: &Clock) -> SessionCodec {
        let settings = SessionSettings {
            idle: Duration::from_hours(12),
            absolute: Duration::from_hours(24),
        };
        SessionCodec::new(
            &Keyring::single([3; 32]),
            "https://meet.example.org",
            settings,
            clock.clone(),
        )
    }

    fn session(codec: &SessionCodec, groups: usize) -> Session {
        let identity = Identity {
            subject: "248289761001".to_owned(),
            name: Some("Zoë".to_owned()),
            groups: (0..groups).map(|n| format!("department-{n:04}")).collect(),
            ..Identity::default()
        };
        codec.begin(
            VerifiedIdentity::by_provider(identity),
            Some("op-session".to_owned()),
            &Random::system(),
        )
    }

    #[test]
    fn a_session_comes_back_until_it_idles_out() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
        let codec = codec(&clock);
        let session = session(&codec, 3);
        let cookie = codec.seal(&session).unwrap();
        assert_eq!(codec.open(&cookie).unwrap(), session);
        assert!(codec.renew(&session).is_none());
        hand.advance(Duration::from_hours(2));
        let renewed = codec.renew(&session).unwrap();
        hand.advance(Duration::from_hours(11));
        assert!(codec.open(&cookie).is_none());
        assert!(codec.open(&renewed).is_some());
    }

    #[test]
    fn the_absolute_end_comes_whatever_happens() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
        let codec = codec(&clock);
        let mut session = session(&codec, 0);
        for _ in 0..23 {
            hand.advance(Duration::from_hours(1));
            let renewed = codec.renew(&session).unwrap();
            session = codec.open(&renewed).unwrap();
        }
        hand.advance(Duration::from_hours(1));
        assert!(codec.open(&codec.seal(&session).unwrap()).is_none());
    }

    #[test]
    fn cookies_stay_under_what_browsers_keep() {
        let codec = codec(&Clock::system());
        assert!(codec.seal(&session(&codec, 100)).unwrap().len() <= MAX_COOKIE_BYTES);
        assert!(matches!(
            codec.seal(&session(&codec, 300)),
            Err(SessionError::TooLarge(_))
        ));
        assert!(codec.open(&"A".repeat(100_000)).is_none());
    }
}
