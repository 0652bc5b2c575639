use super::*;
use crate::policy::Authentication;

fn person(email: &str, verified: bool) -> Identity {
    Identity {
        subject: "42".to_owned(),
        email: Some(email.to_owned()),
        email_verified: verified,
        groups: vec!["staff".to_owned(), "Eng/Core".to_owned()],
        claims: [("dept".to_owned(), vec!["sales".to_owned()])].into(),
        ..Identity::default()
    }
}

#[test]
fn each_condition_matches_only_its_own_attribute() {
    let person = person("Ann@Example.org", true);
    let yes = [
        "member",
        "group:staff",
        "group:Eng/*",
        "email:ann@example.org",
        "email-domain:example.org",
        "email-domain:@Example.org",
        "subject:42",
        "claim:dept=sal*",
    ];
    let no = [
        "group:Staff",
        "group:eng/*",
        "email-domain:ample.org",
        "email-domain:org",
        "subject:4",
        "claim:dept=x",
        "claim:other=sales",
        "email:bob@example.org",
    ];
    let person = Requester::member(&person);
    for text in yes {
        let condition: Condition = text.parse().unwrap();
        assert!(condition.admits(&person), "{text}");
    }
    for text in no {
        assert!(
            !text.parse::<Condition>().unwrap().admits(&person),
            "{text}"
        );
    }
}

#[test]
fn only_the_case_of_an_address_makes_no_difference() {
    // The Kelvin sign and the capital I with a dot have small letters of ASCII, mailboxes do not.
    for (condition, address, expected) in [
        ("email:mike@bank.example", "MIKE@Bank.example", true),
        ("email:mike@bank.example", "mi\u{212a}e@bank.example", false),
        ("email:mike@bank.example", "mike@ban\u{212a}.example", false),
        ("email-domain:bank.example", "x@ban\u{212a}.example", false),
        ("email:zo\u{eb}@bank.example", "Zo\u{cb}@bank.example", true),
        ("email:zo\u{eb}@bank.example", "zoe@bank.example", false),
        (
            "email:i\u{307}ris@bank.example",
            "\u{130}ris@bank.example",
            false,
        ),
        (
            "email-domain:B\u{dc}RO.example",
            "x@b\u{fc}ro.example",
            true,
        ),
    ] {
        let person = person(address, true);
        let parsed: Condition = condition.parse().unwrap();
        let admits = parsed.admits(&Requester::member(&person));
        assert_eq!(admits, expected, "{condition} {address}");
    }
}

#[test]
fn a_provider_is_that_of_the_sign_in() {
    let school: Condition = "provider:school".parse().unwrap();
    assert_eq!(school.to_string(), "provider:school");
    let at = |provider: Option<&str>| Identity {
        provider: provider.map(|id| id.parse().unwrap()),
        ..Identity::default()
    };
    let (none, of_school, of_firm) = (at(None), at(Some("school")), at(Some("firm")));
    assert!(school.admits(&Requester::member(&of_school)));
    assert!(!school.admits(&Requester::member(&of_firm)));
    assert!(!school.admits(&Requester::member(&none)));
    let unqualified = Condition::Provider {
        id: "school".parse().unwrap(),
        scope: None,
    };
    assert!(unqualified.admits(&Requester::member(&none)));
    assert!(!unqualified.admits(&Requester::member(&of_school)));
    let guest = Requester {
        standing: &Standing::Guest,
        ..Requester::member(&none)
    };
    assert!(!unqualified.admits(&guest));
    for text in ["provider:School", "provider:guest", "provider:x"] {
        let error = text.parse::<Condition>();
        assert!(matches!(error, Err(ConditionError::Provider(..))), "{text}");
    }
}

#[test]
fn links_and_integrations_elevate_only_hosts() {
    let identity = Identity::default();
    let invited = |host, member| {
        Standing::Invited(Invited {
            link: "l".to_owned(),
            host,
            member,
        })
    };
    let embedded = |host| {
        Standing::Embedded(Embedded {
            integration: "shop".to_owned(),
            host,
        })
    };
    let (y, n) = (true, false);
    for (text, standing, admits, elevates) in [
        ("member", Standing::Guest, n, n),
        ("member", invited(y, n), n, n),
        ("member", invited(n, y), y, y),
        ("member", embedded(y), n, n),
        ("guest", Standing::Guest, y, y),
        ("guest", Standing::Member, y, y),
        ("link", Standing::Guest, n, n),
        ("link", Standing::Member, n, n),
        ("link", invited(n, n), y, n),
        ("link", invited(y, n), y, y),
        ("integration", embedded(n), y, n),
        ("integration", embedded(y), y, y),
        ("integration:shop", embedded(y), y, y),
        ("integration:crm", embedded(y), n, n),
        ("integration", Standing::Member, n, n),
        ("owner", Standing::Member, n, n),
    ] {
        let visitor = Requester {
            identity: &identity,
            standing: &standing,
            owner: false,
            authentication: Authentication::Sufficient,
        };
        let condition: Condition = text.parse().unwrap();
        assert_eq!(condition.to_string(), text);
        assert_eq!(condition.admits(&visitor), admits, "{text} {standing:?}");
        assert_eq!(
            condition.elevates(&visitor),
            elevates,
            "{text} {standing:?}"
        );
    }
}

#[test]
fn only_verified_and_unambiguous_addresses_match_a_domain() {
    let rule: Condition = "email-domain:company.com".parse().unwrap();
    let fits = |email, verified| rule.admits(&Requester::member(&person(email, verified)));
    assert!(fits("a@company.com", true));
    for hostile in [
        "a@evil.com@company.com",
        "\"a@evil.com\"@company.com",
        "a@company.com.",
        "@company.com",
        "a@evilcompany.com",
        "a@sub.company.com",
        "company.com",
    ] {
        assert!(!fits(hostile, true), "{hostile}");
    }
    assert!(!fits("a@company.com", false));
}

#[test]
fn texts_that_are_not_conditions_are_refused() {
    for text in [
        "",
        "staff",
        "group:",
        "group: ",
        "claim:x",
        "claim:=y",
        "claim:x=",
        "email:x",
        "email-domain:.",
        "email-domain:a b",
        "grp:x",
        "Member",
        "integration:",
    ] {
        let error = text.parse::<Condition>().unwrap_err();
        assert!(!error.to_string().is_empty(), "{text}");
    }
}

#[test]
fn every_listed_form_is_a_condition_that_is_written_the_same() {
    for form in Condition::FORMS {
        let written = [
            ("ID", "school"),
            ("NAME", "staff"),
            ("ADDRESS", "ann@example.org"),
        ]
        .into_iter()
        .chain([
            ("DOMAIN", "example.org"),
            ("PATH", "dept"),
            ("VALUE", "sales"),
        ])
        .fold(form.to_owned(), |text, (part, value)| {
            text.replace(part, value)
        });
        let condition: Condition = written.parse().unwrap();
        assert_eq!(condition.to_string(), written, "{form}");
    }
}
