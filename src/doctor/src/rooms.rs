//! Checks of rooms: which tokens enter them, and with which role.
//!
//! The rooms are the doctor's own, with random names; all sessions leave them at the end.

use model::{
    clock::Clock,
    policy::{Policy, Role},
    room::RoomKey,
    xml::{Element, Escaped},
};

use super::{
    Check, DoctorReport, Finding,
    client::{BoshError, BoshSession, Refusal},
    options::Progress,
    prosody::ProsodyChecks,
};

mod domains;
mod lobby;
mod verdicts;

pub(super) use self::domains::OtherEntrants;

/// The checks J1 to J4, J6, J7, J8, G2 and H2.
pub(super) struct RoomChecks<'r> {
    pub(super) prosody: &'r ProsodyChecks<'r>,
    /// The MUC component, as `muc.meet.jitsi`.
    pub(super) muc: String,
    /// Jicofo's address, as `focus.meet.jitsi`.
    pub(super) focus: String,
    pub(super) policy: &'r Policy,
    pub(super) clock: &'r Clock,
    pub(super) entrants: OtherEntrants<'r>,
    pub(super) progress: &'r Progress<'r>,
}

/// The result of joining a room: the occupant's own presence, a refusal, or no answer.
type JoinResult = Result<Result<Element, Refusal>, BoshError>;

// === impl RoomChecks ===

