//! Cookies of passes: one per room, so that tabs in two rooms do not replace each other's pass.

use std::time::Duration;

use aws_lc_rs::digest;
use http::HeaderValue;

use super::{
    MAX_COOKIE_BYTES, Pass, RequestCookies, SessionError,
    cookies::{self, CookieBudget, StoredCookie},
};
use crate::{
    clock::Clock,
    room::RoomKey,
    seal::{Keyring, Purpose, Sealer},
};

/// Seals passes into cookies and opens them.
#[derive(Debug)]
pub struct PassCookies {
    sealer: Sealer,
    clock: Clock,
}

/// Whether the room's page is top-level or framed by another site. A frame in another site's page
/// has a separate cookie jar (CHIPS, `Partitioned`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrowsingContext {
    /// A tab, or a frame of this site.
    TopLevel,
    /// A frame in another site's page.
    EmbeddedFrame,
}

// === impl PassCookies ===

impl PassCookies {
    /// Creates the pass cookies of the deployment at `origin`.
    pub fn new(keyring: &Keyring, origin: &str, clock: Clock) -> Self {
        Self {
            sealer: keyring.sealer(Purpose::Pass, origin),
            clock,
        }
    }

    /// The `Set-Cookie` headers that store a pass and delete the oldest passes that exceed the
    /// budget.
    pub fn issue(
        &self,
        pass: &Pass,
        place: BrowsingContext,
        jar: RequestCookies<'_>,
    ) -> Result<Vec<HeaderValue>, SessionError> {
        let room = pass.room();
        let sealed = self.seal(pass);
        if sealed.len() > MAX_COOKIE_BYTES {
            return Err(SessionError::TooLarge(sealed.len()));
        }
        let lifetime = pass.ends().since(self.clock.now());
        let name = name_of(room, place);
        let cookie = match place {
            BrowsingContext::TopLevel => cookies::set(&name, &sealed, lifetime),
            BrowsingContext::EmbeddedFrame => cookies::set_in_frame(&name, &sealed, lifetime),
        };
        let others = jar
            .with_prefix(prefix(place))
            .filter(|(other, _)| *other != name)
            .map(|(other, value)| {
                let began = self.open(value).map(|pass| pass.began());
                StoredCookie::new(other, value, began)
            });
        let evicted = PASS_BUDGET.evicted(name.len() + sealed.len(), others.collect());
        let evicted = evicted.into_iter().map(|other| expire(other, place));
        Ok(std::iter::once(cookie).chain(evicted).collect())
    }

    /// All valid passes of a request, for revocation, and the `Set-Cookie` headers that delete
    /// them.
    pub fn revoke_all(&self, jar: RequestCookies<'_>) -> (Vec<Pass>, Vec<HeaderValue>) {
        let mut taken = Vec::new();
        let mut headers = Vec::new();
        for place in [BrowsingContext::EmbeddedFrame, BrowsingContext::TopLevel] {
            for (name, value) in jar.with_prefix(prefix(place)) {
                taken.extend(self.open(value));
                headers.push(expire(name, place));
            }
        }
        (taken, headers)
    }

    /// The pass for a room, if the request carries a valid one.
    pub fn find(&self, room: &RoomKey, jar: RequestCookies<'_>) -> Option<Pass> {
        // Most requests carry no pass; they skip the computation of the name.
        jar.with_prefix(PREFIX).next()?;
        // A frame in another site's page can send both kinds if the sites share a registrable domain.
        [BrowsingContext::EmbeddedFrame, BrowsingContext::TopLevel]
            .into_iter()
            .find_map(|place| {
                let pass = self.open(jar.value(&name_of(room, place))?)?;
                (pass.room() == room).then_some(pass)
            })
    }

    /// The rooms of the valid passes that a request carries.
    pub fn rooms(&self, jar: RequestCookies<'_>) -> Vec<RoomKey> {
        let sealed = jar.with_prefix(PREFIX).take(MAX_PASSES_OF_REQUEST);
        let opened = sealed.filter_map(|(_, value)| self.open(value));
        opened.map(|pass| pass.room().clone()).collect()
    }

    /// Seals a pass as the value of its cookie.
    pub fn seal(&self, pass: &Pass) -> String {
        let plain = serde_json::to_vec(pass).unwrap_or_default();
        self.sealer.seal(&plain)
    }

