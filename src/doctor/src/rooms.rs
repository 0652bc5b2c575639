//! Rooms: whether a token opens its own, and no other.
//!
//! The rooms are the doctor's own, with random names; whoever is in them leaves at the end.

mod judged;

use super::{
    Check, Report, Watch,
    bosh::{BoshError, Refusal, Session},
    prosody::Examination,
    xml::{Element, escaped},
};
use model::{policy::Role, room::RoomKey};

/// Where rooms are and who opens them.
pub(super) struct Rooms<'e> {
    pub(super) prosody: &'e Examination<'e>,
    /// The rooms' component, as `muc.meet.jitsi`.
    pub(super) muc: String,
    /// Jicofo's address, as `focus.meet.jitsi`.
    pub(super) focus: String,
    pub(super) watch: &'e Watch<'e>,
}

/// What came of trying to enter: one's own presence, or why not.
type Entered = Result<Result<Element, Refusal>, BoshError>;

// === impl Rooms ===

impl Rooms<'_> {
    /// Looks at rooms; unless it may go deep, without one that anybody opened.
    pub(super) async fn run(&self, deep: bool, report: &mut Report) {
        if deep {
            self.opened(report).await;
            return;
        }
        report.skip(OPENED, "they open a room; --deep looks at them");
        if self.watch.begins(Check::J3) {
            self.unopened(report).await;
        }
    }

    /// A token for another room must not open one that is not there. It is refused before there
    /// is a room; one exists for a moment only if the door stands open.
    async fn unopened(&self, report: &mut Report) {
        let (room, other) = (self.prosody.tokens.room(), self.prosody.tokens.room());
        let mut session = match self.log_in(&other, Role::Participant).await {
            Ok(session) => session,
            Err(error) => {
                report.skip(&[Check::J3], &format!("a login did not work: {error}"));
                return;
            }
        };
        if let Some(finding) = self.component(&mut session).await {
            report.find(finding);
            report.skip(&[Check::J3], "J2 failed");
        } else {
            let entered = self.enter(&mut session, &room, STRANGER).await;
            match judged::unopened_room(&self.muc, &entered) {
                Some(result) => {
                    report.settle(Check::J3, result);
                }
                None => report.skip(&[Check::J3], "only --deep can tell"),
            }
        }
        session.close().await;
    }

    /// Opens a room, enters it, tries to enter it with a token for another one, and then as a
    /// second person.
    async fn opened(&self, report: &mut Report) {
        let room = self.prosody.tokens.room();
        let mut first = match self.log_in(&room, Role::Participant).await {
            Ok(session) => session,
            Err(error) => {
                report.skip(ROOMS, &format!("the login did not work again: {error}"));
                return;
            }
        };
        // Jicofo would try in vain, and say nothing.
        if let Some(finding) = self.component(&mut first).await {
            report.find(finding);
            report.skip(AFTER_MUC, "J2 failed");
            first.close().await;
            return;
        }
        self.watch.begins(Check::J1);
        let opened = self.open(&mut first, &room).await;
        if !report.settle(Check::J1, judged::focus(&self.focus, opened)) {
            report.skip(AFTER_J1, "J1 failed");
            first.close().await;
            return;
        }
        self.watch.begins(Check::J2);
        let entered = self.enter(&mut first, &room, FIRST).await;
        let entered = match judged::own_room(&self.muc, entered) {
            Ok(presence) => {
                report.pass(Check::J2);
                presence
            }
            Err(finding) => {
                report.find(finding);
                report.skip(AFTER_J2, "J2 failed");
                first.close().await;
                return;
            }
        };
        if self.watch.begins(Check::J3) {
            self.stranger(&room, report).await;
        }
        self.second(&room, &mut first, &entered, report).await;
        first.close().await;
    }

    /// A token for another room must not open this one.
    async fn stranger(&self, room: &RoomKey, report: &mut Report) {
        let other = self.prosody.tokens.room();
        let entered = match self.log_in(&other, Role::Participant).await {
            Ok(mut session) => {
                let entered = self.enter(&mut session, room, STRANGER).await;
                session.close().await;
                entered
            }
            Err(error) => Err(error),
        };
        match judged::other_room(&self.muc, &entered) {
            Some(result) => {
                report.settle(Check::J3, result);
            }
            None => report.skip(&[Check::J3], "the room gave no answer"),
        }
    }

    /// A moderator comes to where a participant is.
    async fn second(
        &self,
        room: &RoomKey,
        first: &mut Session,
        participant: &Element,
        report: &mut Report,
    ) {
        self.watch.begins(Check::J4);
        let mut second = match self.log_in(room, Role::Moderator).await {
            Ok(session) => session,
            Err(error) => {
                report.skip(&[Check::J4, Check::J6], &error.to_string());
                return;
            }
        };
        match self.enter(&mut second, room, SECOND).await {
            Ok(Ok(moderator)) => {
                report.settle(Check::J4, judged::roles(participant, &moderator));
                self.watch.begins(Check::J6);
                let address = self.occupant(room, SECOND);
                let seen = first.ask_until("", |own| is_from(own, &address)).await;
                report.settle(Check::J6, judged::seen(seen.map(drop)));
            }
            Ok(Err(refusal)) => {
                report.find(judged::second_refused(&refusal));
                report.skip(&[Check::J4], "J6 failed");
            }
            Err(error) => report.skip(&[Check::J4, Check::J6], &error.to_string()),
        }
        second.close().await;
    }

    async fn log_in(&self, room: &RoomKey, role: Role) -> Result<Session, BoshError> {
        let unsigned = |_| BoshError::Ended("no token could be signed".to_owned());
        let token = self.prosody.tokens.good(room, role).map_err(unsigned)?;
        let mut session = self.prosody.open(Some(&token)).await?;
        if let Err(refusal) = session.log_in().await? {
            return Err(BoshError::Ended(refusal.to_string()));
        }
        session.bind().await?;
        Ok(session)
    }

    /// What is wrong if there is nothing at the rooms' address.
    async fn component(&self, session: &mut Session) -> Option<super::Finding> {
        let request = format!(
            "<iq xmlns='jabber:client' type='get' id='muc' to='{}'>\
             <query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
            escaped(&self.muc)
        );
        let is_answer = |own: &Element| own.name == "iq" && own.attribute("id") == Some("muc");
        let answer = session.ask_until(&request, is_answer).await.ok()?;
        let refusal = Refusal::of_stanza(&answer);
        // A component that says nothing of itself is there; what is looked for elsewhere is not.
        let absent = refusal.condition.starts_with("remote-server")
            || refusal.text.to_lowercase().contains("remote domains");
        absent.then(|| judged::no_component(&self.muc, &refusal))
    }

    /// Asks Jicofo for the room, as clients do before they enter.
    async fn open(&self, session: &mut Session, room: &RoomKey) -> Result<Element, BoshError> {
        let request = format!(
            "<iq xmlns='jabber:client' type='set' id='focus' to='{}'>\
             <conference xmlns='http://jitsi.org/protocol/focus' room='{}' \
             machine-uid='gateway-doctor'/></iq>",
            escaped(&self.focus),
            escaped(&self.address(room)),
        );
        let is_answer = |own: &Element| own.name == "iq" && own.attribute("id") == Some("focus");
        session.ask_until(&request, is_answer).await
    }

    async fn enter(&self, session: &mut Session, room: &RoomKey, nick: &str) -> Entered {
        let occupant = self.occupant(room, nick);
        let presence = format!(
            "<presence xmlns='jabber:client' to='{}'>\
             <x xmlns='http://jabber.org/protocol/muc'/></presence>",
            escaped(&occupant)
        );
        let room = self.address(room);
        let is_answer = |own: &Element| {
            let from = own.attribute("from").unwrap_or_default();
            own.name == "presence"
                && ((own.attribute("type") == Some("error") && from.starts_with(&room))
                    || (from == occupant && has_status(own, "110")))
        };
        let answer = session.ask_until(&presence, is_answer).await?;
        Ok(if answer.attribute("type") == Some("error") {
            Err(Refusal::of_stanza(&answer))
        } else {
            Ok(answer)
        })
    }

    fn address(&self, room: &RoomKey) -> String {
        format!("{}@{}", room.node(), self.muc)
    }

    fn occupant(&self, room: &RoomKey, nick: &str) -> String {
        format!("{}/{nick}", self.address(room))
    }
}

fn is_from(stanza: &Element, address: &str) -> bool {
    stanza.name == "presence" && stanza.attribute("from") == Some(address)
}

/// Whether a presence says this of itself (XEP-0045 § 15.6).
fn has_status(presence: &Element, code: &str) -> bool {
    let mut statuses = presence.children.iter().flat_map(|x| &x.children);
    statuses.any(|own| own.name == "status" && own.attribute("code") == Some(code))
}

/// Jitsi takes letters, digits and underscores for nicks (`mod_muc_resource_validate`).
const FIRST: &str = "doctor1";

const SECOND: &str = "doctor2";

const STRANGER: &str = "doctor3";

/// What is examined here.
pub(super) const ROOMS: &[Check] = &[Check::J1, Check::J2, Check::J3, Check::J4, Check::J6];

/// What takes a room that is there.
const OPENED: &[Check] = &[Check::J1, Check::J2, Check::J4, Check::J6];

const AFTER_J1: &[Check] = &[Check::J2, Check::J3, Check::J4, Check::J6];

const AFTER_MUC: &[Check] = &[Check::J1, Check::J3, Check::J4, Check::J6];

const AFTER_J2: &[Check] = &[Check::J3, Check::J4, Check::J6];
