//! `explain`: the rule and its line in the file, the conditions that decide, the answer, and the page that the
//! person gets.

use serde_json::{Value, json};

use super::{GOOD, Workplace, text};

/// Rules of a firm, behind the valid configuration's other sections.
const RULES: &str = r#"
[[room]]
match = "archive*"
enter = "closed"

[[room]]
match = "board*"
enter = ["group:board", "guest"]
host = "group:board"
start = "host"

[[room]]
match = "kiosk"
enter = "open"

[[room]]
match = "*"
enter = "member"
"#;

fn firm() -> Workplace {
    let place = Workplace::new();
    let (head, _) = GOOD.split_once("\n[[room]]").unwrap();
    place.private("gateway.toml", &format!("{head}{RULES}"));
    place.open("chair.json", r#"{"sub": "1", "groups": ["board"]}"#);
    place.open("clerk.json", r#"{"sub": "2", "groups": ["staff"]}"#);
    place
}

fn explain(place: &Workplace, words: &[&str]) -> String {
    let output = place.run(&[&["explain"], words].concat(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_explanation_has_the_rule_the_deciding_conditions_and_the_page() {
    let place = firm();
    let board = "rule     2 of 4 (match \"board*\", gateway.toml:26)\n";
    let rest = "rule     4 of 4 (match \"*\", gateway.toml:36)\n";
    for (words, expected) in [
        (
            &["--room", "board-7", "--claims", "clerk.json"][..],
            format!(
                "room     board-7\n{board}  enter      guest: met\n  host       group:board: not met\n  \
                 start      hosts and moderators: not met\nanswer   waits for a host\n\
                 page     waiting page, which becomes the meeting when a host enters\n"
            ),
        ),
        (
            &["--room", "board-7", "--as", "guest"],
            format!(
                "room     board-7\n{board}  enter      guest: met\n  host       group:board: not met\n  \
                 start      hosts and moderators: not met\nanswer   waits for a host\n\
                 page     waiting page, which becomes the meeting when a host enters\n"
            ),
        ),
        // A name is asked for first, and then the guest waits.
        (
            &["--room", "board-7"],
            format!(
                "room     board-7\n{board}  enter      guest: met\n\
                 answer   may enter as a guest, with a name\n\
                 page     entry form, which asks for a name and offers the sign-in\n\
                 then     waits for a host\n\
                 page     waiting page, which becomes the meeting when a host enters\n"
            ),
        ),
        (
            &["--room", "kiosk"],
            "room     kiosk\nrule     3 of 4 (match \"kiosk\", gateway.toml:32)\n  enter      open: met\n\
             answer   may enter as a guest, without a name\n\
             then     enters as participant (rule 3)\npage     meeting\n"
                .to_owned(),
        ),
        (
            &["--room", "plan"],
            format!(
                "room     plan\n{rest}  enter      member or integration\nanswer   has to sign in\n\
                 page     sign-in of the provider, which returns to the room\n"
            ),
        ),
        // Later keys of the rule are not printed, because the decision does not depend on them.
        (
            &["--room", "plan", "--as", "guest"],
            format!(
                "room     plan\n{rest}  enter      member or integration: not met\nanswer   has to sign in\n\
                 page     sign-in of the provider, which returns to the room\n"
            ),
        ),
        (
            &["--room", "archive-1", "--claims", "chair.json"],
            "room     archive-1\nrule     1 of 4 (match \"archive*\", gateway.toml:22)\n  enter      closed\n\
             answer   refused: rule 1 closes this room\n\
             page     refusal, with the reason closed\n"
                .to_owned(),
        ),
    ] {
        assert_eq!(explain(&place, words), expected, "{words:?}");
    }
    let chair = ["--room", "board-7", "--claims", "chair.json"];
    let output = explain(&place, &chair);
    let expected = format!(
        "room     board-7\n{board}  enter      group:board: met\n  host       group:board: met\n  \
         start      hosts and moderators: met\n\
         answer   enters as moderator (rule 2, moderator by group:board)\npage     meeting\ntoken\n"
    );
    assert!(output.starts_with(&expected), "{output}");
}

#[test]
fn a_rule_of_the_environment_has_the_variable_in_place_of_a_line() {
    let place = firm();
    let rules = [("GATEWAY__ROOM", r#"[{match = "*", enter = "guest"}]"#)];
    let output = place.run(&["explain", "--room", "x"], &rules);
    let expected = "\nrule     1 of 1 (match \"*\", environment GATEWAY__ROOM)\n";
    let output = text(&output.stdout);
    assert!(output.contains(expected), "{output}");
}

#[test]
fn a_program_reads_the_same_explanation_as_json() {
    let place = firm();
    let explain = |words: &[&str]| -> Value {
        let output = explain(&place, &[words, &["--output", "json"]].concat());
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
    };
    let waits = json!({
        "outcome": "waits", "reason": "not_open", "waits_for": "host",
        "answer": "waits for a host", "page": "waiting",
    });
    let asked = json!({
        "outcome": "asked", "reason": "name",
        "answer": "may enter as a guest, with a name", "page": "entry_form",
    });
    let rule = json!({ "position": 2, "of": 4, "match": "board*", "location": "gateway.toml:26" });
    assert_eq!(
        explain(&["--room", "board-7"]),
        json!({
            "room": "board-7", "visitor": "anonymous", "rule": rule,
            "conditions": [{ "key": "enter", "any_of": ["guest"], "met": true }],
            "steps": [asked, waits],
        })
    );
    let chair = explain(&["--room", "board-7", "--claims", "chair.json"]);
    assert_eq!(
        chair["conditions"],
        json!([
            { "key": "enter", "any_of": ["group:board"], "met": true },
            { "key": "host", "any_of": ["group:board"], "met": true },
            { "key": "start", "any_of": ["hosts and moderators"], "met": true },
        ])
    );
    assert_eq!(chair["visitor"], "member");
    assert_eq!(chair["steps"][0]["reason"], "moderator");
    assert_eq!(chair["steps"][0]["page"], "meeting");
    assert_eq!(chair["claims"]["room"], "board-7");
    let refused = explain(&["--room", "archive-1"]);
    assert_eq!(refused["steps"][0]["outcome"], "refused");
    assert_eq!(refused["steps"][0]["reason"], "closed");
}