impl RoomChecks<'_> {
    /// Runs the checks. Unless `deep`, only those that open no room.
    pub(super) async fn run(&self, deep: bool, report: &mut DoctorReport) {
        if deep {
            self.with_room(report).await;
            if report.has_passed(Check::RoomCreation) {
                self.lobby(report).await;
            }
            return;
        }
        let needing_room = Check::RoomCreation
            .with_dependents()
            .filter(|check| *check != Check::OtherRoom);
        report.skip(needing_room, "they open a room; --deep runs them");
        if self.progress.begins(Check::OtherRoom) {
            self.without_room(report).await;
        }
    }

    /// J3 without a room: a token for another room is refused before the room is created. A room is
    /// created for a moment only if tokens are not verified.
    async fn without_room(&self, report: &mut DoctorReport) {
        let (room, other) = (self.prosody.tokens.room(), self.prosody.tokens.room());
        let mut session = match self.log_in(&other, Role::Participant).await {
            Ok(session) => session,
            Err(error) => {
                report.skip([Check::OtherRoom], &format!("a login failed: {error}"));
                return;
            }
        };
        if let Some(finding) = self.missing_muc(&mut session).await {
            report.fail(finding);
            report.skip([Check::OtherRoom], "J2 failed");
        } else {
            let result = self.join(&mut session, &room, THIRD).await;
            match verdicts::absent_room(&self.muc, &result) {
                Some(result) => {
                    report.record(Check::OtherRoom, result);
                }
                None => report.skip([Check::OtherRoom], "inconclusive without --deep"),
            }
        }
        session.close().await;
    }

    /// Opens a room and joins it with its token, with a token for another room, and as a second
    /// occupant. In a room with a lobby a participant would have to wait.
    async fn with_room(&self, report: &mut DoctorReport) {
        let room = self.prosody.tokens.room();
        let has_lobby = self.has_lobby(&room);
        let role = if has_lobby {
            Role::Moderator
        } else {
            Role::Participant
        };
        let mut first = match self.log_in(&room, role).await {
            Ok(session) => session,
            Err(error) => {
                let all = Check::RoomCreation.with_dependents();
                report.skip(all, &format!("a second login failed: {error}"));
                return;
            }
        };
        if let Some(participant) = self.open_and_join(&room, &mut first, report).await {
            if self.progress.begins(Check::OtherRoom) {
                self.other_room(&room, report).await;
            }
            if has_lobby {
                let checks = Check::OwnRoom
                    .dependents()
                    .filter(|check| *check != Check::OtherRoom);
                report.skip(checks, "the rule of the test room has a lobby");
            } else {
                self.second_occupant(&room, &mut first, &participant, report)
                    .await;
                self.other_entrants(&room, report).await;
            }
        }
        first.close().await;
    }

    /// J1 and J2. Returns the occupant's own presence.
    async fn open_and_join(
        &self,
        room: &RoomKey,
        session: &mut BoshSession,
        report: &mut DoctorReport,
    ) -> Option<Element> {
        // Without a MUC component Jicofo would not answer, and J1 would hide the cause.
        if let Some(finding) = self.missing_muc(session).await {
            report.fail(finding);
            report.skip([Check::RoomCreation], "J2 failed");
            report.skip_dependents(Check::OwnRoom);
            return None;
        }
        self.progress.begins(Check::RoomCreation);
        let reply = self.open(session, room).await;
        if !report.record(Check::RoomCreation, verdicts::jicofo(&self.focus, reply)) {
            report.skip_dependents(Check::RoomCreation);
            return None;
        }
        self.progress.begins(Check::OwnRoom);
        let result = self.join(session, room, FIRST).await;
        match verdicts::own_room(&self.muc, result) {
            Ok(presence) => {
                report.pass(Check::OwnRoom);
                Some(presence)
            }
            Err(finding) => {
                report.fail(finding);
                report.skip_dependents(Check::OwnRoom);
                None
            }
        }
    }

    /// J3: a token for another room must not open this one.
    async fn other_room(&self, room: &RoomKey, report: &mut DoctorReport) {
        let other = self.prosody.tokens.room();
        let result = match self.log_in(&other, Role::Participant).await {
            Ok(mut session) => {
                let result = self.join(&mut session, room, THIRD).await;
                session.close().await;
                result
            }
            Err(error) => Err(error),
        };
        match verdicts::other_room(&self.muc, &result) {
            Some(result) => {
                report.record(Check::OtherRoom, result);
            }
            None => report.skip([Check::OtherRoom], "the room did not answer"),
        }
    }

    /// J4 and J6: a moderator joins the participant.
    async fn second_occupant(
        &self,
        room: &RoomKey,
        first: &mut BoshSession,
        participant: &Element,
        report: &mut DoctorReport,
    ) {
        self.progress.begins(Check::Roles);
        let checks = [Check::Roles, Check::SecondOccupant];
        let mut second = match self.log_in(room, Role::Moderator).await {
            Ok(session) => session,
            Err(error) => {
                report.skip(checks, &error.to_string());
                return;
            }
        };
        match self.join(&mut second, room, SECOND).await {
            Ok(Ok(moderator)) => {
                report.record(Check::Roles, verdicts::roles(participant, &moderator));
                self.progress.begins(Check::SecondOccupant);
                let address = self.occupant(room, SECOND);
                let seen = first.request_until("", |own| is_from(own, &address)).await;
                report.record(Check::SecondOccupant, verdicts::seen(seen.map(drop)));
            }
            Ok(Err(refusal)) => {
                report.fail(verdicts::second_refused(&refusal));
                report.skip([Check::Roles], "J6 failed");
            }
            Err(error) => report.skip(checks, &error.to_string()),
        }
        second.close().await;
    }

    async fn log_in(&self, room: &RoomKey, role: Role) -> Result<BoshSession, BoshError> {
        let unsigned = |_| BoshError::Terminated("no token could be signed".to_owned());
        let token = self.prosody.tokens.valid(room, role).map_err(unsigned)?;
        let mut session = self.prosody.open(Some(&token)).await?;
        if let Err(refusal) = session.log_in().await? {
            return Err(BoshError::Terminated(refusal.to_string()));
        }
        session.bind().await?;
        Ok(session)
    }

    /// The finding if there is no MUC component; `None` also if that cannot be determined.
    async fn missing_muc(&self, session: &mut BoshSession) -> Option<Finding> {
        let request = format!(
            "<iq xmlns='jabber:client' type='get' id='muc' to='{}'>\
             <query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
            Escaped(&self.muc)
        );
        let is_reply =
            |stanza: &Element| stanza.name() == "iq" && stanza.attribute("id") == Some("muc");
        let reply = session.request_until(&request, is_reply).await.ok()?;
        let refusal = Refusal::of_stanza(&reply);
        // A component may refuse the query. Prosody looks for an absent one at a remote server.
        let absent = refusal.condition.starts_with("remote-server")
            || refusal.text.to_lowercase().contains("remote domains");
        absent.then(|| verdicts::missing_muc(&self.muc, &refusal))
    }

    /// Asks Jicofo for the room, as clients do before they join.
    async fn open(&self, session: &mut BoshSession, room: &RoomKey) -> Result<Element, BoshError> {
        let request = format!(
            "<iq xmlns='jabber:client' type='set' id='focus' to='{}'>\
             <conference xmlns='http://jitsi.org/protocol/focus' room='{}' \
             machine-uid='gateway-doctor'/></iq>",
            Escaped(&self.focus),
            Escaped(&self.address(room)),
        );
        let is_reply =
            |stanza: &Element| stanza.name() == "iq" && stanza.attribute("id") == Some("focus");
        session.request_until(&request, is_reply).await
    }

    /// Enters a room. The display name is there because a lobby requires one.
    async fn join(&self, session: &mut BoshSession, room: &RoomKey, nick: &str) -> JoinResult {
        let occupant = self.occupant(room, nick);
        let presence = format!(
            "<presence xmlns='jabber:client' to='{}'>\
             <x xmlns='http://jabber.org/protocol/muc'/>\
             <nick xmlns='http://jabber.org/protocol/nick'>{nick}</nick></presence>",
            Escaped(&occupant)
        );
        let room = self.address(room);
        let is_reply = |stanza: &Element| {
            let from = stanza.attribute("from").unwrap_or_default();
            stanza.name() == "presence"
                && ((stanza.attribute("type") == Some("error") && from.starts_with(&room))
                    || (from == occupant && has_status(stanza, SELF_PRESENCE)))
        };
        let reply = session.request_until(&presence, is_reply).await?;
        Ok(if reply.attribute("type") == Some("error") {
            Err(Refusal::of_stanza(&reply))
        } else {
            Ok(reply)
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
    stanza.name() == "presence" && stanza.attribute("from") == Some(address)
}

/// Whether a presence has a status code (XEP-0045 § 15.6).
fn has_status(presence: &Element, code: &str) -> bool {
    let mut statuses = presence.children().flat_map(Element::children);
    statuses.any(|own| own.name() == "status" && own.attribute("code") == Some(code))
}

/// The status code of an occupant's own presence.
const SELF_PRESENCE: &str = "110";

/// Jitsi accepts letters, digits and underscores as nicks (`mod_muc_resource_validate`).
const FIRST: &str = "doctor1";

const SECOND: &str = "doctor2";

const THIRD: &str = "doctor3";