    fn open(&self, value: &str) -> Option<Pass> {
        if value.len() > MAX_COOKIE_BYTES {
            return None;
        }
        let pass: Pass = serde_json::from_slice(&self.sealer.open(value)?).ok()?;
        (self.clock.now() < pass.ends()).then_some(pass)
    }
}

/// A digest stands for the room: room names may be long and in any script.
fn name_of(room: &RoomKey, place: BrowsingContext) -> String {
    use std::fmt::Write;
    let hash = digest::digest(&digest::SHA256, room.to_string().as_bytes());
    let mut name = prefix(place).to_owned();
    for byte in hash.as_ref().iter().take(ROOM_BYTES) {
        write!(name, "{byte:02x}").expect("writing to a String does not fail");
    }
    name
}

fn expire(name: &str, place: BrowsingContext) -> HeaderValue {
    match place {
        BrowsingContext::TopLevel => cookies::expire(name),
        BrowsingContext::EmbeddedFrame => cookies::set_in_frame(name, "", Duration::ZERO),
    }
}

const fn prefix(place: BrowsingContext) -> &'static str {
    match place {
        BrowsingContext::TopLevel => "__Host-gateway-pass-t-",
        BrowsingContext::EmbeddedFrame => "__Host-gateway-pass-f-",
    }
}

/// The prefix of all pass cookies.
const PREFIX: &str = "__Host-gateway-pass-";

/// 64 bits: a collision of two rooms of one browser is improbable, and would only replace one pass.
const ROOM_BYTES: usize = 8;

/// The whole request head should stay well below the 8 KiB that proxies in front accept. A guest's
/// pass has 400 bytes, that of an embedded user in a room with a long name up to 3800.
const PASS_BUDGET: CookieBudget = CookieBudget {
    cookies: 6,
    bytes: 4 * 1024,
};

