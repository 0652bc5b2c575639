//! J8: the lobby of a room whose rule has one.

use model::{policy::Role, room::RoomKey};

use super::{Check, DoctorReport, FIRST, Finding, JoinResult, RoomChecks, SECOND, verdicts};
use crate::FindingKind;

// === impl RoomChecks ===

impl RoomChecks<'_> {
    /// Opens a room with a lobby as a moderator, and tries to enter it as a participant.
    pub(super) async fn lobby(&self, report: &mut DoctorReport) {
        if !self.progress.begins(Check::Lobby) {
            return;
        }
        let Some(room) = self.room_with_lobby() else {
            report.skip([Check::Lobby], "no rule with a lobby fits a test room");
            return;
        };
        let mut moderator = match self.log_in(&room, Role::Moderator).await {
            Ok(session) => session,
            Err(error) => {
                report.skip([Check::Lobby], &error.to_string());
                return;
            }
        };
        let opened = self.open(&mut moderator, &room).await;
        if report.record(Check::RoomCreation, verdicts::jicofo(&self.focus, opened)) {
            let entered = self.join(&mut moderator, &room, FIRST).await;
            if let Err(finding) = moderator_enters(entered) {
                report.fail(finding);
            } else {
                self.participant_waits(&room, report).await;
            }
        } else {
            report.skip([Check::Lobby], "J1 failed");
        }
        moderator.close().await;
    }

    async fn participant_waits(&self, room: &RoomKey, report: &mut DoctorReport) {
        let result = match self.log_in(room, Role::Participant).await {
            Ok(mut session) => {
                let result = self.join(&mut session, room, SECOND).await;
                session.close().await;
                result
            }
            Err(error) => Err(error),
        };
        match result {
            Err(error) => report.skip([Check::Lobby], &error.to_string()),
            Ok(Err(refusal)) if refusal.condition != REQUIRES_MEMBERSHIP => {
                report.skip([Check::Lobby], &refusal.to_string());
            }
            Ok(Err(_)) => report.pass(Check::Lobby),
            Ok(Ok(_)) => report.fail(
                Finding::danger(FindingKind::LobbyAbsent)
                    .with_exchange(
                        format!(
                            "a participant, entering {}, whose rule has a lobby",
                            room.node()
                        ),
                        "the room was entered",
                    )
                    .with_remedy(
                        "Prosody opens rooms without their lobby, so that everybody enters at once",
                        "set PROSODY_RESERVATION_ENABLED=true, XMPP_MODULES=persistent_lobby and \
                         reservations_enable_lobby_support=true in XMPP_CONFIGURATION (the page on \
                         people and rooms has the whole set-up)",
                    ),
            ),
        }
    }

    /// Whether Prosody has to open the room with a lobby.
    pub(super) fn has_lobby(&self, room: &RoomKey) -> bool {
        let rule = self.policy.rule_for_creation(room, self.clock.now());
        rule.is_ok_and(|rule| rule.lobby)
    }

    /// A new room that a rule with a lobby decides. Patterns without a `*` are names of real rooms.
    fn room_with_lobby(&self) -> Option<RoomKey> {
        let own = self.prosody.tokens.room();
        let rules = self.policy.rules().iter().filter(|rule| rule.lobby);
        let mut rooms = rules
            .map(|rule| rule.room.to_string())
            .filter(|pattern| pattern.contains('*'))
            .filter_map(|pattern| {
                let name = pattern
                    .replacen('*', own.node(), 1)
                    .replace('*', "")
                    .replace('?', "x");
                RoomKey::from_text(&name).ok()
            });
        rooms.find(|room| self.has_lobby(room))
    }
}

/// Evaluates a moderator joining a room with a lobby.
fn moderator_enters(entered: JoinResult) -> Result<(), Finding> {
    match entered {
        Ok(Err(refusal)) if refusal.condition == REQUIRES_MEMBERSHIP => {
            Err(Finding::error(FindingKind::LobbyHoldsModerators)
                .with_exchange(
                    "a moderator, entering a test room whose rule has a lobby",
                    refusal.to_string(),
                )
                .with_remedy(
                    "moderators wait in the lobby, too, so no occupant can admit the others",
                    "add token_lobby_bypass to XMPP_MUC_MODULES in .env (modules_enabled of the rooms' \
                     component in prosody.cfg.lua); Prosody's log has the reason if it did not start",
                ))
        }
        other => verdicts::own_room("its component", other).map(drop),
    }
}

/// The refusal of a room that admits members only, as one with a lobby does (XEP-0045 § 7.2.7).
const REQUIRES_MEMBERSHIP: &str = "registration-required";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Refusal;

    #[test]
    fn a_moderator_who_has_to_wait_is_a_fault_of_its_own() {
        let refused = |condition: &str| {
            let refusal = Refusal {
                condition: condition.to_owned(),
                ..Refusal::default()
            };
            moderator_enters(Ok(Err(refusal))).unwrap_err().id()
        };
        assert_eq!(refused("registration-required"), "J8.moderators");
        assert_eq!(refused("forbidden"), "J2.refused");
    }
}
