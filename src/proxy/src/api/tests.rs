//! Fixtures of the tests of this module.

use std::{fmt, time::Duration};

use model::{
    clock::Timestamp,
    integration::{Integration, IntegrationSettings, Integrations, ModeratorPolicy, RoleClaim},
    policy::{Glob, TenantScope},
};

use super::ApiError;

/// 2027-01-15T08:00:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

/// The integration `school` with these rooms.
pub(super) fn integrations(rooms: &[&str]) -> Integrations {
    Integrations::new(vec![IntegrationSettings {
        id: "school".to_owned(),
        app_id: "school".to_owned(),
        signing: None,
        audience: None,
        rooms: rooms.iter().map(|pattern| Glob::folded(pattern)).collect(),
        unnamed_rooms: None,
        tenant: TenantScope::Any,
        moderators: ModeratorPolicy::AsClaimed,
        moderator_claims: RoleClaim::ALL.to_vec(),
        stable_user_ids: true,
        max_lifetime: Duration::from_hours(1),
        emails_verified: false,
        embed: Vec::new(),
        api_keys: Vec::new(),
        api_requests_per_minute: 60,
    }])
    .unwrap()
}

pub(super) fn school(integrations: &Integrations) -> &Integration {
    integrations.iter().next().unwrap()
}

/// The field that an error is about.
pub(super) fn pointer<T: fmt::Debug>(outcome: Result<T, ApiError>) -> String {
    match outcome.unwrap_err() {
        ApiError::Invalid { pointer, .. } => pointer.into_owned(),
        other => panic!("{other:?}"),
    }
}
