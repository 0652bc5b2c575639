//! The one room of a stream without a token, and of a conference request over HTTP.
//!
//! Prosody compares the room that a client joins with the client's token, and admits clients without a token
//! to every room (jitsi-meet `resources/prosody-plugins/token/util.lib.lua`, `verify_room`; with domain
//! verification, clients of the domains in the allowlist). For such streams the gateway compares the rooms.

use super::NegotiationError;
use crate::{room::RoomKey, xml::Element};

/// The room that a client without a token may join: itself, its lobby, and breakout rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomScope {
    room: RoomKey,
    /// Prosody's main domain, below which the components with rooms are.
    main_domain: String,
}

// === impl RoomScope ===

impl RoomScope {
    /// The scope of a room at a Prosody with this main domain.
    pub fn new(room: &RoomKey, main_domain: &str) -> Self {
        Self {
            room: room.clone(),
            main_domain: main_domain.to_ascii_lowercase(),
        }
    }

    /// Checks a stanza: presence joins a room (XEP-0045 § 7.2), and a conference request makes Jicofo
    /// open one.
    pub(super) fn check(&self, stanza: &Element) -> Result<(), NegotiationError> {
        let addressed = (stanza.name() == "presence")
            .then(|| stanza.attribute("to"))
            .flatten();
        let requested = stanza
            .children()
            .filter(|child| child.name() == "conference")
            .filter_map(|request| request.attribute("room"));
        let covers_all = addressed
            .into_iter()
            .chain(requested)
            .all(|address| self.covers(address));
        covers_all.then_some(()).ok_or(NegotiationError::Room)
    }

    /// Whether an address is of the room. Only the spelling of Jitsi's client is: in whatever else Prosody
    /// would take for the same name (nodeprep), a letter differs.
    pub(crate) fn covers(&self, address: &str) -> bool {
        let bare = address.split_once('/').map_or(address, |(bare, _)| bare);
        let Some((node, domain)) = bare.split_once('@') else {
            return false;
        };
        let Some((component, rest)) = domain.split_once('.') else {
            return false;
        };
        let at_main = rest.eq_ignore_ascii_case(&self.main_domain);
        // Breakout rooms have random names, which only those in the meeting learn.
        if at_main && component == BREAKOUT_ROOMS {
            return true;
        }
        match self.room.tenant().map(crate::room::Tenant::as_str) {
            None => at_main && node == self.room.node(),
            // Clients use `room@muc.tenant.domain`; the lobby is named by the inner address.
            Some(tenant) => {
                let of_tenant = rest.split_once('.').is_some_and(|(name, base)| {
                    name == tenant && base.eq_ignore_ascii_case(&self.main_domain)
                });
                let inner = node
                    .strip_prefix('[')
                    .and_then(|node| node.split_once(']'))
                    .is_some_and(|(name, node)| name == tenant && node == self.room.node());
                (of_tenant && node == self.room.node()) || (at_main && inner)
            }
        }
    }
}

/// The first label of their component (docker-jitsi-meet and jitsi-meet's packages).
const BREAKOUT_ROOMS: &str = "breakout";

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(room: &str, stanza: &str) -> bool {
        let room = RoomKey::from_text(room).unwrap();
        let scope = RoomScope::new(&room, "Meet.jitsi");
        scope.check(&Element::parse(stanza).unwrap()).is_ok()
    }

    #[test]
    fn presence_is_for_the_room_its_lobby_and_breakout_rooms() {
        for (room, to, covered) in [
            ("open-x", "open-x@muc.meet.jitsi/ann", true),
            ("open-x", "open-x@conference.MEET.jitsi/ann", true),
            ("open-x", "open-x@lobby.meet.jitsi/ann", true),
            ("open-x", "3f2a@breakout.meet.jitsi/ann", true),
            ("open-x", "board@muc.meet.jitsi/ann", false),
            ("open-x", "board@lobby.meet.jitsi/ann", false),
            ("open-x", "OPEN-X@muc.meet.jitsi/ann", false),
            ("open-x", "open-x@muc.acme.meet.jitsi/ann", false),
            ("open-x", "[acme]open-x@muc.meet.jitsi/ann", false),
            ("open-x", "open-x@muc.other.example/ann", false),
            ("open-x", "board@breakout.other.example/ann", false),
            ("open-x", "board@muc.meet.jitsi/x@muc.meet.jitsi", false),
            ("open-x", "muc.meet.jitsi", false),
            ("open-x", "", false),
            ("b\u{fc}ro", "b%c3%bcro@muc.meet.jitsi/ann", true),
            ("acme/plan", "plan@muc.acme.meet.jitsi/ann", true),
            ("acme/plan", "[acme]plan@lobby.meet.jitsi/ann", true),
            ("acme/plan", "plan@muc.meet.jitsi/ann", false),
            ("acme/plan", "plan@muc.other.meet.jitsi/ann", false),
            ("acme/plan", "[other]plan@muc.meet.jitsi/ann", false),
        ] {
            for namespace in ["jabber:client", "x"] {
                let stanza = format!("<p:presence xmlns:p='{namespace}' to='{to}'/>");
                assert_eq!(checks(room, &stanza), covered, "{room}: {stanza}");
            }
            let request = format!(
                "<iq to='focus.meet.jitsi'><conference xmlns='http://jitsi.org/protocol/focus' \
                 room='{to}'/></iq>"
            );
            assert_eq!(checks(room, &request), covered, "{room}: {request}");
        }
    }

    #[test]
    fn other_stanzas_are_not_for_a_room() {
        for stanza in [
            "<presence/>",
            "<presence type='unavailable'/>",
            "<iq to='muc.meet.jitsi'/>",
            "<message to='focus@auth.meet.jitsi'/>",
        ] {
            assert!(checks("open-x", stanza), "{stanza}");
        }
    }
}
