use model::{
    identity::Standing,
    owner::RoomOwner,
    policy::{Condition, EntryRule, Glob, Rule, StartRule},
    random::Random,
};

use super::*;
use crate::testing::{self, Deployment, invited, key};

/// A rule for every room, by the words of the configuration.
fn policy(
    enter: &[&str],
    moderators: &[&str],
    start: StartRule,
    max_people: Option<u32>,
) -> Policy {
    let parse = |texts: &[&str]| -> Vec<Condition> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    Policy::new(vec![Rule {
        moderators: parse(moderators),
        hosts: parse(&["owner"]),
        start,
        max_people,
        ..Rule::new(Glob::folded("*"), EntryRule::Where(parse(enter)))
    }])
}

/// The outcome as a word.
fn outcome(admission: Admission<'_>, principal: Option<&Principal>) -> String {
    match Denial::of(admission, principal) {
        Ok(grant) => grant.role().as_str().to_owned(),
        Err(Denial::SignIn) => "sign in".to_owned(),
        Err(Denial::Guest { ask }) => format!("guest, ask {ask}"),
        Err(Denial::Waiting) => "waiting".to_owned(),
        Err(Denial::StepUp(demand)) => format!("step up: {}", demand.required),
        Err(Denial::Refused(refusal)) => format!("refused: {refusal}"),
    }
}

#[test]
fn visitors_rules_and_situations_make_grants_and_denials() {
    let deployment = Deployment::new();
    let member = Principal::Member(deployment.session("ann"));
    let guest = Principal::Pass(deployment.pass("x", Standing::Guest));
    let holder = Principal::Pass(deployment.pass("x", invited("l1")));
    let both = Principal::combine(
        deployment.session("bob"),
        deployment.pass("x", invited("l1")),
    );
    let elsewhere = Principal::Pass(deployment.pass("y", Standing::Guest));
    let members = policy(&["member"], &["group:ann"], StartRule::Anyone, None);
    let guests = policy(&["guest"], &["group:ann"], StartRule::Hosts, Some(2));
    let links = policy(&["link"], &[], StartRule::Anyone, None);
    let empty = Situation::default();
    let open = Situation {
        open: true,
        ..empty
    };
    let full = Situation {
        open: true,
        others: 2,
        ..empty
    };
    let polling = Situation {
        others: 2,
        staying: true,
        ..empty
    };
    for (policy, principal, situation, expected) in [
        (&members, None, empty, "sign in"),
        (&members, Some(&member), empty, "moderator"),
        (&members, Some(&both), empty, "participant"),
        (&members, Some(&guest), empty, "sign in"),
        (&members, Some(&holder), empty, "sign in"),
        (&guests, None, empty, "guest, ask true"),
        (&guests, Some(&member), empty, "moderator"),
        (&guests, Some(&guest), empty, "waiting"),
        (&guests, Some(&guest), open, "participant"),
        (&guests, Some(&both), empty, "waiting"),
        (
            &guests,
            Some(&guest),
            full,
            "refused: rule 1 has max_people = 2",
        ),
        (&guests, Some(&member), full, "moderator"),
        // Present people stay, whatever has become of the room meanwhile.
        (&guests, Some(&guest), polling, "participant"),
        // A pass to another room is none.
        (&guests, Some(&elsewhere), open, "guest, ask true"),
        (&links, Some(&holder), empty, "participant"),
        (&links, Some(&both), empty, "participant"),
        (
            &links,
            Some(&guest),
            empty,
            "refused: rule 1 lets in by invitation only",
        ),
    ] {
        let authorizer = &deployment.authorizer;
        let admission = authorizer.evaluate_in(policy, &key("x"), principal, &situation);
        let came = outcome(admission, principal);
        assert_eq!(came, expected, "{principal:?} {situation:?}");
    }
}

#[test]
fn the_creator_of_a_room_hosts_it_and_no_guest_can_claim_to_be_the_creator() {
    let deployment = Deployment::new();
    let authorizer = &deployment.authorizer;
    let named = authorizer.owners.name(
        None,
        Some("talk"),
        &RoomOwner::Subject("ann"),
        &Random::system(),
    );
    let room = named.unwrap();
    let policy = policy(&["guest"], &[], StartRule::Hosts, None);
    let creator = Principal::Member(deployment.session("ann"));
    let other = Principal::Member(deployment.session("bob"));
    let hour = std::time::Duration::from_hours(1);
    let impostor = model::session::Pass::issue(
        &room,
        Standing::Guest,
        testing::person("ann"),
        model::session::Validity::beginning_now(&deployment.clock, hour),
        &Random::system(),
    );
    let impostor = Principal::Pass(impostor);
    for (principal, expected) in [
        (&creator, "moderator"),
        (&other, "waiting"),
        (&impostor, "waiting"),
    ] {
        let admission = authorizer.evaluate(&policy, &room, Some(principal), Intent::Connect);
        assert_eq!(
            outcome(admission, Some(principal)),
            expected,
            "{principal:?}"
        );
    }
}