/// The budget's cookies of a tab and of a frame, which a browser sends in one request if the sites share a
/// registrable domain.
const MAX_PASSES_OF_REQUEST: usize = 2 * PASS_BUDGET.cookies;

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::*;
    use crate::{
        clock::{EventTime, Timestamp},
        identity::{Identity, Standing, VerifiedIdentity},
        random::Random,
        session::Validity,
    };

    fn room(name: &str) -> RoomKey {
        RoomKey::from_text(name).unwrap()
    }

    fn request(cookies: &[HeaderValue]) -> HeaderMap {
        let pairs = cookies.iter().map(|cookie| {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            (header::COOKIE, HeaderValue::from_str(pair).unwrap())
        });
        pairs.collect()
    }

    fn guest(passes: &PassCookies, name: &str) -> Pass {
        let validity = Validity::beginning_now(&passes.clock, Duration::from_hours(1));
        let identity = Identity {
            name: Some("Ann".to_owned()),
            ..Identity::default()
        };
        let random = Random::system();
        Pass::issue(&room(name), Standing::Guest, identity, validity, &random)
    }

    #[test]
    fn a_pass_opens_only_for_its_room_and_until_it_ends() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
        let passes = PassCookies::new(&Keyring::single([1; 32]), "o", clock);
        let pass = guest(&passes, "a");
        assert!(pass.identity().subject.starts_with("guest:"));
        for place in [BrowsingContext::TopLevel, BrowsingContext::EmbeddedFrame] {
            let none = HeaderMap::new();
            let cookies = passes
                .issue(&pass, place, RequestCookies::new(&none))
                .unwrap();
            let text = cookies[0].to_str().unwrap();
            assert_eq!(
                text.contains("SameSite=None; Partitioned") || text.contains("Partitioned"),
                place == BrowsingContext::EmbeddedFrame,
                "{text}"
            );
            let request = request(&cookies);
            let jar = RequestCookies::new(&request);
            assert_eq!(passes.find(&room("a"), jar).as_ref(), Some(&pass));
            assert_eq!(passes.find(&room("b"), jar), None);
            // A pass under the cookie name of another room does not open.
            let line = request[header::COOKIE].to_str().unwrap();
            let value = line.split_once('=').unwrap().1;
            let planted = HeaderValue::from_str(&format!("{}={value}", name_of(&room("b"), place)));
            let planted = HeaderMap::from_iter([(header::COOKIE, planted.unwrap())]);
            assert_eq!(passes.find(&room("b"), RequestCookies::new(&planted)), None);
        }
        let none = HeaderMap::new();
        let cookies = passes
            .issue(&pass, BrowsingContext::TopLevel, RequestCookies::new(&none))
            .unwrap();
        hand.advance(Duration::from_hours(1));
        assert_eq!(
            passes.find(&room("a"), RequestCookies::new(&request(&cookies))),
            None
        );
    }

    #[test]
    fn a_pass_began_at_its_millisecond_or_with_the_second_of_its_token() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
        let passes = PassCookies::new(&Keyring::single([1; 32]), "o", clock.clone());
        hand.advance(Duration::from_millis(250));
        let pass = guest(&passes, "a");
        let reopened = passes.open(&passes.seal(&pass)).unwrap();
        assert_eq!(reopened.credential().began, clock.event_time());
        let of_token = pass.with_token_issued(clock.now());
        let reopened = passes.open(&passes.seal(&of_token)).unwrap();
        let start = EventTime::start_of(clock.now());
        assert_eq!(reopened.credential().began, start);
    }

    #[test]
    fn a_pass_is_no_session_and_a_session_no_pass() {
        let keyring = Keyring::single([1; 32]);
        let passes = PassCookies::new(&keyring, "o", Clock::system());
        let settings = super::super::SessionSettings {
            idle: Duration::from_hours(1),
            absolute: Duration::from_hours(2),
        };
        let sessions = super::super::SessionCodec::new(&keyring, "o", settings, Clock::system());
        let pass = guest(&passes, "a");
        assert!(sessions.open(&passes.seal(&pass)).is_none());
        let who = VerifiedIdentity::by_provider(Identity::default());
        let session = sessions.begin(who, None, &Random::system());
        assert!(passes.open(&sessions.seal(&session).unwrap()).is_none());
    }

    #[test]
    fn large_passes_evict_older_ones_earlier() {
        let passes = PassCookies::new(&Keyring::single([1; 32]), "o", Clock::system());
        let mut kept = HeaderMap::new();
        for n in 0..PASS_BUDGET.cookies {
            let room = format!("{n}{}", "x".repeat(500));
            let given = passes.issue(
                &guest(&passes, &room),
                BrowsingContext::TopLevel,
                RequestCookies::new(&kept),
            );
            kept = browser(&kept, &given.unwrap());
        }
        let bytes: usize = kept.values().map(HeaderValue::len).sum();
        assert!(bytes <= 4 * 1024, "{bytes}");
        let newest = room(&format!("{}{}", PASS_BUDGET.cookies - 1, "x".repeat(500)));
        assert!(passes.find(&newest, RequestCookies::new(&kept)).is_some());
    }

    /// The cookies of a browser after one more response.
    fn browser(before: &HeaderMap, given: &[HeaderValue]) -> HeaderMap {
        let name = |pair: &HeaderValue| {
            let text = pair.to_str().unwrap();
            text.split('=').next().unwrap().to_owned()
        };
        let given = request(given);
        let is_given = |kept: &HeaderValue| given.values().any(|new| name(new) == name(kept));
        let kept = before.values().filter(|kept| !is_given(kept));
        let new = given.values().filter(|new| !new.as_bytes().ends_with(b"="));
        let pairs = kept.chain(new).cloned();
        pairs.map(|pair| (header::COOKIE, pair)).collect()
    }

    #[test]
    fn the_oldest_pass_is_evicted() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
        let passes = PassCookies::new(&Keyring::single([1; 32]), "o", clock);
        let mut kept: Vec<HeaderValue> = Vec::new();
        for n in 0..=PASS_BUDGET.cookies {
            let head = request(&kept);
            let pass = guest(&passes, &format!("room-{n}"));
            let mut given = passes
                .issue(&pass, BrowsingContext::TopLevel, RequestCookies::new(&head))
                .unwrap();
            kept.push(given.remove(0));
            assert_eq!(given.len(), usize::from(n == PASS_BUDGET.cookies));
            if let Some(evicted) = given.first() {
                let oldest = name_of(&room("room-0"), BrowsingContext::TopLevel);
                assert!(
                    evicted
                        .to_str()
                        .unwrap()
                        .starts_with(&format!("{oldest}=;"))
                );
            }
            hand.advance(Duration::from_secs(1));
        }
    }
}
