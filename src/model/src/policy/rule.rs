//! One `[[room]]` rule of the configuration: which rooms, who enters, who hosts, and the limits.

use std::{collections::BTreeMap, time::Duration};

use super::{AuthenticationRequirement, Condition, Glob, Refusal, Requester, Role};
use crate::{
    authorization_parameters::AuthorizationParameters, clock::Timestamp, identity::Standing,
    provider::ProviderId, room::RoomKey,
};

/// One `[[room]]` of the configuration.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Matches the rooms, by their percent-decoded canonical name.
    pub room: Glob,
    /// Matches the rooms' tenants.
    pub tenant: TenantScope,
    /// The condition to enter.
    pub enter: EntryRule,
    /// A visitor who may enter and meets one of these conditions is a host: a moderator whose
    /// presence opens the room.
    pub hosts: Vec<Condition>,
    /// A visitor who may enter and meets one of these conditions is a moderator too.
    pub moderators: Vec<Condition>,
    /// The condition to open the room; other visitors wait until it is open.
    pub start: StartRule,
    /// The features of Jitsi that the rule controls; empty leaves all to Jitsi.
    pub features: Features,
    /// The longest duration of one visit.
    pub lifetime: Option<Duration>,
    /// The time in which the room may be entered.
    pub window: TimeWindow,
    /// The number of occupants from which only moderators may enter. Occupants that did not come
    /// through a gateway are not counted.
    pub max_people: Option<u32>,
    /// Whether the room has a lobby. Prosody enforces it and asks the gateway for the setting.
    pub lobby: bool,
    /// Additional parameters of the sign-ins that lead to the rooms.
    pub parameters: AuthorizationParameters,
    /// The providers that sign-ins that lead to the rooms can choose from; empty is all.
    pub providers: Vec<ProviderId>,
    /// How strongly and how recently people with an account have to have authenticated.
    pub requirement: Option<AuthenticationRequirement>,
}

/// The tenants that a rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantScope {
    /// Any tenant, and rooms without one.
    Any,
    /// Only rooms without a tenant.
    None,
    /// Tenants that match the pattern.
    Matching(Glob),
}

/// The condition to enter a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryRule {
    /// No visitor enters.
    Closed,
    /// Visitors who meet one of the conditions enter.
    Where(Vec<Condition>),
}

/// The condition to open a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartRule {
    /// The first visitor opens it.
    Anyone,
    /// Members and embedded users open it; guests and holders of a link do not.
    Members,
    /// Only hosts and moderators open it.
    Hosts,
    /// Hosts, moderators and visitors who meet one of the conditions open it.
    Where(Vec<Condition>),
}

/// The time in which a room may be entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeWindow {
    /// The first second; `None` is any time in the past.
    pub opens: Option<Timestamp>,
    /// The first second after it; `None` is never.
    pub closes: Option<Timestamp>,
}

/// Access to features of Jitsi by name (jitsi-meet `react/features/base/jwt/constants.ts`).
///
/// Without any, Jitsi allows moderators everything. As soon as a token names one feature, Jitsi
/// forbids all that the token does not name, so the map is then complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(BTreeMap<String, FeatureAccess>);

/// Access to one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureAccess {
    /// All occupants.
    Everyone,
    /// Moderators only.
    Moderators,
    /// No occupant.
    Nobody,
}

// === impl TenantScope ===

impl TenantScope {
    /// Parses a pattern; its dots match the underscores of [tenants](crate::room::Tenant).
    pub fn matching(pattern: &str) -> Self {
        Self::Matching(Glob::folded(&pattern.replace('.', "_")))
    }

    /// Whether it is one tenant by name.
    pub fn is_single(&self) -> bool {
        matches!(self, Self::Matching(pattern) if pattern.is_literal())
    }

    /// Whether the room's tenant is in scope.
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
    /// A rule with the defaults of the configuration.
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
            start: StartRule::Members,
            features: Features::default(),
            lifetime: None,
            window: TimeWindow::default(),
            max_people: None,
            lobby: false,
            parameters: AuthorizationParameters::default(),
            providers: Vec::new(),
            requirement: None,
        }
    }

    /// Whether the rule decides on a room, whose [decoded](RoomKey::decoded) name is `name`.
    pub(super) fn matches(&self, room: &RoomKey, name: &str) -> bool {
        self.tenant.includes(room) && self.room.matches(name)
    }

    /// Whether no later rule decides on any room.
    pub(super) fn is_for_all_rooms(&self) -> bool {
        self.tenant == TenantScope::Any && self.room.matches_all()
    }

    /// The condition that makes the visitor a host or moderator.
    pub(super) fn elevating(&self, visitor: &Requester<'_>) -> Option<&Condition> {
        let mut all = self.hosts.iter().chain(&self.moderators);
        all.find(|condition| condition.elevates(visitor))
    }

    /// Whether the visitor's presence opens the room.
    pub(super) fn may_start(&self, visitor: &Requester<'_>, role: Role) -> bool {
        role == Role::Moderator
            || match &self.start {
                StartRule::Anyone => true,
                StartRule::Members => {
                    visitor.standing.is_member()
                        || matches!(visitor.standing, Standing::Embedded(_))
                }
                StartRule::Hosts => false,
                StartRule::Where(conditions) => conditions.iter().any(|one| one.admits(visitor)),
            }
    }

    /// The conditions of all its keys.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
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

// === impl TimeWindow ===

impl TimeWindow {
    /// The time until the window ends; `None` is unlimited.
    pub fn remaining(self, now: Timestamp) -> Option<Duration> {
        self.closes.map(|closes| closes.since(now))
    }

    /// The refusal by rule number `rule`, if `now` is outside the window.
    pub(super) fn check(self, now: Timestamp, rule: usize) -> Option<Refusal> {
        match (self.opens, self.closes) {
            (Some(opens), _) if now < opens => Some(Refusal::NotYet { rule, opens }),
            (_, Some(closed)) if now >= closed => Some(Refusal::Over { rule, closed }),
            _ => None,
        }
    }
}

// === impl Features ===

impl Features {
    /// Creates the map from each feature's name.
    pub fn new(features: BTreeMap<String, FeatureAccess>) -> Self {
        Self(features)
    }

    /// Whether the rule controls no feature.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The `context.features` of a token: each feature's name, and whether the role may use it.
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
