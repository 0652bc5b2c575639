use std::collections::BTreeSet;

use super::*;

#[test]
fn ids_of_checks_are_unique() {
    let ids: BTreeSet<_> = Check::ALL.iter().map(|check| check.id()).collect();
    assert_eq!(ids.len(), Check::ALL.len());
}

#[test]
fn the_page_lists_the_same_ids_as_the_catalogue() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doctor.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut checks = Vec::new();
    for line in page.lines() {
        let Some(row) = line.strip_prefix("| ") else {
            continue;
        };
        let (id, rest) = row.split_once(" | ").unwrap_or((row, ""));
        let Some(check) = Check::ALL.iter().find(|check| check.id() == id) else {
            continue;
        };
        checks.push(*check);
        let (_, findings) = rest.rsplit_once(" | ").unwrap();
        let listed: Vec<&str> = findings.split('`').skip(1).step_by(2).collect();
        let expected: Vec<&str> = FindingKind::all()
            .filter(|kind| kind.check() == *check && !matches!(kind, FindingKind::Unreached(..)))
            .map(FindingKind::word)
            .collect();
        assert_eq!(listed, expected, "{id}");
    }
    assert_eq!(checks, Check::ALL);
    let faults = NetworkFault::ALL.map(|fault| format!("`{}`", fault.word()));
    assert!(page.contains(&faults.join(", ")), "{faults:?}");
}
