use super::*;
use crate::identity::{Embedded, Invited};

fn rule(room: &str, enter: &[&str], moderators: &[&str]) -> Rule {
    let enter = match parse(enter) {
        conditions if conditions.is_empty() => EntryRule::Closed,
        conditions => EntryRule::Where(conditions),
    };
    Rule {
        moderators: parse(moderators),
        ..Rule::new(Glob::folded(room), enter)
    }
}

fn parse(texts: &[&str]) -> Vec<Condition> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn decide<'p>(policy: &'p Policy, room: &RoomKey, person: Option<&Identity>) -> Admission<'p> {
    let visitor = person.map(Requester::member);
    policy.decide(room, visitor.as_ref(), &Situation::default())
}

fn room(tenant: Option<&str>, name: &str) -> RoomKey {
    RoomKey::from_page(tenant, name).unwrap().key
}

fn person(groups: &[&str]) -> Identity {
    Identity {
        subject: "1".to_owned(),
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        ..Identity::default()
    }
}

fn role(admission: &Admission<'_>) -> Option<Role> {
    match admission {
        Admission::Admit(grant) => Some(grant.role()),
        _ => None,
    }
}

#[test]
fn the_first_matching_rule_decides() {
    let policy = Policy::new(vec![
        rule("Board *", &["group:board"], &["group:board"]),
        rule("old-*", &[], &[]),
        rule("*", &["member"], &["group:staff"]),
    ]);
    let board = room(None, "Board%20Meeting");
    assert_eq!(
        role(&decide(&policy, &board, Some(&person(&["board"])))),
        Some(Role::Moderator)
    );
    assert_eq!(
        decide(&policy, &board, Some(&person(&["staff"]))),
        Admission::Refuse(Refusal::NotAllowed { rule: 1 })
    );
    assert_eq!(
        decide(&policy, &room(None, "OLD-x"), Some(&person(&["staff"]))),
        Admission::Refuse(Refusal::Closed { rule: 2 })
    );
    let other = room(None, "x");
    assert_eq!(
        role(&decide(&policy, &other, Some(&person(&[])))),
        Some(Role::Participant)
    );
    let staff = person(&["staff"]);
    let admission = decide(&policy, &other, Some(&staff));
    assert_eq!(role(&admission), Some(Role::Moderator));
    let Admission::Admit(grant) = admission else {
        unreachable!()
    };
    assert_eq!(grant.to_string(), "rule 3, moderator by group:staff");
    assert_eq!(decide(&policy, &other, None), Admission::SignIn);
}

#[test]
fn a_room_without_a_rule_admits_no_visitor() {
    let policy = Policy::new(vec![rule("a", &["member"], &[])]);
    let admission = decide(&policy, &room(None, "b"), Some(&person(&[])));
    assert_eq!(admission, Admission::Refuse(Refusal::NoRule));
    assert_eq!(
        decide(&policy, &room(None, "b"), None),
        Admission::Refuse(Refusal::NoRule)
    );
}

#[test]
fn somewhere_is_a_room_of_a_rule_that_is_reached() {
    let rules = [
        rule("board", &["group:board"], &[]),
        rule("old-*", &[], &[]),
        rule("*", &["group:staff"], &[]),
        rule("never", &["member"], &[]),
    ];
    let policy = Policy::new(rules.into());
    for (group, expected) in [("board", true), ("staff", true), ("other", false)] {
        let person = person(&[group]);
        let admitted = policy.admits_somewhere(&Requester::member(&person));
        assert_eq!(admitted, expected, "{group}");
    }
}

#[test]
fn rules_match_only_rooms_of_their_tenants() {
    let scoped = |tenant| {
        Policy::new(vec![Rule {
            tenant,
            ..rule("*", &["member"], &[])
        }])
    };
    let someone = person(&[]);
    let enters = |policy: &Policy, tenant| {
        role(&decide(policy, &room(tenant, "x"), Some(&someone))).is_some()
    };
    let none = scoped(TenantScope::None);
    assert!(enters(&none, None) && !enters(&none, Some("acme")));
    let dotted = scoped(TenantScope::matching("a.B"));
    assert!(enters(&dotted, Some("a.b")) && enters(&dotted, Some("a_b")));
    let acme = scoped(TenantScope::matching("Acme*"));
    assert!(!enters(&acme, None) && enters(&acme, Some("acme-eu")) && !enters(&acme, Some("b")));
}

