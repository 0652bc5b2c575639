//! The rooms and tenants of an integration.

use crate::{diagnostics::Section, problem::Fault, values::check_pattern};
use model::{
    integration::{IntegrationSettings, NamedRooms, PresetProfile, RoomNames},
    policy::{Glob, Policy, TenantScope},
};

/// `rooms` and `unnamed_rooms` as written, and what they may be.
pub(super) struct RoomKeys<'k> {
    pub(super) rooms: Option<&'k [String]>,
    pub(super) unnamed_rooms: Option<bool>,
    pub(super) preset: Option<&'k PresetProfile>,
    /// `insecure_all_rooms`.
    pub(super) allow_all: bool,
    /// Whether `tenant` limits the integration to tenants of its own.
    pub(super) in_own_tenant: bool,
}

/// The patterns of an integration, and whether it has the rooms that nothing names as well.
pub(super) struct RoomsOfIntegration {
    pub(super) patterns: Vec<Glob>,
    pub(super) unnamed: bool,
}

// === impl RoomKeys ===

impl RoomKeys<'_> {
    /// The patterns that are written, else those of the preset: without a pattern, all rooms of its
    /// own tenant, else the rooms that nothing names.
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<RoomsOfIntegration> {
        let unnamed = self.unnamed_rooms.unwrap_or_default();
        if let Some(written) = self.rooms {
            let patterns = self.parse(written, section)?;
            if patterns.is_empty() && !unnamed {
                let remedy = "write for example rooms = [\"school-*\"]";
                section.reject("rooms", "no pattern, so that it has no rooms", remedy);
                return None;
            }
            return Some(RoomsOfIntegration { patterns, unnamed });
        }
        let of = |patterns: Vec<Glob>, unnamed| Some(RoomsOfIntegration { patterns, unnamed });
        match (self.preset.map(|preset| preset.rooms), self.in_own_tenant) {
            (Some(RoomNames::Pattern(pattern)), _) => of(vec![Glob::folded(pattern)], unnamed),
            (Some(RoomNames::Free), true) => of(vec![Glob::folded("*")], unnamed),
            (Some(RoomNames::Free), false) => of(Vec::new(), self.unnamed_rooms.unwrap_or(true)),
            (None, _) if unnamed => of(Vec::new(), true),
            (None, _) => {
                if !section.is_reported("rooms") {
                    let remedy = "add for example rooms = [\"school-*\"]";
                    section.reject("rooms", "missing", remedy);
                }
                None
            }
        }
    }

    fn parse(&self, patterns: &[String], section: &mut Section<'_>) -> Option<Vec<Glob>> {
        let bounded = self.allow_all || self.in_own_tenant;
        section.parse_list("rooms", patterns, |text| {
            check_pattern(text)?;
            let pattern = Glob::folded(text);
            if pattern.matches_everything() && !bounded {
                let remedy = "write a prefix that only its rooms have, or unnamed_rooms = true for \
                              the rooms that nothing else names";
                return Err(Fault::new("matches every room", remedy));
            }
            Ok(pattern)
        })
    }
}

/// Completes the integrations that have the rooms that nothing names, once all rules are known.
pub(in super::super) fn exclude_named_rooms(
    integrations: &mut [IntegrationSettings],
    policy: &Policy,
) {
    let patterns: Vec<(String, Vec<Glob>, TenantScope)> = integrations
        .iter()
        .map(|one| (one.id.clone(), one.rooms.clone(), one.tenant.clone()))
        .collect();
    for integration in integrations {
        let id = &integration.id;
        if let Some(named) = &mut integration.unnamed_rooms {
            let others = patterns.iter().filter(|(other, ..)| other != id);
            let others = others.map(|(_, patterns, tenant)| (patterns.as_slice(), tenant));
            *named = NamedRooms::of(policy, id, others);
        }
    }
}
