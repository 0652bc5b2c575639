//! One rule, and what it gives to those whom it lets in.

use std::{collections::BTreeMap, time::Duration};

use super::{Condition, Glob, Role, Visitor};
use crate::{clock::Timestamp, identity::Standing, room::RoomKey};

/// One `[[room]]` of the configuration.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which rooms, by their readable canonical name.
    pub room: Glob,
    /// Which tenants.
    pub tenant: TenantScope,
    /// Who may enter.
    pub enter: EntryRule,
    /// Who is host among those who may enter: a moderator for whom others may have to wait.
    pub hosts: Vec<Condition>,
    /// Who else is moderator; anybody whom one condition fits.
    pub moderators: Vec<Condition>,
    /// Who may open the room; the others wait until it is open.
    pub start: StartRule,
    /// What people may do in the room, if the deployment does not leave that to Jitsi.
    pub features: Features,
    /// How long one visit may last.
    pub lifetime: Option<Duration>,
    /// When the room may be entered.
    pub window: TimeWindow,
    /// How many people there may be at once, as far as the gateway sees them; moderators always
    /// find a place.
    pub max_people: Option<u32>,
    /// People knock and are let in by a moderator; enforced by Prosody, which asks for it.
    pub lobby: bool,
}

/// Which tenants a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantScope {
    /// Any tenant, and rooms without one.
    Any,
    /// Only rooms without a tenant.
    None,
    /// Tenants that fit.
    Matching(Glob),
}

/// Who may enter a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryRule {
    /// Nobody.
    Closed,
    /// Anybody whom one of the conditions fits.
    Where(Vec<Condition>),
}

/// Who may open a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartRule {
    /// Whoever comes first.
    Anyone,
    /// Somebody with an account here or at an integration; not guests, not holders of a link.
    Vouched,
    /// Hosts and moderators only.
    Hosts,
    /// Hosts, and anybody whom one of the conditions fits.
    Where(Vec<Condition>),
}

/// When a room may be entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeWindow {
    /// Not before this.
    pub opens: Option<Timestamp>,
    /// Not from this on.
    pub closes: Option<Timestamp>,
}

/// Who may use which of Jitsi's features (jitsi-meet `react/features/base/jwt/constants.ts`).
///
/// Empty leaves all to Jitsi: moderators may everything. Once a token names any feature, those that
/// it does not name are forbidden, so tokens then name them all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(BTreeMap<String, FeatureAccess>);

/// Who may use a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureAccess {
    /// Everybody in the room.
    Everyone,
    /// Moderators.
    Moderators,
    /// Nobody.
    Nobody,
}

// === impl TenantScope ===

impl TenantScope {
    /// Tenants that fit a pattern, which may have dots where [tenants](crate::room::Tenant) have
    /// underscores.
    pub fn matching(pattern: &str) -> Self {
        Self::Matching(Glob::folded(&pattern.replace('.', "_")))
    }

    /// Whether it is for this room's tenant.
    pub fn includes(&self, room: &RoomKey) -> bool {
        match (self, room.tenant()) {
            (Self::Any, _) | (Self::None, None) => true,
            (Self::None, Some(_)) | (Self::Matching(_), None) => false,
            (Self::Matching(pattern), Some(tenant)) => pattern.matches(tenant.as_str()),
        }
    }
}

// === impl Rule ===

impl Rule {
    /// A rule that lets some people in and has nothing else to say.
    pub fn new(room: Glob, enter: EntryRule) -> Self {
        Self {
            room,
            tenant: TenantScope::Any,
            enter,
            hosts: vec![
                Condition::Owner,
                Condition::Link,
                Condition::Integration(None),
            ],
            moderators: Vec::new(),
            start: StartRule::Vouched,
            features: Features::default(),
            lifetime: None,
            window: TimeWindow::default(),
            max_people: None,
            lobby: false,
        }
    }

    pub(super) fn is_for(&self, room: &RoomKey) -> bool {
        self.tenant.includes(room) && self.room.matches(&room.readable())
    }

    /// What makes the visitor a host or moderator.
    pub(super) fn elevating(&self, visitor: &Visitor<'_>) -> Option<&Condition> {
        let mut all = self.hosts.iter().chain(&self.moderators);
        all.find(|matcher| matcher.elevates(visitor))
    }

    /// Whether the visitor may open the room.
    pub(super) fn may_start(&self, visitor: &Visitor<'_>, role: Role) -> bool {
        role == Role::Moderator
            || match &self.start {
                StartRule::Anyone => true,
                StartRule::Vouched => {
                    visitor.standing.is_member()
                        || matches!(visitor.standing, Standing::Embedded(_))
                }
                StartRule::Hosts => false,
                StartRule::Where(conditions) => conditions.iter().any(|one| one.admits(visitor)),
            }
    }

    pub(super) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let entering: &[Condition] = match &self.enter {
            EntryRule::Closed => &[],
            EntryRule::Where(conditions) => conditions,
        };
        let starting: &[Condition] = match &self.start {
            StartRule::Where(conditions) => conditions,
            _ => &[],
        };
        entering
            .iter()
            .chain(&self.hosts)
            .chain(&self.moderators)
            .chain(starting)
    }
}

// === impl Features ===

impl Features {
    /// These features for these people.
    pub fn new(features: BTreeMap<String, FeatureAccess>) -> Self {
        Self(features)
    }

    /// Whether all is left to Jitsi.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a token says to somebody in this role: every named feature, and whether it is allowed.
    pub fn of(&self, role: Role) -> impl Iterator<Item = (&str, bool)> {
        self.0.iter().map(move |(name, allowed)| {
            let allowed = match allowed {
                FeatureAccess::Everyone => true,
                FeatureAccess::Moderators => role == Role::Moderator,
                FeatureAccess::Nobody => false,
            };
            (name.as_str(), allowed)
        })
    }
}
