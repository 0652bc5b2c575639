//! What a sign-in asks the provider for because of the rule of the room that it leads to.

use http::HeaderMap;
use model::{
    policy::{Admission, AuthenticationRequirement, Policy, RequirementScope},
    session::ReturnTo,
};

use super::query::LoginQuery;
use crate::{
    ReloadableState, Worker,
    authorize::{AccessError, StepUpDemand},
    credentials::Intent,
};

/// The rule's requirement, as far as this sign-in asks for it.
#[derive(Clone, Copy)]
pub(super) struct AskedRequirement<'p> {
    pub(super) requirement: &'p AuthenticationRequirement,
    /// Whether the person is signed in without fulfilling it.
    pub(super) is_step_up: bool,
}

/// The requirement that a sign-in to this page asks for. A person who is signed in and lacks it has to
/// sign in again; others are asked along with their sign-in, if the rule concerns all of them.
///
/// # Errors
///
/// [`AccessError::StepUp`] if the provider was asked just now and did not fulfil it.
pub(super) fn asked_requirement<'p>(
    worker: &Worker,
    rules: &'p ReloadableState,
    wanted: &LoginQuery,
    headers: &HeaderMap,
) -> Result<Option<AskedRequirement<'p>>, AccessError> {
    let page = &wanted.return_to;
    let Some(room) = page.room() else {
        return Ok(None);
    };
    let state = &worker.state;
    let visitor =
        state
            .authenticator
            .visitor(&worker.opened_sessions, headers, &room, &rules.integrations);
    let Some(principal) = visitor.principal() else {
        return Ok(asked_along(&rules.policy, page));
    };
    let intent = Intent::Connect;
    let admission = state
        .authorizer
        .evaluate(&rules.policy, &room, Some(principal), intent);
    let Admission::StepUp(step_up) = admission else {
        return Ok(asked_along(&rules.policy, page));
    };
    let demand = StepUpDemand::of(step_up);
    // A person who asks to sign in once more is in no loop.
    if !wanted.switch && demand.was_asked(principal, state.clock.now()) {
        return Err(demand.into_error(&room, Some(principal)));
    }
    Ok(Some(AskedRequirement {
        requirement: step_up.requirement,
        is_step_up: true,
    }))
}

/// A method cannot be asked for, so a sign-in that has no other reason does not count as asked.
fn asked_along<'p>(policy: &'p Policy, page: &ReturnTo) -> Option<AskedRequirement<'p>> {
    let (_, rule) = policy.rule_for(&page.room()?)?;
    let requirement = rule.requirement.as_ref()?;
    let concerns_all = requirement.scope == RequirementScope::Members;
    (concerns_all && requirement.amr.is_empty()).then_some(AskedRequirement {
        requirement,
        is_step_up: false,
    })
}
