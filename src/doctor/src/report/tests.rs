use super::*;

fn report() -> DoctorReport {
    let mut report = DoctorReport::default();
    report.pass(Check::BoshEndpoint);
    report.fail(
        Finding::error(FindingKind::TokenSecret)
            .with_exchange("a valid token", "<not-allowed/> \"Invalid signature\"\u{7}")
            .with_remedy("another secret", "compare them"),
    );
    report.skip([Check::RoomCreation, Check::OwnRoom], "A1 failed");
    report.fail(
        Finding::danger(FindingKind::OtherRoomOpen)
            .with_exchange("x", "y")
            .with_remedy("z", "w"),
    );
    report.pass(Check::ValidToken);
    report.sorted()
}

#[test]
fn findings_are_sorted_by_severity() {
    let report = report();
    assert!(!report.is_healthy());
    let ids: Vec<_> = report.findings().iter().map(Finding::id).collect();
    assert_eq!(ids, ["J3.open", "A1.secret"]);
}

#[test]
fn a_failed_check_stays_failed() {
    let failed = (Check::ValidToken, CheckOutcome::Failed);
    assert_eq!(report().outcomes()[1], failed);
}

#[test]
fn a_finding_that_another_explains_is_removed() {
    let mut report = report();
    report.remove_consequence(FindingKind::TokenSecret, &[FindingKind::BoshHost]);
    assert_eq!(report.findings().len(), 2);
    report.remove_consequence(FindingKind::TokenSecret, &[FindingKind::OtherRoomOpen]);
    assert_eq!(report.findings().len(), 1);
    let because = "explained by J3.open".to_owned();
    let skipped = (Check::ValidToken, CheckOutcome::Skipped { because });
    assert!(report.outcomes().contains(&skipped));
}

#[test]
fn text_has_remedies_and_reasons_for_skipped_checks() {
    let text = report().to_string();
    for part in [
        "error A1.secret\n  sent    a valid token\n",
        "  change  compare them\n",
        "1 checks passed\nnot examined: J1, J2 (A1 failed)\n",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let empty = DoctorReport::default().to_string();
    assert!(empty.ends_with("\nnothing is wrong\n"), "{empty}");
}

#[test]
fn json_has_ids_severities_and_outcomes() {
    let value: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
    assert_eq!(value["healthy"], false);
    assert_eq!(value["findings"][1]["id"], "A1.secret");
    assert_eq!(value["findings"][1]["severity"], "error");
    assert_eq!(value["checks"][2]["id"], "J1");
    assert_eq!(value["checks"][2]["outcome"], "skipped");
    assert_eq!(value["checks"][2]["because"], "A1 failed");
}

#[test]
fn junit_is_well_formed_with_hostile_text() {
    let text = report().junit();
    let suite = model::xml::Element::parse(&text).unwrap();
    assert_eq!(suite.attribute("failures"), Some("2"));
    assert_eq!(suite.attribute("skipped"), Some("2"));
    let failure = suite
        .children()
        .filter_map(|case| case.child("failure"))
        .find(|failure| failure.attribute("type") == Some("A1.secret"))
        .unwrap();
    assert!(failure.text().contains("<not-allowed/> \"Invalid"));
}