#[test]
fn a_policy_lists_the_groups_and_claims_that_its_conditions_name() {
    let policy = Policy::new(vec![rule(
        "*",
        &["group:a*", "claim:dept=x"],
        &["group:boss"],
    )]);
    assert!(policy.names_group("abc") && policy.names_group("boss") && !policy.names_group("b"));
    assert_eq!(policy.claim_paths().collect::<Vec<_>>(), ["dept"]);
}

fn standing(text: &str) -> Standing {
    let (kind, host) = text
        .strip_suffix('!')
        .map_or((text, false), |kind| (kind, true));
    match kind {
        "member" => Standing::Member,
        "guest" => Standing::Guest,
        "link" | "link+member" => Standing::Invited(Invited {
            link: "l".to_owned(),
            host,
            member: kind == "link+member",
        }),
        "shop" => Standing::Embedded(Embedded {
            integration: "shop".to_owned(),
            host,
        }),
        _ => unreachable!("{text}"),
    }
}

/// The admission as a letter: `m` moderator, `p` participant, `w` wait, `s` sign in, `g` guest
/// after a question, `o` guest without one, `x` refused.
fn outcome(policy: &Policy, who: &str, open: bool) -> char {
    let owner = who == "owner";
    let anonymous = who == "anonymous";
    let standing = standing(if owner || anonymous { "member" } else { who });
    let identity = person(if standing.is_member() {
        &["staff"]
    } else {
        &[]
    });
    let visitor = Requester {
        identity: &identity,
        standing: &standing,
        owner,
        authentication: Authentication::Sufficient,
    };
    let situation = Situation {
        open,
        ..Situation::default()
    };
    match policy.decide(
        &room(None, "x"),
        (!anonymous).then_some(&visitor),
        &situation,
    ) {
        Admission::Admit(grant) if grant.role() == Role::Moderator => 'm',
        Admission::Admit(_) => 'p',
        Admission::Wait(_) => 'w',
        Admission::SignIn => 's',
        Admission::Guest { ask: true } => 'g',
        Admission::Guest { ask: false } => 'o',
        Admission::StepUp(_) | Admission::Refuse(_) => 'x',
    }
}

#[test]
fn admissions_by_rule_visitor_and_whether_the_room_is_open() {
    let rules = [
        (
            "company only",
            rule("*", &["member"], &[]),
            StartRule::Members,
        ),
        (
            "guests wait",
            rule("*", &["member", "integration", "link", "guest"], &[]),
            StartRule::Members,
        ),
        (
            "wait for the host",
            rule("*", &["member", "integration", "link", "guest"], &[]),
            StartRule::Hosts,
        ),
        ("public", rule("*", &["open"], &[]), StartRule::Anyone),
        (
            "invited",
            rule("*", &["link", "integration"], &[]),
            StartRule::Hosts,
        ),
        (
            "staff starts",
            rule("*", &["member", "link"], &[]),
            StartRule::Where(parse(&["group:staff"])),
        ),
    ];
    let people = [
        "anonymous",
        "guest",
        "member",
        "owner",
        "link",
        "link!",
        "link+member",
        "shop",
        "shop!",
    ];
    let table: Vec<String> = rules
        .into_iter()
        .map(|(name, rule, start)| {
            let policy = Policy::new(vec![Rule { start, ..rule }]);
            let row = |open| {
                people
                    .map(|who| outcome(&policy, who, open))
                    .iter()
                    .collect::<String>()
            };
            format!("{name}: {} {}", row(false), row(true))
        })
        .collect();
    assert_eq!(
        table,
        [
            "company only: sspmsspxx sspmsspxx",
            "guests wait: gwpmwmppm gppmpmppm",
            "wait for the host: gwwmwmwwm gppmpmppm",
            "public: oppmpmppm oppmpmppm",
            "invited: xxxxwmwwm xxxxpmppm",
            "staff starts: sspmwmpxx sspmpmpxx",
        ]
    );
}

