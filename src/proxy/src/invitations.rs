//! Invitation links: their addresses, their opening, and the uses of limited ones.

use std::sync::Arc;

use cluster::{
    revocation::{Receipt, Revocations, Selector},
    store::UseOutcome,
};
use model::{
    clock::{Clock, Timestamp},
    invitation::{InvitationLink, InvitationLinks, LinkError},
    room::RoomKey,
};
use pages::LinkProblem;

use crate::{RequestError, store_client::StoreClient};

/// Issues, opens, counts and revokes invitation links.
#[derive(Debug)]
pub(crate) struct Invitations {
    pub(crate) links: InvitationLinks,
    pub(crate) revocations: Arc<Revocations>,
    /// Counts the uses of limited links.
    pub(crate) store: StoreClient,
    /// `https://host[:port]` of this site.
    pub(crate) origin: String,
    pub(crate) clock: Clock,
}

/// Why a link does not let its holder in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvitationError {
    /// The link cannot be used.
    #[error("the link cannot be used")]
    Unusable {
        /// The room of the address.
        room: RoomKey,
        /// Why.
        problem: LinkProblem,
    },
    /// The link can be used later.
    #[error("the link cannot be used yet")]
    TooEarly {
        /// The room of the address.
        room: RoomKey,
        /// From when.
        opens: Timestamp,
    },
}

// === impl Invitations ===

impl Invitations {
    /// The address of a room's page.
    pub(crate) fn room_url(&self, room: &RoomKey) -> String {
        format!("{}{}", self.origin, room.page_path())
    }

    /// The address that opens the room by the link.
    pub(crate) fn url(&self, link: &InvitationLink) -> String {
        let token = self.links.issue(link);
        format!("{}?invite={token}", self.room_url(&link.room))
    }

    /// Opens the token of a link; its uses are counted later.
    pub(crate) fn open(
        &self,
        invite: &str,
        room: &RoomKey,
    ) -> Result<InvitationLink, InvitationError> {
        let refused = |problem| InvitationError::Unusable {
            room: room.clone(),
            problem,
        };
        let link = self
            .links
            .open(invite, self.clock.now())
            .map_err(|error| match error {
                LinkError::Unreadable => refused(LinkProblem::Unreadable),
                LinkError::Expired => refused(LinkProblem::Expired),
                LinkError::TooEarly(opens) => InvitationError::TooEarly {
                    room: room.clone(),
                    opens,
                },
            })?;
        if link.room != *room {
            return Err(refused(LinkProblem::OtherRoom));
        }
        if self.revocations.is_link_revoked(&link.id) {
            return Err(refused(LinkProblem::Revoked));
        }
        Ok(link)
    }

    /// Whether a use of the link would be granted now: the answer before the form for a name is shown. A store that
    /// does not answer refuses nothing here; the use itself needs it.
    pub(crate) async fn check_uses_left(
        &self,
        link: &InvitationLink,
    ) -> Result<(), InvitationError> {
        let Some(limit) = link.uses else {
            return Ok(());
        };
        match self.store.uses(use_count(link)).await {
            Ok(used) if used >= limit => Err(InvitationError::Unusable {
                room: link.room.clone(),
                problem: LinkProblem::UsedUp,
            }),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Uses up one use of a limited link.
    pub(crate) async fn consume_use(&self, link: &InvitationLink) -> Result<(), RequestError> {
        let Some(limit) = link.uses else {
            return Ok(());
        };
        let key = use_count(link);
        let left = link.expires.since(self.clock.now());
        match self.store.consume_use(key, limit, left).await? {
            UseOutcome::Granted { .. } => Ok(()),
            UseOutcome::Exhausted => {
                let (room, problem) = (link.room.clone(), LinkProblem::UsedUp);
                Err(InvitationError::Unusable { room, problem }.into())
            }
        }
    }

    /// Revokes a link. That it is revoked twice, or has expired, makes no difference.
    pub(crate) fn revoke(&self, id: &str) -> Receipt {
        self.revocations.revoke(Selector::Link(id.to_owned()))
    }
}

/// The key of the uses of a link in the store.
fn use_count(link: &InvitationLink) -> String {
    format!("link:{}", link.id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{Deployment, ORIGIN, key, link};

    /// The outcome of opening or using a link as a word.
    fn outcome(error: &InvitationError) -> String {
        match error {
            InvitationError::Unusable { problem, .. } => format!("{problem:?}"),
            InvitationError::TooEarly { .. } => "TooEarly".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_link_opens_its_own_room_in_its_time_until_it_is_revoked() {
        let deployment = Deployment::new();
        let invitations = deployment.invitations();
        let begins = Some(deployment.clock.now().after(Duration::from_mins(30)));
        let later = InvitationLink {
            begins,
            ..link("later", "x")
        };
        let own = link("own", "x");
        drop(invitations.revoke("revoked"));
        for (link, room, minutes, expected) in [
            (&own, "x", 0, "opens"),
            (&own, "y", 0, "OtherRoom"),
            (&link("revoked", "x"), "x", 0, "Revoked"),
            (&later, "x", 0, "TooEarly"),
            (&later, "x", 31, "opens"),
            (&own, "x", 30, "Expired"),
        ] {
            deployment.hand.advance(Duration::from_mins(minutes));
            let url = invitations.url(link);
            let (page, token) = url.split_once("?invite=").unwrap();
            assert_eq!(page, format!("{ORIGIN}/x"));
            let opened = invitations.open(token, &key(room));
            let word = opened.map_or_else(
                |error| outcome(&error),
                |opened| {
                    assert_eq!(opened, *link);
                    "opens".to_owned()
                },
            );
            assert_eq!(word, expected, "{} {room} {minutes}", link.id);
        }
        let unreadable = invitations.open("x", &key("x")).unwrap_err();
        assert_eq!(outcome(&unreadable), "Unreadable");
    }

    #[tokio::test]
    async fn a_limited_link_is_used_up_and_another_is_not() {
        let invitations = Deployment::new().invitations();
        let limited = InvitationLink {
            uses: Some(2),
            ..link("limited", "x")
        };
        for (link, expected) in [
            (&limited, true),
            (&limited, true),
            (&limited, false),
            (&link("free", "x"), true),
        ] {
            let check = invitations.check_uses_left(link).await;
            assert_eq!(check.is_ok(), expected, "{check:?}");
            let used = invitations.consume_use(link).await;
            assert_eq!(used.is_ok(), expected, "{used:?}");
            if let Err(error) = used {
                assert!(
                    matches!(&error, RequestError::Invitation(error) if outcome(error) == "UsedUp")
                );
            }
        }
    }
}
