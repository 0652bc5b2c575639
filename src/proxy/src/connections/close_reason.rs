//! Why the gateway ends a connection, and how it says so.

use cluster::revocation::Cause;
use observe::metrics::CutReason;

/// Why the gateway ends a socket or stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// A credential of the principal was revoked.
    Revoked(Cause),
    /// The session or visit reached its end.
    Expired,
    /// The gateway stops.
    Shutdown,
    /// The room is on another shard now.
    Moved,
    /// Reloaded rules, or the claims of now, no longer admit the principal.
    Refused,
    /// The claims of now no longer make the principal a moderator, which the token of the connection
    /// does: the client has to join anew.
    Demoted,
}

// === impl CloseReason ===

impl CloseReason {
    /// The label of metrics and the audit line.
    pub(crate) const fn reason(self) -> CutReason {
        match self {
            Self::Revoked(Cause::SignOut) => CutReason::SignOut,
            Self::Revoked(Cause::BackChannel) => CutReason::BackChannel,
            Self::Revoked(Cause::Link) => CutReason::Link,
            Self::Revoked(Cause::Operator) => CutReason::Operator,
            Self::Revoked(Cause::Revalidation) => CutReason::Revalidation,
            Self::Expired => CutReason::Expired,
            Self::Shutdown => CutReason::Shutdown,
            Self::Moved => CutReason::Moved,
            Self::Refused => CutReason::Rules,
            Self::Demoted => CutReason::Role,
        }
    }

    /// Whether the client may not resume the connection.
    pub(crate) const fn is_for_good(self) -> bool {
        matches!(
            self,
            Self::Revoked(_) | Self::Expired | Self::Refused | Self::Demoted
        )
    }

    /// The text of the close frame.
    pub(crate) const fn close_text(self) -> &'static str {
        match self {
            Self::Revoked(_) => SIGNED_OUT,
            Self::Expired | Self::Refused | Self::Demoted | Self::Shutdown | Self::Moved => "",
        }
    }

    /// The close code for WebSockets (RFC 6455 § 7.4.1).
    pub(crate) const fn close_code(self) -> u16 {
        match self {
            Self::Revoked(_) | Self::Expired | Self::Refused | Self::Demoted => 1008,
            Self::Shutdown | Self::Moved => 1001,
        }
    }
}

/// What the close frame of a revoked client says (RFC 6455 § 5.5.1): the script in Jitsi's page leads
/// to the page of people who are signed out.
pub(crate) const SIGNED_OUT: &str = "signed-out";
