//! Audit lines match `docs/logs.md`, in the source and in the output.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use super::{after_some_traffic, repository};
use crate::support::logs::Logs;

/// Fields that the subscriber adds.
const OF_EVERY_LINE: [&str; 3] = ["timestamp", "level", "target"];

type Events = BTreeMap<String, BTreeSet<String>>;

#[test]
fn audit_events_and_fields_match_the_documentation() {
    let (written, documented) = (in_the_source(), documented());
    assert!(written.len() > 10, "{written:?}");
    assert_eq!(written, documented, "source, then docs/logs.md");
    let text = repository("docs/logs.md");
    for field in written.values().flatten() {
        assert!(
            text.contains(&format!("| `{field}` | ")),
            "{field} is not explained"
        );
    }
}

#[test]
fn audit_lines_are_written_in_one_place() {
    fn search(directory: &Path) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                search(&path);
            } else if !path.ends_with("proxy/src/audit.rs") {
                let text = fs::read_to_string(&path).unwrap_or_default();
                assert!(!text.contains("target: \"audit\""), "{}", path.display());
            }
        }
    }
    search(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
}

#[tokio::test]
async fn audit_lines_of_a_run_are_json_with_the_documented_fields() {
    let logs = Logs::keep();
    after_some_traffic().await;
    let (lines, documented) = (logs.audit(), documented());
    let mut seen = BTreeSet::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        let event = line["event"].as_str().unwrap();
        for (field, value) in line.as_object().unwrap() {
            let known = OF_EVERY_LINE.contains(&&**field) || documented[event].contains(field);
            assert!(known, "{event} has {field}");
            assert!(!value.is_null() && !value.is_object(), "{line}");
        }
        seen.insert(event.to_owned());
    }
    assert!(
        seen.contains("signed_in") && seen.contains("admitted"),
        "{seen:?}"
    );
    println!("{} audit lines of {seen:?}", lines.lines().count());
}

/// Events and their fields, from the JSON examples.
fn documented() -> Events {
    let text = repository("docs/logs.md");
    let sections = text.split("\n### ").skip(1);
    sections
        .map(|section| {
            let name = section.lines().next().unwrap().to_owned();
            let (_, example) = section.split_once("```json\n").unwrap();
            let line = example.lines().next().unwrap();
            let example: Value = serde_json::from_str(line).unwrap();
            assert_eq!(example["event"], *name, "{line}");
            let fields = example.as_object().unwrap().keys();
            let own = fields.filter(|field| !OF_EVERY_LINE.contains(&&***field));
            (name, own.cloned().collect())
        })
        .collect()
}

/// Events and their fields, from the source.
fn in_the_source() -> Events {
    let text = repository("src/proxy/src/audit.rs");
    let calls = text.split("target: \"audit\",").skip(1);
    calls
        .map(|call| {
            let (fields, _) = call.split_once(");").unwrap();
            let fields = fields
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty());
            let mut event = String::new();
            let fields = fields.map(|field| {
                let field = field.trim_end_matches(',');
                let (name, value) = field.split_once(" = ").unwrap_or((field, field));
                if name == "event" {
                    value.trim_matches('"').clone_into(&mut event);
                }
                name.to_owned()
            });
            let fields: BTreeSet<_> = fields.collect();
            (event, fields)
        })
        .collect()
}
