//! The policy's decision: admit in a role, wait, sign in, or refuse.

use std::{fmt, time::Duration};

use super::{Condition, Features, StepUp};
use crate::clock::Timestamp;

/// The policy's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Admission<'p> {
    /// The visitor enters.
    Admit(Grant<'p>),
    /// The visitor enters as soon as the room is open.
    Wait(Waiting),
    /// An anonymous visitor has to sign in before the rules can decide.
    SignIn,
    /// The visitor has to authenticate more strongly, or anew, with the provider.
    StepUp(StepUp<'p>),
    /// An anonymous visitor may enter as a guest, or sign in.
    Guest {
        /// Whether to ask for a name and offer the login first.
        ask: bool,
    },
    /// The visitor does not enter.
    Refuse(Refusal),
}

/// The reason to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Position of the rule, from 1.
    pub rule: usize,
    /// Whether only a host opens the room; otherwise any member does.
    pub for_host: bool,
}

/// The permission to enter one room. Only [`Policy::decide`](super::Policy::decide) creates one, and
/// backend tokens are minted from nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant<'p> {
    pub(super) role: Role,
    pub(super) opens: bool,
    pub(super) rule: usize,
    pub(super) by: Option<&'p Condition>,
    pub(super) features: &'p Features,
    pub(super) lifetime: Option<Duration>,
}

/// A role in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Mutes, removes and records; the affiliation `owner` in the MUC (XEP-0045 § 5.2).
    Moderator,
    /// Any other occupant.
    Participant,
}

/// Why a visitor may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No rule matches the room.
    #[error("no rule is for this room")]
    NoRule,
    /// The room's rule has `enter = "closed"`.
    #[error("rule {rule} closes this room")]
    Closed {
        /// Position of the rule, from 1.
        rule: usize,
    },
    /// The visitor meets none of the rule's conditions.
    #[error("rule {rule} lets other people in")]
    NotAllowed {
        /// Position of the rule, from 1.
        rule: usize,
    },
    /// Signing in would not help: only a link or an integration admits to the room.
    #[error("rule {rule} lets in by invitation only")]
    InvitationOnly {
        /// Position of the rule, from 1.
        rule: usize,
    },
    /// The room opens later.
    #[error("rule {rule} opens this room later")]
    NotYet {
        /// Position of the rule, from 1.
        rule: usize,
        /// The opening time.
        opens: Timestamp,
    },
    /// The room's time has ended.
    #[error("rule {rule} has closed this room")]
    Over {
        /// Position of the rule, from 1.
        rule: usize,
        /// The closing time.
        closed: Timestamp,
    },
    /// The room has as many occupants as the rule allows.
    #[error("rule {rule} has max_people = {most}")]
    Full {
        /// Position of the rule, from 1.
        rule: usize,
        /// The limit.
        most: u32,
    },
}

// === impl Grant ===

impl Grant<'_> {
    /// The role in the room.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the visitor's presence opens the room to waiting visitors.
    pub fn opens(&self) -> bool {
        self.opens
    }

    /// The position of the deciding rule, from 1.
    pub fn rule(&self) -> usize {
        self.rule
    }

    /// The features of Jitsi that the rule controls; empty if it controls none.
    pub fn features(&self) -> &Features {
        self.features
    }

    /// The longest duration of one visit.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }
}

/// The deciding rule and condition, for the audit log.
impl fmt::Display for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}", self.rule)?;
        self.by
            .map_or(Ok(()), |by| write!(f, ", moderator by {by}"))
    }
}

// === impl Role ===

impl Role {
    /// The name in logs, metrics and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Moderator => "moderator",
            Self::Participant => "participant",
        }
    }
}
