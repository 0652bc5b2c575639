//! `[[room]]`: the room rules.

mod checks;
mod conditions;
mod features;
mod requirement;
mod sign_in;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use self::{
    conditions::Conditions, features::RawFeatures, requirement::RawRequirement, sign_in::RawSignIn,
};
use super::{Reported, integration::resolve_tenant, oidc::NamedProviders};
use crate::{
    diagnostics::Section,
    problem::Fault,
    values::{DAY, DurationText, MINUTE, check_pattern},
};
use model::{
    clock::Timestamp,
    policy::{Glob, Policy, Rule, TimeWindow},
};

/// A rule: its rooms, who may enter them, who is host, and who may open them. Patterns may contain
/// `*` and `?`. The first rule that matches a room applies.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["match", "enter"]))]
pub(super) struct RawRoom {
    /// A pattern for room names, matched without case.
    #[serde(rename = "match")]
    #[schemars(example = "*")]
    pattern: Option<String>,
    /// A pattern for tenants, matched without case; empty for rooms without a tenant. Default: rooms
    /// of any tenant and of none.
    #[schemars(example = &"acme")]
    tenant: Option<String>,
    /// Who may enter. A word: `"member"` admits users with an account here or at an integration;
    /// `"link"` also holders of a link; `"guest"` also guests, who enter a name; `"open"` everyone,
    /// without asking for a name; `"closed"` no one. Or a condition or a list of conditions, of which
    /// one has to be met: `member`, `guest`, `open`, `link`, `integration`, `integration:ID`,
    /// `owner`, `group:NAME`, `email:ADDRESS`, `email-domain:DOMAIN`, `subject:ID`,
    /// `provider:ID` (signed in there), `claim:PATH=VALUE`.
    #[schemars(example = &"member")]
    enter: Option<Conditions>,
    /// Who is a host, and therefore a moderator: a condition or a list of conditions. `owner` is the
    /// creator of the meeting, `link` a holder of its host link, `integration` a user that an
    /// integration declares a moderator. Default: these three.
    #[schemars(example = &"owner")]
    host: Option<Conditions>,
    /// Who is a moderator in addition to the hosts: a condition or a list of conditions.
    #[schemars(example = &"group:staff")]
    moderators: Option<Conditions>,
    /// Who may open the room, in addition to moderators; others wait. A word: `"host"` is no one
    /// else, `"member"` users with an account here or at an integration, `"anyone"` the first to
    /// enter. Or a condition or a list of conditions. Default: `"anyone"` if `enter` contains `open`,
    /// otherwise `"member"`.
    #[schemars(example = &"host")]
    start: Option<Conditions>,
    /// Who may use which of Jitsi's features: `"everyone"`, `"moderators"` or `"nobody"`. If none is
    /// set, Jitsi decides; if any is set, the others are forbidden.
    features: RawFeatures,
    /// The maximum duration of one visit.
    #[schemars(example = &"4h")]
    lifetime: Option<DurationText>,
    /// The time from which the room may be entered, in UTC.
    #[schemars(example = &"2027-01-11T08:00:00Z")]
    opens: Option<String>,
    /// The time until which the room may be entered, in UTC.
    #[schemars(example = &"2027-01-11T18:00:00Z")]
    closes: Option<String>,
    /// The maximum number of occupants that the gateway admits; moderators are always admitted.
    #[schemars(range(min = 1))]
    max_people: Option<u32>,
    /// Prosody opens the room with a lobby, where all but moderators wait until a moderator lets them in; requires
    /// `[reservation]` and settings of Prosody, and excludes `[guests] xmpp_domain`.
    lobby: bool,
    sign_in: RawSignIn,
    require: Option<RawRequirement>,
}

/// The parts of other sections that rules depend on.
#[derive(Clone, Copy)]
pub(super) struct RoomContext<'c> {
    /// The tolerated difference to the provider's clock; `None` without a provider.
    pub(super) provider_leeway: Option<Duration>,
    /// The providers that rules can name.
    pub(super) providers: NamedProviders<'c>,
    /// Whether there is a provider or an integration, so that members exist.
    pub(super) has_accounts: bool,
    /// `domain_verification` of `[token]`.
    pub(super) prosody_verifies_tenants: bool,
    /// About which new rooms Prosody asks the gateway.
    pub(super) reservations: ReservationScope,
}

/// The rooms about which Prosody asks the gateway before it creates them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReservationScope {
    /// None: there is no `[reservation]`.
    Nothing,
    /// Those that clients of the main domain open; guests have a domain of their own, without a token.
    MainDomain,
    /// All that clients open.
    AllDomains,
}

/// Where each rule begins.
pub(super) fn locations(rooms: &[RawRoom], root: &mut Section<'_>) -> Vec<String> {
    let positions = 1..=rooms.len();
    positions
        .map(|position| root.entry("room", position).location().to_string())
        .collect()
}