#[test]
fn a_bosh_stream_belongs_to_a_session_or_to_anonymous_clients() {
    let deployment = Deployment::new();
    let policy = policy(&["guest"], &[], StartRule::Anyone, None);
    let member = Rc::new(Principal::Member(deployment.session("ann")));
    let admission =
        deployment
            .authorizer
            .evaluate(&policy, &key("x"), Some(&member), Intent::Connect);
    let grant = Denial::of(admission, Some(&member)).unwrap();
    let owner = |privilege| {
        let principal = Rc::clone(&member);
        let admitted = Admitted {
            principal,
            privilege,
        };
        (admitted.owner().to_owned(), admitted.opens())
    };
    assert_eq!(
        owner(Privilege::Granted(grant.clone())),
        (member.id().as_str().to_owned(), true)
    );
    assert_eq!(
        owner(Privilege::Anonymous(grant)),
        (GUEST_PREFIX.to_owned(), true)
    );
    assert_eq!(
        owner(Privilege::Recorder),
        (RECORDER_PREFIX.to_owned(), false)
    );
}

#[test]
fn a_waiting_visitor_could_enter_and_a_refused_one_could_not() {
    let deployment = Deployment::new();
    let member = Principal::Member(deployment.session("ann"));
    let guest = Principal::Pass(deployment.pass("x", Standing::Guest));
    let elsewhere = Principal::Pass(deployment.pass("y", Standing::Guest));
    let holder = Principal::Pass(deployment.pass("x", invited("l1")));
    for (enter, principal, expected) in [
        ("guest", &guest, true),
        ("guest", &elsewhere, false),
        ("member", &member, true),
        ("member", &guest, false),
        ("link", &holder, true),
        ("link", &guest, false),
    ] {
        let policy = policy(&[enter], &[], StartRule::Hosts, None);
        let authorizer = &deployment.authorizer;
        let could_enter = authorizer.could_enter(&policy, &key("x"), principal);
        assert_eq!(could_enter, expected, "{enter} {principal:?}");
    }
}

#[test]
fn anonymous_clients_become_guests_at_prosody_and_not_on_pages() {
    let deployment = Deployment::new();
    let passes = PassIssuer {
        lifetime: std::time::Duration::from_hours(1),
        clock: deployment.clock.clone(),
        random: Random::system(),
    };
    let context = testing::context(1);
    let guest = || Visitor::from(Principal::Pass(deployment.pass("x", Standing::Guest)));
    let member = || Visitor::from(Principal::Member(deployment.session("ann")));
    let word = |error: AccessError| match error {
        AccessError::SignInFirst => "sign in".to_owned(),
        AccessError::GuestFirst { ask } => format!("guest, ask {ask}"),
        AccessError::Waiting { .. } => "waiting".to_owned(),
        other => other.to_string(),
    };
    for (enter, visitor, start, page, connection) in [
        (
            "member",
            Visitor::Anonymous,
            StartRule::Anyone,
            "sign in",
            "sign in",
        ),
        (
            "member",
            member(),
            StartRule::Anyone,
            "participant",
            "granted",
        ),
        (
            "guest",
            Visitor::Anonymous,
            StartRule::Anyone,
            "guest, ask true",
            "anonymous",
        ),
        // The guest that the client becomes waits like others.
        (
            "guest",
            Visitor::Anonymous,
            StartRule::Hosts,
            "guest, ask true",
            "waiting",
        ),
        (
            "guest",
            guest(),
            StartRule::Anyone,
            "participant",
            "granted",
        ),
        ("guest", guest(), StartRule::Hosts, "waiting", "waiting"),
        (
            "link",
            guest(),
            StartRule::Anyone,
            "rule 1 lets in by invitation only",
            "rule 1 lets in by invitation only",
        ),
    ] {
        let policy = policy(&[enter], &[], start, None);
        let (authorizer, metrics) = (&deployment.authorizer, WorkerMetrics::default());
        let request = AccessRequest {
            room: &key("x"),
            visitor: &visitor,
            intent: Intent::Connect,
            context: &context,
        };
        let granted = authorizer.authorize(&policy, request, &metrics);
        let came = granted.map_or_else(word, |grant| grant.role().as_str().to_owned());
        assert_eq!(came, page, "page: {enter} {visitor:?}");
        let admitted = authorizer.authorize_connection(&policy, request, &passes, &metrics);
        let came = admitted.map_or_else(word, |admitted| match admitted.privilege {
            Privilege::Granted(_) => "granted".to_owned(),
            Privilege::Anonymous(_) => "anonymous".to_owned(),
            Privilege::Recorder => "recorder".to_owned(),
        });
        assert_eq!(came, connection, "connection: {enter} {visitor:?}");
    }
}
