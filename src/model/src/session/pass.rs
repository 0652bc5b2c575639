//! Passes: sessions for one room, for guests, holders of links, and people of other systems.
//!
//! Each room has a cookie of its own, so that two tabs in two rooms do not take each other's.

use std::time::Duration;

use aws_lc_rs::digest;
use http::HeaderValue;

use super::{
    CookieJar, MAX_COOKIE_BYTES, Session, SessionError, SessionId,
    cookies::{self, Gathered, Limits},
};
use crate::{
    clock::{Clock, Timestamp},
    identity::{GUEST_PREFIX, Identity, Standing},
    random::Random,
    room::RoomKey,
    seal::{Keyring, Purpose, Sealer},
};

/// Makes passes and reads them back.
#[derive(Debug)]
pub struct Passes {
    sealer: Sealer,
    clock: Clock,
}

/// Where the browser shows the room: a frame of another site has cookies of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A tab of its own, or a frame of this site.
    Tab,
    /// A frame of another site.
    Frame,
}

// === impl Passes ===

impl Passes {
    /// Passes of the deployment at `origin`.
    pub fn new(keyring: &Keyring, origin: &str, clock: Clock) -> Self {
        Self {
            sealer: keyring.sealer(Purpose::Pass, origin),
            clock,
        }
    }

    /// A pass to one room. Somebody who has no id gets a random one, which nobody's who signs in
    /// can equal.
    pub fn issue(
        &self,
        room: &RoomKey,
        standing: Standing,
        mut identity: Identity,
        ends: Timestamp,
        random: &Random,
    ) -> Session {
        let now = self.clock.now();
        let id = random.text::<16>();
        if identity.subject.is_empty() {
            identity.subject = format!("{GUEST_PREFIX}{}", random.text::<9>());
        }
        Session {
            id: SessionId(id),
            provider_session: None,
            identity,
            began: now,
            seen: now,
            standing,
            room: Some(room.clone()),
            ends: Some(ends),
        }
    }

    /// The `Set-Cookie` headers that give a pass to a browser: the pass, and the end of the oldest
    /// when there would be too many.
    pub fn give(
        &self,
        pass: &Session,
        place: Place,
        jar: CookieJar<'_>,
    ) -> Result<Vec<HeaderValue>, SessionError> {
        let Some(room) = &pass.room else {
            return Ok(Vec::new());
        };
        let sealed = self.seal(pass);
        if sealed.len() > MAX_COOKIE_BYTES {
            return Err(SessionError::TooLarge(sealed.len()));
        }
        let lifetime = pass
            .ends
            .map_or(Duration::ZERO, |ends| ends.since(self.clock.now()));
        let name = name_of(room, place);
        let own = match place {
            Place::Tab => cookies::set(&name, &sealed, lifetime),
            Place::Frame => cookies::set_in_frame(&name, &sealed, lifetime),
        };
        let others = jar
            .with_prefix(prefix(place))
            .filter(|(other, _)| *other != name)
            .map(|(other, value)| {
                let began = self.open(value).map(|pass| pass.began);
                Gathered::new(other, value, began)
            });
        let gone = GATHERED.surplus(name.len() + sealed.len(), others.collect());
        let gone = gone.into_iter().map(|other| expire(other, place));
        Ok(std::iter::once(own).chain(gone).collect())
    }

    /// Takes all passes away from a browser: those that count, to be revoked, and the `Set-Cookie`
    /// headers.
    pub fn take_all(&self, jar: CookieJar<'_>) -> (Vec<Session>, Vec<HeaderValue>) {
        let mut taken = Vec::new();
        let mut headers = Vec::new();
        for place in [Place::Frame, Place::Tab] {
            for (name, value) in jar.with_prefix(prefix(place)) {
                taken.extend(self.open(value));
                headers.push(expire(name, place));
            }
        }
        (taken, headers)
    }

    /// The pass to a room, if the request brings one that counts.
    pub fn find(&self, room: &RoomKey, jar: CookieJar<'_>) -> Option<Session> {
        // Nearly everybody has none, and then no name has to be worked out.
        jar.with_prefix(PREFIX).next()?;
        // Of a frame in another site's page both kinds can come, if the sites are neighbours.
        [Place::Frame, Place::Tab].into_iter().find_map(|place| {
            let pass = self.open(jar.value(&name_of(room, place))?)?;
            (pass.room.as_ref() == Some(room)).then_some(pass)
        })
    }

    /// A pass as text that only we can read: a cookie's value, or a part of a token.
    pub fn seal(&self, pass: &Session) -> String {
        let plain = serde_json::to_vec(pass).unwrap_or_default();
        self.sealer.seal(&plain)
    }

    fn open(&self, value: &str) -> Option<Session> {
        if value.len() > MAX_COOKIE_BYTES {
            return None;
        }
        let pass: Session = serde_json::from_slice(&self.sealer.open(value)?).ok()?;
        let counts = pass.ends.is_some_and(|ends| self.clock.now() < ends);
        counts.then_some(pass)
    }
}

/// Cookie names carry no room names: those may be long, and in any script.
fn name_of(room: &RoomKey, place: Place) -> String {
    use std::fmt::Write;
    let hash = digest::digest(&digest::SHA256, room.to_string().as_bytes());
    let mut name = prefix(place).to_owned();
    for byte in hash.as_ref().iter().take(ROOM_BYTES) {
        write!(name, "{byte:02x}").expect("writing to a String does not fail");
    }
    name
}