/// Resolves all rules and checks them against each other and the context.
pub(super) fn resolve(
    rooms: Vec<RawRoom>,
    context: RoomContext<'_>,
    root: &mut Section<'_>,
) -> Option<Policy> {
    if rooms.is_empty() && !root.is_reported("room") {
        let remedy = "add for example [[room]] with match = \"*\" and enter = \"member\"";
        root.reject("room", "no rule, so that no room can be entered", remedy);
    }
    // Invalid rules keep their positions, so that messages count rules as the file does.
    let rules: Vec<Option<Rule>> = (1..)
        .zip(rooms)
        .map(|(position, room)| room.resolve(context, &mut root.entry("room", position)))
        .collect();
    checks::reject_unreachable(&rules, root);
    let policy = Policy::new(rules.into_iter().collect::<Option<_>>()?);
    checks::reject_lobbies(&policy, context.reservations, root);
    if !context.has_accounts {
        checks::require_rooms_without_accounts(&policy, root);
    }
    Some(policy)
}

// === impl RawRoom ===

impl RawRoom {
    fn resolve(self, context: RoomContext<'_>, section: &mut Section<'_>) -> Option<Rule> {
        let room = section.parse("match", self.pattern, |text| {
            check_pattern(text).map(|()| Glob::folded(text))
        });
        let tenant = resolve_tenant(
            self.tenant.as_deref(),
            context.prosody_verifies_tenants,
            section,
        );
        let enter = self
            .enter
            .and_then(|raw| raw.resolve_enter(context.providers, section));
        let hosts = match self.host {
            Some(raw) => raw.resolve_list("host", context.providers, section),
            None => Some(conditions::default_hosts()),
        };
        let moderators = match self.moderators {
            Some(raw) => raw.resolve_list("moderators", context.providers, section),
            None => Some(Vec::new()),
        };
        let start = match self.start {
            Some(raw) => raw.resolve_start(context.providers, section),
            None => Some(conditions::default_start(enter.as_ref())),
        };
        let lifetime = self
            .lifetime
            .map(|text| {
                text.within(MINUTE..=7 * DAY, section, "lifetime")
                    .ok_or(Reported)
            })
            .transpose();
        let sign_in = self
            .sign_in
            .resolve(context.providers, &mut section.table("sign_in"));
        let requirement = self
            .require
            .map(|raw| raw.resolve(context.provider_leeway, &mut section.table("require")))
            .transpose();
        let window = resolve_window(self.opens, self.closes, section);
        if self.max_people == Some(0) {
            let remedy = "write enter = \"closed\" instead";
            section.reject("max_people", "admits no occupant", remedy);
        }
        let sign_in = sign_in?;
        Some(Rule {
            room: room?,
            tenant: tenant?,
            enter: enter?,
            hosts: hosts?,
            moderators: moderators?,
            start: start?,
            features: self.features.into(),
            lifetime: lifetime.ok()?,
            window: window?,
            max_people: self.max_people,
            lobby: self.lobby,
            parameters: sign_in.parameters,
            providers: sign_in.providers,
            requirement: requirement.ok()?,
        })
    }
}

fn resolve_window(
    opens: Option<String>,
    closes: Option<String>,
    section: &mut Section<'_>,
) -> Option<TimeWindow> {
    let mut time = |key: &str, text: Option<String>| {
        text.map(|text| section.keep(key, parse_time(&text)).ok_or(Reported))
            .transpose()
    };
    let (opens, closes) = (time("opens", opens), time("closes", closes));
    let window = TimeWindow {
        opens: opens.ok()?,
        closes: closes.ok()?,
    };
    if let (Some(opens), Some(closes)) = (window.opens, window.closes)
        && closes <= opens
    {
        section.reject("closes", "not after opens", "write a later time");
        return None;
    }
    Some(window)
}

fn parse_time(text: &str) -> Result<Timestamp, Fault> {
    Timestamp::parse(text).ok_or_else(|| {
        let remedy = "write it as 2027-01-11T08:00:00Z";
        Fault::new(format!("{text:?} is not a time in UTC"), remedy)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{diagnostics::Diagnostics, location::Location};
    use model::policy::{EntryRule, StartRule};

    /// The conditions of a rule's key.
    fn conditions(key: &str, value: &serde_json::Value) -> Option<Vec<String>> {
        let raw = json!({ "match": "*", "enter": "member", key: value });
        let raw: RawRoom = serde_json::from_value(raw).ok()?;
        let mut diagnostics = Diagnostics::new(false);
        diagnostics.set_locations([(String::new(), Location::File("f".into()))].into());
        let context = RoomContext {
            provider_leeway: None,
            providers: NamedProviders::Known(&[]),
            has_accounts: true,
            prosody_verifies_tenants: false,
            reservations: ReservationScope::Nothing,
        };
        let rule = raw.resolve(context, &mut diagnostics.section("room[1]"))?;
        let conditions = match (key, rule.enter, rule.start) {
            ("enter", EntryRule::Where(conditions), _)
            | ("start", _, StartRule::Where(conditions)) => conditions,
            ("host", ..) => rule.hosts,
            ("moderators", ..) => rule.moderators,
            _ => return None,
        };
        Some(conditions.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_key_of_conditions_takes_one_condition_or_a_list() {
        let staff = Some(vec!["group:staff".to_owned()]);
        for key in ["enter", "host", "moderators", "start"] {
            assert_eq!(conditions(key, &json!("group:staff")), staff, "{key}");
            assert_eq!(conditions(key, &json!(["group:staff"])), staff, "{key}");
            assert_eq!(conditions(key, &json!("group")), None, "{key}");
        }
        assert_eq!(conditions("moderators", &json!([])), Some(Vec::new()));
    }
}