#[test]
fn time_windows_and_occupancy_limits_apply_to_new_occupants_only() {
    let identity = person(&[]);
    let visitor = Requester::member(&identity);
    let owner = Requester {
        owner: true,
        authentication: Authentication::Sufficient,
        ..visitor
    };
    let at = Timestamp::from_unix;
    let policy = Policy::new(vec![Rule {
        window: TimeWindow {
            opens: Some(at(100)),
            closes: Some(at(200)),
        },
        max_people: Some(2),
        ..rule("*", &["member"], &[])
    }]);
    let decide = |who: Option<&Requester<'_>>, now, others| {
        let situation = Situation {
            now: at(now),
            others,
            ..Situation::default()
        };
        match policy.decide(&room(None, "x"), who, &situation) {
            Admission::Refuse(Refusal::NotYet { rule: 1, opens }) if opens == at(100) => "not yet",
            Admission::Refuse(Refusal::Over { rule: 1, closed }) if closed == at(200) => "over",
            Admission::Refuse(Refusal::Full { rule: 1, most: 2 }) => "full",
            Admission::Admit(_) => "admit",
            Admission::SignIn => "sign in",
            _ => "other",
        }
    };
    assert_eq!(decide(None, 99, 0), "not yet");
    assert_eq!(decide(Some(&visitor), 99, 0), "not yet");
    assert_eq!(decide(None, 100, 0), "sign in");
    assert_eq!(decide(Some(&visitor), 199, 1), "admit");
    assert_eq!(decide(Some(&visitor), 199, 2), "full");
    assert_eq!(decide(Some(&owner), 199, 2), "admit");
    assert_eq!(decide(Some(&owner), 200, 0), "over");
    let staying = Situation {
        now: at(200),
        others: 5,
        staying: true,
        ..Situation::default()
    };
    let stays = policy.decide(&room(None, "x"), Some(&visitor), &staying);
    assert!(matches!(stays, Admission::Admit(_)), "{stays:?}");
}

#[test]
fn a_room_may_be_created_when_a_new_occupant_may_enter() {
    let at = Timestamp::from_unix;
    let limited = |opens: Option<u64>, closes: Option<u64>, name| Rule {
        window: TimeWindow {
            opens: opens.map(at),
            closes: closes.map(at),
        },
        ..rule(name, &["member"], &[])
    };
    let policy = Policy::new(vec![
        limited(Some(100), Some(200), "lesson"),
        limited(Some(100), None, "from"),
        limited(None, Some(200), "until"),
        rule("old", &[], &[]),
        rule("always", &["member"], &[]),
    ]);
    // The first second before, at and after the bounds; then the time that is left at each.
    let closed = "refused";
    for (name, expected) in [
        ("lesson", [closed, "100 s", "1 s", closed]),
        ("from", [closed, "unlimited", "unlimited", "unlimited"]),
        ("until", ["101 s", "100 s", "1 s", closed]),
        ("old", [closed; 4]),
        ("always", ["unlimited"; 4]),
        ("no-rule", [closed; 4]),
    ] {
        let room = room(None, name);
        let actual = [99, 100, 199, 200].map(|now| {
            let situation = Situation {
                now: at(now),
                ..Situation::default()
            };
            let someone = person(&[]);
            let member = Requester::member(&someone);
            let admission = policy.decide(&room, Some(&member), &situation);
            match policy.rule_for_creation(&room, at(now)) {
                Ok(rule) => {
                    assert!(matches!(admission, Admission::Admit(_)), "{name} at {now}");
                    rule.window
                        .remaining(at(now))
                        .map_or("unlimited".to_owned(), |left| {
                            format!("{} s", left.as_secs())
                        })
                }
                Err(refusal) => {
                    assert_eq!(admission, Admission::Refuse(refusal), "{name} at {now}");
                    closed.to_owned()
                }
            }
        });
        assert_eq!(actual, expected, "{name}");
    }
}

#[test]
fn every_named_feature_is_in_the_token_with_its_access_by_role() {
    let allowed = [
        ("recording", FeatureAccess::Moderators),
        ("screen-sharing", FeatureAccess::Everyone),
        ("livestreaming", FeatureAccess::Nobody),
    ];
    let features = Features::new(allowed.map(|(name, who)| (name.to_owned(), who)).into());
    let of = |role| features.of(role).collect::<Vec<_>>();
    assert_eq!(
        of(Role::Moderator),
        [
            ("livestreaming", false),
            ("recording", true),
            ("screen-sharing", true)
        ]
    );
    assert_eq!(
        of(Role::Participant),
        [
            ("livestreaming", false),
            ("recording", false),
            ("screen-sharing", true)
        ]
    );
}
