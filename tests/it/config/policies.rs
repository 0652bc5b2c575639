//! The example policies: each is valid and decides as its comment describes.

use std::{fs, path::PathBuf};

use config::{self, Environment};
use model::{
    clock::Timestamp,
    identity::{Embedded, Identity, Invited, Standing},
    policy::{Admission, Authentication, Policy, Refusal, Requester, Situation},
    room::RoomKey,
};

use super::{GOOD, Workplace};

/// Kinds of visitors, and the decision for each in a closed and in an open room.
type People = &'static [(&'static str, &'static str, &'static str)];

/// A file, a room, and the decision for each kind of visitor.
const TABLE: &[(&str, &str, People)] = &[
    (
        "company",
        "x",
        &[
            ("nobody", "sign in", "sign in"),
            ("member", "participant", "participant"),
            ("owner", "moderator", "moderator"),
            ("staff", "moderator", "moderator"),
            ("guest", "sign in", "sign in"),
            ("guest link", "sign in", "sign in"),
        ],
    ),
    (
        "guests-wait",
        "x",
        &[
            ("nobody", "guest, asked", "guest, asked"),
            ("guest", "wait", "participant"),
            ("member", "wait", "participant"),
            ("owner", "moderator", "moderator"),
            ("guest link", "wait", "participant"),
            ("host link", "moderator", "moderator"),
            ("embedded host", "moderator", "moderator"),
            ("embedded", "wait", "participant"),
        ],
    ),
    (
        "other-system",
        "x",
        &[
            (
                "nobody",
                "refused: rule 1 lets in by invitation only",
                "refused: rule 1 lets in by invitation only",
            ),
            ("member", "refused: not allowed", "refused: not allowed"),
            ("owner", "refused: not allowed", "refused: not allowed"),
            (
                "host link",
                "refused: rule 1 lets in by invitation only",
                "refused: rule 1 lets in by invitation only",
            ),
            ("embedded host", "moderator", "moderator"),
            ("embedded", "wait", "participant"),
        ],
    ),
    (
        "public",
        "x",
        &[
            ("nobody", "guest", "guest"),
            ("guest", "participant", "participant"),
            ("member", "moderator", "moderator"),
        ],
    ),
    (
        "school",
        "Class-7b",
        &[
            ("nobody", "sign in", "sign in"),
            ("member", "refused: not allowed", "refused: not allowed"),
            ("pupils", "wait", "participant"),
            ("teachers", "moderator", "moderator"),
            ("owner", "refused: not allowed", "refused: not allowed"),
        ],
    ),
    (
        "school",
        "parents-evening-7b",
        &[
            ("guest link", "refused: not yet", "refused: not yet"),
            ("teachers", "refused: not yet", "refused: not yet"),
        ],
    ),
    (
        "school",
        "staff-room",
        &[
            ("pupils", "refused: not allowed", "refused: not allowed"),
            ("teachers", "participant", "participant"),
        ],
    ),
    (
        "departments",
        "sales",
        &[
            ("member", "refused: not allowed", "refused: not allowed"),
            ("sales", "participant", "participant"),
            ("board", "moderator", "moderator"),
            ("host link", "sign in", "sign in"),
        ],
    ),
    (
        "departments",
        "lunch",
        &[
            ("nobody", "sign in", "sign in"),
            ("member", "participant", "participant"),
            ("guest link", "wait", "participant"),
            ("host link", "moderator", "moderator"),
        ],
    ),
];

#[test]
fn example_policies_decide_as_documented() {
    let place = Workplace::new();
    let mut seen = 0;
    for (name, room, people) in TABLE {
        let policy = policy(&place, name);
        let room = RoomKey::from_text(room).unwrap();
        for (who, closed, open) in *people {
            assert_eq!(
                decide(&policy, &room, who, false),
                *closed,
                "{name} {room} {who}, closed"
            );
            assert_eq!(
                decide(&policy, &room, who, true),
                *open,
                "{name} {room} {who}, open"
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 40, "the whole table was looked at");
}

#[test]
fn every_example_policy_is_in_the_table() {
    let mut files: Vec<_> = fs::read_dir(directory())
        .unwrap()
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    files.sort();
    let mut named: Vec<_> = TABLE.iter().map(|(name, ..)| (*name).to_owned()).collect();
    named.sort();
    named.dedup();
    assert_eq!(files, named);
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/policies")
}

/// The policy of an example, which replaces the rules of the valid configuration.
fn policy(place: &Workplace, name: &str) -> Policy {
    let rules = fs::read_to_string(directory().join(format!("{name}.toml"))).unwrap();
    let (base, _) = GOOD.split_once("[[room]]").unwrap();
    place.private("gateway.toml", &format!("{base}\n{rules}"));
    assert_eq!(place.check(&[]), "", "{name}");
    // Paths in the configuration are relative to the working directory, which this process does
    // not change.
    let path = place.0.path();
    let text = fs::read_to_string(path.join("gateway.toml")).unwrap();
    let text = text.replace("_file = \"", &format!("_file = \"{}/", path.display()));
    place.private("gateway.toml", &text);
    config::load(&path.join("gateway.toml"), &Environment::default())
        .unwrap()
        .policy
}

fn decide(policy: &Policy, room: &RoomKey, who: &str, open: bool) -> String {
    let invited = |host| {
        Standing::Invited(Invited {
            link: "l".to_owned(),
            host,
            member: false,
        })
    };
    let embedded = |host| {
        Standing::Embedded(Embedded {
            integration: "shop".to_owned(),
            host,
        })
    };
    let (standing, group) = match who {
        "guest" => (Standing::Guest, None),
        "guest link" => (invited(false), None),
        "host link" => (invited(true), None),
        "embedded" => (embedded(false), None),
        "embedded host" => (embedded(true), None),
        "nobody" | "member" | "owner" => (Standing::Member, None),
        group => (Standing::Member, Some(group.to_owned())),
    };
    let identity = Identity {
        subject: "1".to_owned(),
        groups: group.into_iter().collect(),
        ..Identity::default()
    };
    let visitor = Requester {
        identity: &identity,
        standing: &standing,
        owner: who == "owner",
        authentication: Authentication::Sufficient,
    };
    let situation = Situation {
        now: Timestamp::parse("2027-01-01T00:00Z").unwrap_or_default(),
        open,
        ..Situation::default()
    };
    match policy.decide(room, (who != "nobody").then_some(&visitor), &situation) {
        Admission::Admit(grant) => grant.role().as_str().to_owned(),
        Admission::Wait(_) => "wait".to_owned(),
        Admission::SignIn => "sign in".to_owned(),
        Admission::StepUp(_) => "step up".to_owned(),
        Admission::Guest { ask: true } => "guest, asked".to_owned(),
        Admission::Guest { ask: false } => "guest".to_owned(),
        Admission::Refuse(Refusal::NotAllowed { .. }) => "refused: not allowed".to_owned(),
        Admission::Refuse(Refusal::NotYet { .. }) => "refused: not yet".to_owned(),
        Admission::Refuse(refusal) => format!("refused: {refusal}"),
    }
}
