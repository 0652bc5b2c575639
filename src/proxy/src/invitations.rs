//! Invitation links.

use model::{clock::Timestamp, room::RoomKey};
use pages::LinkProblem;

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
