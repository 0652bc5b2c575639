//! Sessions of members: the content of a sealed cookie, so that any replica can read it without a
//! store.
//!
//! A [`Pass`] is the counterpart for one room; a [`Visitor`] is the result of a request's cookies.

mod authentication;
mod cookies;
mod guest_name;
mod jitsi_state;
mod pass;
mod pass_cookies;
mod return_to;
mod revalidation;
mod sign_in;
mod visitor;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::debug;

pub use self::{
    cookies::{RequestCookies, expire, is_own_cookie, set, set_below, set_in_frame},
    guest_name::{forget_guest_name, remember_guest_name, remembered_guest_name},
    jitsi_state::{App, JitsiState},
    pass::{Pass, Validity},
    pass_cookies::{BrowsingContext, PassCookies},
    return_to::ReturnTo,
    revalidation::{RevalidationNeed, RevalidationSchedule},
    sign_in::{Afterwards, SignIn, SignInCookies, SignInError},
    visitor::{Credential, Principal, Visitor},
};
use crate::{
    authentication_context::AuthenticationContext,
    clock::{Clock, EventTime, Timestamp},
    identity::{Identity, VerifiedIdentity},
    provider::MemberScopes,
    random::Random,
    room::RoomKey,
    seal::{Keyring, Purpose, Sealer},
};

/// The lifetimes of sessions.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettings {
    /// A session without a request for this long expires.
    pub idle: Duration,
    /// The time from the sign-in to the end of the session, however active it is.
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
    /// The milliseconds of `began`. A cookie of an earlier release has none: every revocation of that second ends it.
    #[serde(rename = "m", default, skip_serializing_if = "is_zero")]
    began_millis: u16,
    /// The time of the last sealing; the idle time counts from here.
    #[serde(rename = "l")]
    seen: Timestamp,
    /// When the provider confirmed the session last; `None` if it cannot be asked again.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    validated: Option<Timestamp>,
    /// How the person authenticated.
    #[serde(
        rename = "a",
        default,
        skip_serializing_if = "AuthenticationContext::is_empty"
    )]
    authentication: AuthenticationContext,
    /// The [id](crate::policy::AuthenticationRequirement::id) of what the sign-in asked for.
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    asked: Option<String>,
    /// The first of the sessions of this person that followed each other in one browser; `None` if it
    /// is this one.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    ancestor: Option<SessionId>,
}

/// The random id of a session or pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

/// Seals sessions into cookies and opens them.
#[derive(Debug)]
pub struct SessionCodec {
    sealer: Sealer,
    settings: SessionSettings,
    members: MemberScopes,
    clock: Clock,
}

/// Why a session cannot be stored in a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The cookie would exceed the browsers' limit.
    #[error(
        "the account has more groups and claims that rules name than a cookie can hold ({0} bytes)"
    )]
    TooLarge(usize),
}

// === impl Session ===

impl Session {
    /// The id in revocations and in the connection registry.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The identity that the provider verified.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The time of the sign-in.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// When the provider confirmed the session last; `None` if it cannot be asked again.
    pub fn validated(&self) -> Option<Timestamp> {
        self.validated
    }

    /// The same session as one for which the provider gave a refresh token.
    #[must_use]
    pub fn refreshable(self) -> Self {
        Self {
            validated: Some(self.began),
            ..self
        }
    }

    /// The same session after the provider confirmed it again, as this identity.
    #[must_use]
    pub fn revalidated(self, identity: &Identity, at: Timestamp) -> Self {
        Self {
            identity: identity.clone(),
            validated: Some(at),
            ..self
        }
    }

    /// The same session as a successor of one of the same person in the same browser. The earlier one
    /// goes on, because its meetings do, and ends when this one is signed out.
    #[must_use]
    pub fn succeeding(self, before: &Self) -> Self {
        Self {
            ancestor: before.ancestor.clone().or_else(|| Some(before.id.clone())),
            ..self
        }
    }

