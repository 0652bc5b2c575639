use super::*;

fn report() -> Report {
    let mut report = Report::default();
    report.pass(Check::B1);
    report.find(
        Finding::error(Check::A1, "secret")
            .saw("a good token", "<not-allowed/> \"Invalid signature\"\u{7}")
            .so("another secret", "compare them"),
    );
    report.skip(&[Check::J1, Check::J2], "A1 failed");
    report.find(
        Finding::danger(Check::J3, "open")
            .saw("x", "y")
            .so("z", "w"),
    );
    report.pass(Check::A1);
    report.sorted()
}

#[test]
fn the_dangerous_comes_first_and_what_failed_stays_failed() {
    let report = report();
    assert!(!report.is_healthy());
    let ids: Vec<_> = report
        .findings()
        .iter()
        .map(|own| own.id.as_str())
        .collect();
    assert_eq!(ids, ["J3.open", "A1.secret"]);
    assert_eq!(report.outcomes()[1], (Check::A1, Outcome::Failed));
}

#[test]
fn people_read_what_to_do() {
    let text = report().to_string();
    assert!(
        text.contains("error A1.secret\n  sent    a good token\n"),
        "{text}"
    );
    assert!(text.contains("  change  compare them\n"), "{text}");
    assert!(
        text.contains("1 checks passed\nnot examined: J1, J2 (A1 failed)\n"),
        "{text}"
    );
    assert!(
        Report::default()
            .to_string()
            .ends_with("\nnothing is wrong\n")
    );
}

#[test]
fn scripts_read_json() {
    let value: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
    assert_eq!(value["healthy"], false);
    assert_eq!(value["findings"][1]["id"], "A1.secret");
    assert_eq!(value["findings"][1]["severity"], "error");
    assert_eq!(value["checks"][2]["outcome"], "skipped");
    assert_eq!(value["checks"][2]["because"], "A1 failed");
}

#[test]
fn junit_is_well_formed_whatever_a_server_said() {
    let text = report().junit();
    let document = roxmltree::Document::parse(&text).unwrap();
    let suite = document.root_element();
    assert_eq!(suite.attribute("failures"), Some("2"));
    assert_eq!(suite.attribute("skipped"), Some("2"));
    let failure = document
        .descendants()
        .find(|node| node.attribute("type") == Some("A1.secret"))
        .unwrap();
    assert!(failure.text().unwrap().contains("<not-allowed/> \"Invalid"));
}