fn expire(name: &str, place: Place) -> HeaderValue {
    match place {
        Place::Tab => cookies::expire(name),
        Place::Frame => cookies::set_in_frame(name, "", Duration::ZERO),
    }
}

const fn prefix(place: Place) -> &'static str {
    match place {
        Place::Tab => "__Host-gateway-pass-t-",
        Place::Frame => "__Host-gateway-pass-f-",
    }
}

/// What the names of all passes begin with.
const PREFIX: &str = "__Host-gateway-pass-";

/// Two rooms of one person that share a name by chance only cost one of them its pass.
const ROOM_BYTES: usize = 8;

/// All of a request's head should stay well below what proxies in front take (8 KiB); a pass of a
/// guest has 400 bytes, one of somebody from another system in a long-named room up to 3800.
const GATHERED: Limits = Limits {
    cookies: 6,
    bytes: 4 * 1024,
};

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::*;

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

    fn guest(passes: &Passes, name: &str) -> Session {
        let ends = passes.clock.now().after(Duration::from_hours(1));
        let identity = Identity {
            name: Some("Ann".to_owned()),
            ..Identity::default()
        };
        let random = Random::system();
        passes.issue(&room(name), Standing::Guest, identity, ends, &random)
    }

    #[test]
    fn a_pass_is_for_its_room_and_ends() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
        let passes = Passes::new(&Keyring::single([1; 32]), "o", clock);
        let pass = guest(&passes, "a");
        assert!(pass.identity().subject.starts_with("guest:"));
        for place in [Place::Tab, Place::Frame] {
            let none = HeaderMap::new();
            let cookies = passes.give(&pass, place, CookieJar::new(&none)).unwrap();
            let text = cookies[0].to_str().unwrap();
            assert_eq!(
                text.contains("SameSite=None; Partitioned") || text.contains("Partitioned"),
                place == Place::Frame,
                "{text}"
            );
            let request = request(&cookies);
            let jar = CookieJar::new(&request);
            assert_eq!(passes.find(&room("a"), jar).as_ref(), Some(&pass));
            assert_eq!(passes.find(&room("b"), jar), None);
            // Renamed to another room's cookie it is worth nothing.
            let line = request[header::COOKIE].to_str().unwrap();
            let value = line.split_once('=').unwrap().1;
            let planted = HeaderValue::from_str(&format!("{}={value}", name_of(&room("b"), place)));
            let planted = HeaderMap::from_iter([(header::COOKIE, planted.unwrap())]);
            assert_eq!(passes.find(&room("b"), CookieJar::new(&planted)), None);
        }
        let none = HeaderMap::new();
        let cookies = passes
            .give(&pass, Place::Tab, CookieJar::new(&none))
            .unwrap();
        hand.advance(Duration::from_hours(1));
        assert_eq!(
            passes.find(&room("a"), CookieJar::new(&request(&cookies))),
            None
        );
    }

    #[test]
    fn a_pass_is_no_session_and_a_session_no_pass() {
        let keyring = Keyring::single([1; 32]);
        let passes = Passes::new(&keyring, "o", Clock::system());
        let settings = super::super::Settings {
            idle: Duration::from_hours(1),
            absolute: Duration::from_hours(2),
        };
        let sessions = super::super::SessionCodec::new(&keyring, "o", settings, Clock::system());
        let pass = guest(&passes, "a");
        assert!(sessions.open(&passes.seal(&pass)).is_none());
        assert!(passes.open(&sessions.seal(&pass).unwrap()).is_none());
    }

    #[test]
    fn large_passes_make_room_sooner() {
        let passes = Passes::new(&Keyring::single([1; 32]), "o", Clock::system());
        let mut kept = HeaderMap::new();
        for n in 0..GATHERED.cookies {
            let room = format!("{n}{}", "x".repeat(500));
            let given = passes.give(&guest(&passes, &room), Place::Tab, CookieJar::new(&kept));
            kept = browser(&kept, &given.unwrap());
        }
        let bytes: usize = kept.values().map(HeaderValue::len).sum();
        assert!(bytes <= 4 * 1024, "{bytes}");
        let newest = room(&format!("{}{}", GATHERED.cookies - 1, "x".repeat(500)));
        assert!(passes.find(&newest, CookieJar::new(&kept)).is_some());
    }

    /// The cookies of a browser after another answer.
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
    fn the_oldest_pass_makes_room() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1_000_000));
        let passes = Passes::new(&Keyring::single([1; 32]), "o", clock);
        let mut kept: Vec<HeaderValue> = Vec::new();
        for n in 0..=GATHERED.cookies {
            let head = request(&kept);
            let pass = guest(&passes, &format!("room-{n}"));
            let mut given = passes
                .give(&pass, Place::Tab, CookieJar::new(&head))
                .unwrap();
            kept.push(given.remove(0));
            assert_eq!(given.len(), usize::from(n == GATHERED.cookies));
            if let Some(gone) = given.first() {
                let oldest = name_of(&room("room-0"), Place::Tab);
                assert!(gone.to_str().unwrap().starts_with(&format!("{oldest}=;")));
            }
            hand.advance(Duration::from_secs(1));
        }
    }
}