    /// The parts of this session that a revocation may name.
    pub fn credential(&self) -> Credential<'_> {
        Credential {
            id: &self.id,
            provider_session: self.provider_session.as_deref(),
            identity: &self.identity,
            began: EventTime::new(self.began, self.began_millis),
            link: None,
            ancestor: self.ancestor.as_ref(),
        }
    }

    /// The member's pass to one room, for a client that keeps no session cookie and must not get a
    /// credential for all rooms.
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
    /// Creates the codec of the deployment at `origin`.
    pub fn new(keyring: &Keyring, origin: &str, settings: SessionSettings, clock: Clock) -> Self {
        Self {
            sealer: keyring.sealer(Purpose::Session, origin),
            settings,
            members: MemberScopes::default(),
            clock,
        }
    }

    /// The same codec for sessions of these providers.
    #[must_use]
    pub fn for_members(self, members: MemberScopes) -> Self {
        Self { members, ..self }
    }

    /// Begins the session of a person whose identity the provider verified.
    pub fn begin(
        &self,
        who: VerifiedIdentity,
        provider_session: Option<String>,
        random: &Random,
    ) -> Session {
        let now = self.clock.event_time();
        Session {
            id: SessionId(random.text::<16>()),
            provider_session,
            identity: who.into_inner(),
            began: now.second(),
            began_millis: now.millis(),
            seen: now.second(),
            validated: None,
            authentication: AuthenticationContext::default(),
            asked: None,
            ancestor: None,
        }
    }

    /// Seals a session as a cookie's value.
    ///
    /// # Errors
    ///
    /// [`SessionError::TooLarge`].
    pub fn seal(&self, session: &Session) -> Result<String, SessionError> {
        let plain = serde_json::to_vec(session).unwrap_or_default();
        let sealed = self.sealer.seal(&plain);
        if sealed.len() > MAX_COOKIE_BYTES {
            return Err(SessionError::TooLarge(sealed.len()));
        }
        Ok(sealed)
    }

    /// Opens a cookie's value; `None` if another deployment sealed it, it was changed, the
    /// session has expired, or its provider is none of this deployment.
    pub fn open(&self, value: &str) -> Option<Session> {
        if value.len() > MAX_COOKIE_BYTES {
            return None;
        }
        let plain = self.sealer.open(value)?;
        let session: Session = serde_json::from_slice(&plain)
            .inspect_err(|error| debug!(%error, "a session cookie of another version was ignored"))
            .ok()?;
        let counts = self.is_live(&session) && self.has_member(&session.identity);
        counts.then_some(session)
    }

    /// Whether a member's identity is of a provider of this deployment.
    pub fn has_member(&self, identity: &Identity) -> bool {
        self.members.include(identity)
    }

    /// Whether a session that was opened earlier has not expired.
    pub fn is_live(&self, session: &Session) -> bool {
        self.clock.now() < self.ends(session)
    }

    /// Seals the session anew if a twelfth of the idle time has passed since it was last sealed, or
    /// if the provider has confirmed it since; `None` if renewal is not due.
    pub fn renew(&self, session: &Session) -> Option<String> {
        let now = self.clock.now();
        let stale = now.since(session.seen) >= self.settings.idle / RENEWALS_PER_IDLE
            || session.validated.is_some_and(|at| session.seen < at);
        if !stale {
            return None;
        }
        self.seal(&Session {
            seen: now,
            ..session.clone()
        })
        .ok()
    }

    /// The expiry time of a session that makes no further request.
    pub fn ends(&self, session: &Session) -> Timestamp {
        let idle = session.seen.after(self.settings.idle);
        idle.min(self.latest_end_of(session))
    }

    /// The latest expiry time of a session, however active it is.
    pub fn latest_end_of(&self, session: &Session) -> Timestamp {
        session.began.after(self.settings.absolute)
    }

    /// The latest expiry time of a principal's credentials: of the session, of the pass, or the
    /// earlier of the two.
    pub fn latest_end(&self, principal: &Principal) -> Timestamp {
        match principal {
            Principal::Member(session) => self.latest_end_of(session),
            Principal::Pass(pass) => self.latest_end_of_pass(pass),
            Principal::MemberWithPass { member, pass } => {
                self.latest_end_of(member).min(pass.ends())
            }
        }
    }

    /// The time until [`latest_end`](Self::latest_end); zero afterwards.
    pub fn time_left(&self, principal: &Principal) -> Duration {
        self.until(self.latest_end(principal))
    }

    /// The time until `end`; zero afterwards.
    pub fn until(&self, end: Timestamp) -> Duration {
        self.clock.until(end)
    }

    /// The expiry time of a pass; a pass lives no longer than a session that began with it.
    pub fn latest_end_of_pass(&self, pass: &Pass) -> Timestamp {
        pass.ends().min(pass.began().after(self.settings.absolute))
    }

    /// The lifetime of the cookie in the browser.
    pub fn cookie_lifetime(&self) -> Duration {
        self.settings.idle.min(self.settings.absolute)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde passes it")]
const fn is_zero(millis: &u16) -> bool {
    *millis == 0
}

/// The session cookie's name. `__Host-` makes browsers refuse it from other hosts of the domain
/// (RFC 6265bis § 4.1.3.2).
pub const SESSION_COOKIE: &str = "__Host-gateway-session";

/// The cookie that stores the ID token for the provider's logout; sent to the gateway's own
/// endpoints only.
pub const HINT_COOKIE: &str = "__Secure-gateway-hint";

/// The cookie that stores which of several providers the person signed in with last. Its value is the
/// provider's id, which is no secret; it only orders the choice.
pub const PROVIDER_COOKIE: &str = "__Host-gateway-provider";

/// The cookie of a browser whose session could not be renewed a moment ago, as the provider could not be asked.
pub const POSTPONED_COOKIE: &str = "__Host-gateway-postponed";

/// Browsers keep 4096 bytes of name, value and attributes together (RFC 6265bis § 5.6); name and
/// attributes need less than 296.
pub const MAX_COOKIE_BYTES: usize = 3800;

/// The cookie is renewed at most this often within the idle time: often enough that no session ends
/// more than a twelfth too early, rarely enough that most responses set no cookie.
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
    fn a_session_opens_until_its_idle_time_ends() {
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
    fn an_active_session_ends_at_its_absolute_lifetime() {
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
    fn a_cookie_of_an_earlier_release_began_at_the_start_of_its_second() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
        let codec = codec(&clock);
        hand.advance(Duration::from_millis(250));
        let session = session(&codec, 0);
        let mut content = serde_json::to_value(&session).unwrap();
        assert_eq!(content["m"], 250);
        content.as_object_mut().unwrap().remove("m");
        let sealed = codec.sealer.seal(&serde_json::to_vec(&content).unwrap());
        let earlier = codec.open(&sealed).unwrap().credential().began;
        assert_eq!(earlier, EventTime::start_of(clock.now()));
        let cookie = codec.seal(&session).unwrap();
        let opened = codec.open(&cookie).unwrap();
        assert_eq!(opened.credential().began, clock.event_time());
        let room = RoomKey::from_text("x").unwrap();
        let pass = opened.pass_to(&room, clock.now());
        assert_eq!(pass.credential().began, clock.event_time());
    }

    #[test]
    fn cookies_stay_below_the_size_limit_of_browsers() {
        let codec = codec(&Clock::system());
        assert!(codec.seal(&session(&codec, 100)).unwrap().len() <= MAX_COOKIE_BYTES);
        assert!(matches!(
            codec.seal(&session(&codec, 300)),
            Err(SessionError::TooLarge(_))
        ));
        assert!(codec.open(&"A".repeat(100_000)).is_none());
    }
}
